"""Delivers events: signed, at least once, again with growing pauses until the endpoint answers 2xx."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from stripe import WebhookSignature

from apps.sandbox.store import Object, Store, Transaction, public

log = logging.getLogger(__name__)

TIMEOUT = 10.0  # seconds an endpoint has for its answer
PAUSES = (1, 3, 10, 30, 60, 300, 900, 3600)  # seconds before each retry; then it is given up
WORKERS = 8
EXCERPT = 300  # characters kept of an endpoint's answer
UNANSWERED = ("pending", "sending")


@dataclass(frozen=True)
class Answer:
    """What an endpoint said; `status` is None when nothing came. Redirects count as failures."""

    status: int | None
    text: str
    seconds: float

    @property
    def good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def pending_webhooks(tx: Transaction, event_id: str) -> int:
    """To how many endpoints the event has not been delivered yet."""
    row = tx.sql(
        "SELECT count(DISTINCT endpoint) - count(DISTINCT CASE state WHEN 'delivered' THEN endpoint END)"
        " FROM deliveries WHERE event = ?",
        (event_id,),
    ).fetchone()
    number: int = row[0]
    return number


def with_pending(tx: Transaction, event: Object) -> Object:
    return {**event, "pending_webhooks": pending_webhooks(tx, event["id"])}


def requeue(tx: Transaction, event: Object, *, copies: int = 1, delay: float = 0) -> list[int]:
    """Queue the event again for its endpoints, whatever the rules say; the ids of the deliveries."""
    rows = tx.sql("SELECT DISTINCT endpoint FROM deliveries WHERE event = ? ORDER BY id", (event["id"],)).fetchall()
    targets = [row[0] for row in rows] or [e["id"] for e in tx.page("webhook_endpoint", limit=100)]
    tx.sql(
        "UPDATE deliveries SET state = 'replaced' WHERE event = ? AND state IN ('held', 'dropped', 'failed')",
        (event["id"],),
    )
    made = []
    for _ in range(copies):
        for endpoint in targets:
            cursor = tx.sql(
                "INSERT INTO deliveries (event, endpoint, state, due) VALUES (?, ?, 'pending', ?)",
                (event["id"], endpoint, time.time() + delay),
            )
            made.append(int(cursor.lastrowid or 0))
    return made


class Courier:
    """Threads that deliver what is due. A delivery that a crash interrupts is made again."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.wake = threading.Event()
        self._stop = threading.Event()
        self._sending: set[int] = set()
        self._lock = threading.Lock()
        self._answered = threading.Condition()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="courier")
        self._thread = threading.Thread(target=self._loop, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.wake.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self.wake.clear()
            try:
                due = self._claim()
            except Exception:
                log.exception("Looking for due deliveries failed")
                due = []
            for delivery in due:
                self._pool.submit(self._send_quietly, delivery)
            self.wake.wait(0.2)

    def _claim(self) -> list[int]:
        with self._lock, self.store.read() as tx:
            rows = tx.sql(
                "SELECT id FROM deliveries WHERE state = 'pending' AND due <= ? ORDER BY due, id LIMIT 200",
                (time.time(),),
            ).fetchall()
            room = max(0, WORKERS * 4 - len(self._sending))
            free = [n for (n,) in rows if n not in self._sending][:room]
            self._sending.update(free)
            return free

    def _send_quietly(self, delivery: int) -> None:
        try:
            self.send(delivery)
        except Exception:
            log.exception("Delivery %s failed unexpectedly", delivery)
        finally:
            with self._lock:
                self._sending.discard(delivery)
            self.wake.set()

    def send(self, delivery: int) -> Answer | None:
        """Make one delivery now and record the answer. None when it is not there any more."""
        with self.store.read() as tx:
            row = tx.sql("SELECT event, endpoint FROM deliveries WHERE id = ?", (delivery,)).fetchone()
            event = tx.find(row[0], "event") if row else None
            endpoint = tx.find(row[1], "webhook_endpoint") if row else None
        if event is None:
            return None
        answer = post(endpoint, event) if endpoint else Answer(None, "The endpoint was deleted.", 0.0)
        with self.store.write() as tx:
            self._record(tx, delivery, event["id"], answer, gone=endpoint is None)
        with self._answered:
            self._answered.notify_all()
        return answer

    def _record(self, tx: Transaction, delivery: int, event_id: str, answer: Answer, *, gone: bool) -> None:
        row = tx.sql(
            "UPDATE deliveries SET attempts = attempts + 1, answer = ? WHERE id = ? RETURNING attempts",
            (f"{answer.status or ''} {answer.text}".strip()[:EXCERPT], delivery),
        ).fetchone()
        if row is None:
            return
        attempts = int(row[0])
        tx.sql(
            "INSERT INTO attempts (delivery, at, status, answer, seconds) VALUES (?, ?, ?, ?, ?)",
            (delivery, time.time(), answer.status, answer.text[:EXCERPT], answer.seconds),
        )
        if answer.good:
            tx.sql("UPDATE deliveries SET state = 'delivered' WHERE id = ?", (delivery,))
        elif gone or attempts > len(PAUSES):
            tx.sql("UPDATE deliveries SET state = 'failed' WHERE id = ?", (delivery,))
        else:
            due = time.time() + PAUSES[attempts - 1]
            tx.sql("UPDATE deliveries SET state = 'pending', due = ? WHERE id = ?", (due, delivery))
        if answer.good and pending_webhooks(tx, event_id) == 0 and tx.find(event_id) is not None:
            tx.mark(event_id, "!delivered", "true")

    def send_all(self, deliveries: Iterable[int], *, parallel: bool) -> list[dict[str, Any]]:
        """Make these deliveries before returning, one after another or at the same time."""
        numbers = list(deliveries)
        with self._lock:
            self._sending.update(numbers)
        try:
            if parallel:
                with ThreadPoolExecutor(min(64, len(numbers) or 1)) as pool:
                    answers = list(pool.map(self.send, numbers))
            else:
                answers = [self.send(number) for number in numbers]
        finally:
            with self._lock:
                self._sending.difference_update(numbers)
            self.wake.set()
        return [
            {"delivery": n, "status": a.status if a else None, "answer": a.text[:EXCERPT] if a else "gone"}
            for n, a in zip(numbers, answers, strict=True)
        ]

    def wait_for(self, event_id: str | None, seconds: float = TIMEOUT) -> None:
        """Wait until each delivery of the event was tried once; held and dropped ones are not waited for."""
        self.wake.set()
        deadline = time.monotonic() + seconds
        while event_id is not None and time.monotonic() < deadline:
            with self.store.read() as tx:
                waiting = tx.sql(
                    "SELECT 1 FROM deliveries WHERE event = ? AND state = 'pending' AND attempts = 0", (event_id,)
                ).fetchone()
            if waiting is None:
                return
            with self._answered:
                self._answered.wait(0.05)


def post(endpoint: Object, event: Object) -> Answer:
    """One signed POST, as Stripe sends it."""
    body = json.dumps(public(event), indent=2, ensure_ascii=False)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": WebhookSignature.generate_signature_header(body, endpoint["_secret"]),
        "Connection": "close",
    }
    started = time.monotonic()
    with requests.Session() as session:
        session.trust_env = False  # a proxy or .netrc of this machine has no business here
        try:
            response = session.post(
                endpoint["url"],
                data=body.encode(),
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            )
            text = response.raw.read(EXCERPT, decode_content=True).decode("utf-8", "replace")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return Answer(None, type(error).__name__, time.monotonic() - started)
    return Answer(response.status_code, text, time.monotonic() - started)
