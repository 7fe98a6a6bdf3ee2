"""The sandbox's memory: one SQLite file of JSON documents and the work that is due.

A document is a Stripe object with its `id` and `object`. Keys that begin with an underscore are the
sandbox's own notes and never leave it (`public`). Why not the ORM: the file must not depend on the shop's
migrations, and documents follow Stripe's shapes without a schema change for each field.

Writers take the lock at BEGIN, so one call sees and leaves a consistent state whatever runs beside it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Object = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_of_kind ON objects (kind, seq, created);
CREATE TABLE IF NOT EXISTS object_keys (
    kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (kind, name, value, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_of_object ON object_keys (seq);
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    request_id TEXT NOT NULL,
    expires REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS due_work (
    id INTEGER PRIMARY KEY, due REAL NOT NULL, task TEXT NOT NULL, target TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS work_by_time ON due_work (due);
CREATE INDEX IF NOT EXISTS work_by_target ON due_work (target);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    answer TEXT NOT NULL DEFAULT '',
    batch INTEGER
);
CREATE INDEX IF NOT EXISTS deliveries_by_time ON deliveries (state, due);
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, delivery INTEGER NOT NULL, at REAL NOT NULL, status INTEGER, answer TEXT NOT NULL,
    seconds REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS attempts_of_delivery ON attempts (delivery);
CREATE TABLE IF NOT EXISTS rules (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL);
"""
TABLES = ("objects", "object_keys", "idempotency", "due_work", "deliveries", "attempts", "rules")

# By what a list may be filtered, as dotted paths into the document. Filters and cursors read these keys
# through an index, so that a list stays fast whatever the number of objects.
INDEXED: dict[str, tuple[str, ...]] = {
    "checkout.session": ("payment_intent", "status", "customer", "customer_details.email", "payment_link"),
    "payment_intent": ("customer", "_session"),
    "charge": ("payment_intent", "customer"),
    "refund": ("charge", "payment_intent"),
    "dispute": ("charge", "payment_intent"),
    "balance_transaction": ("currency", "source", "type", "_payout"),
    "price": ("product", "active", "currency", "lookup_key", "type"),
    "product": ("active",),
    "item": ("_session",),
    "event": ("type",),
    "payment_method": ("customer", "type", "allow_redisplay"),
    "customer": ("email", "_living"),
    "setup_intent": ("customer", "payment_method"),
    "setup_attempt": ("setup_intent",),
}


def public(document: Mapping[str, Any]) -> Object:
    """The document as Stripe would show it."""
    return {key: value for key, value in document.items() if not key.startswith("_")}


def key_text(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _at(document: Mapping[str, Any], path: str) -> object:
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


class _Query:
    """SQL for one page of a kind. The first exact filter leads, so that its index gives order and cursor too."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.source, self.seq = "objects o", "o.seq"
        self.tests, self.values = ["o.kind = ?"], [kind]  # type: tuple[list[str], list[Any]]

    def match(self, name: str, wanted: Sequence[str]) -> None:
        """Keep objects of which the key has one of the values; `*` is a wildcard in the types of events."""
        exact = self.kind != "event" or "*" not in "".join(wanted)
        if exact and len(wanted) == 1 and self.source == "objects o":
            self.source, self.seq = "object_keys k JOIN objects o ON o.seq = k.seq", "k.seq"
            self.tests.append("k.kind = ? AND k.name = ? AND k.value = ?")
            self.values += [self.kind, name, *wanted]
            return
        one_of = " OR ".join([f"f.value {'=' if exact else 'GLOB'} ?"] * len(wanted)) or "0"
        join = f"f.seq = o.seq AND f.kind = o.kind AND f.name = ? AND ({one_of})"
        self.tests.append(f"EXISTS (SELECT 1 FROM object_keys f WHERE {join})")  # noqa: S608 - fixed text only
        self.values += [name, *wanted]

    def between(self, created: Mapping[str, int], *, before: str | None, after: str | None) -> None:
        for name, sign in (("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")):
            if name in created:
                self.tests.append(f"o.created {sign} ?")
                self.values.append(created[name])
        for edge, sign in ((after, "<"), (before, ">")):
            if edge is not None:
                self.tests.append(f"{self.seq} {sign} (SELECT seq FROM objects WHERE id = ?)")  # noqa: S608
                self.values.append(edge)

    def ordered(self, *, ascending: bool, limit: int) -> tuple[str, tuple[Any, ...]]:
        tests, direction = " AND ".join(self.tests), "ASC" if ascending else "DESC"
        text = f"SELECT o.body FROM {self.source} WHERE {tests} ORDER BY {self.seq} {direction} LIMIT ?"  # noqa: S608
        return text, (*self.values, limit)


class Transaction:
    """One consistent view; `now` is the epoch second of everything that is written in it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.sql = connection.execute
        self.now = int(time.time())
        self.emitted: dict[str, str] = {}  # type to id of the newest event of this transaction

    def find(self, object_id: str, kind: str | None = None) -> Object | None:
        row = self.sql("SELECT kind, body FROM objects WHERE id = ?", (object_id,)).fetchone()
        if row is None or kind not in (None, row[0]):
            return None
        found: Object = json.loads(row[1])
        return found

    def put(self, document: Object) -> Object:
        """Insert or replace the document under its id."""
        kind, body = document["object"], json.dumps(document, ensure_ascii=False)
        row = self.sql("UPDATE objects SET body = ? WHERE id = ? RETURNING seq", (body, document["id"])).fetchone()
        if row is None:
            created = document.get("created", self.now)
            cursor = self.sql(
                "INSERT INTO objects (id, kind, created, body) VALUES (?, ?, ?, ?)",
                (document["id"], kind, created, body),
            )
            seq = cursor.lastrowid
        else:
            seq = row[0]
            self.sql("DELETE FROM object_keys WHERE seq = ? AND name NOT LIKE '!%'", (seq,))
        for name in INDEXED.get(kind, ()):
            value = _at(document, name)
            if value is not None:
                self.sql("INSERT INTO object_keys VALUES (?, ?, ?, ?)", (kind, name, key_text(value), seq))
        return document

    def mark(self, document_id: str, name: str, value: str) -> None:
        """Set a key that is not part of the document (its name begins with `!`), for lists to filter by."""
        kind, seq = self.sql("SELECT kind, seq FROM objects WHERE id = ?", (document_id,)).fetchone()
        self.sql("DELETE FROM object_keys WHERE seq = ? AND name = ?", (seq, name))
        self.sql("INSERT INTO object_keys VALUES (?, ?, ?, ?)", (kind, name, value, seq))

    def delete(self, object_id: str) -> None:
        row = self.sql("DELETE FROM objects WHERE id = ? RETURNING seq", (object_id,)).fetchone()
        if row is not None:
            self.sql("DELETE FROM object_keys WHERE seq = ?", row)

    def page(
        self,
        kind: str,
        *,
        filters: Mapping[str, Sequence[str]] | None = None,
        created: Mapping[str, int] | None = None,
        before: str | None = None,
        after: str | None = None,
        limit: int = 10,
    ) -> list[Object]:
        """Documents of a kind, newest first.

        `filters`: key name to the values of which one must match (`*` is a wildcard in the types of events).
        `created`: any of gt, gte, lt, lte. `after` goes on below that id, `before` gives the rows just above it (also
        newest first).
        """
        query = _Query(kind)
        for name, wanted in (filters or {}).items():
            query.match(name, wanted)
        query.between(created or {}, before=before, after=after)
        rows = self.sql(*query.ordered(ascending=before is not None, limit=limit)).fetchall()
        found = [json.loads(body) for (body,) in rows]
        return found[::-1] if before is not None else found

    def count(self, kind: str) -> int:
        number: int = self.sql("SELECT count(*) FROM objects WHERE kind = ?", (kind,)).fetchone()[0]
        return number

    def schedule(self, task: str, target: str, *, seconds: float) -> None:
        self.sql("INSERT INTO due_work (due, task, target) VALUES (?, ?, ?)", (time.time() + seconds, task, target))

    def unschedule(self, target: str, task: str) -> None:
        self.sql("DELETE FROM due_work WHERE target = ? AND task = ?", (target, task))


class Store:
    """Connections are pooled: a thread per connection would otherwise open the file for every request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with self._connection() as connection:
            connection.execute("BEGIN")
            try:
                yield Transaction(connection)
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def clear(self) -> None:
        """Forget everything."""
        with self.write() as tx:
            for table in TABLES:
                tx.sql(f"DELETE FROM {table}")  # noqa: S608 - names from the list above

    def close(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30)
            connection.execute("PRAGMA synchronous = NORMAL")
        try:
            yield connection
        finally:
            with self._lock:
                self._idle.append(connection)
