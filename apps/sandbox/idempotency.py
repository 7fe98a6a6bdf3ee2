"""Idempotency keys: the first run's status and body are kept for 24 hours and given again.

Kept once execution began, a 500 and a decline included; not for refused parameters, wrong keys and conflicts.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from apps.sandbox.errors import ApiError, invalid
from apps.sandbox.forms import Form
from apps.sandbox.store import Transaction

KEPT_SECONDS = 24 * 3600
MAX_LENGTH = 255

_running: set[str] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class Kept:
    """An answer given before, with the id of the request that it was given to."""

    status: int
    body: str
    request_id: str
    replayed: bool = False


def fingerprint(method: str, path: str, form: Form) -> str:
    """Equal for calls that mean the same, in whatever order their parameters come."""
    return hashlib.sha256(f"{method} {path} {json.dumps(form, sort_keys=True)}".encode()).hexdigest()


@contextmanager
def exclusive(key: str | None) -> Iterator[None]:
    """Refuse a second call under a key whose first is still running. Raises ApiError 409."""
    if key is None:
        yield
        return
    if not 0 < len(key) <= MAX_LENGTH:
        raise invalid(f"Idempotency keys can have up to {MAX_LENGTH} characters.", "Idempotency-Key")
    with _lock:
        if key in _running:
            raise ApiError(
                "There is currently another in-progress request using this Idempotent Key (that probably means you"
                f" submitted twice, and the other request is still going through): {key}.",
                status=409,
                kind="idempotency_error",
                code="idempotency_key_in_use",
            )
        _running.add(key)
    try:
        yield
    finally:
        with _lock:
            _running.discard(key)


def recall(tx: Transaction, key: str, mark: str) -> Kept | None:
    """The answer kept under a key. Raises ApiError when it belongs to other parameters."""
    row = tx.sql(
        "SELECT fingerprint, status, body, request_id FROM idempotency WHERE key = ? AND expires > ?",
        (key, time.time()),
    ).fetchone()
    if row is None:
        return None
    if row[0] != mark:
        raise ApiError(
            "Keys for idempotent requests can only be used with the same parameters they were first used with."
            f" Try using a key other than '{key}' if you meant to execute a different request.",
            kind="idempotency_error",
        )
    return Kept(row[1], row[2], row[3])


def keep(tx: Transaction, key: str, mark: str, answer: Kept) -> None:
    tx.sql(
        "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?)",
        (key, mark, answer.status, answer.body, answer.request_id, time.time() + KEPT_SECONDS),
    )
