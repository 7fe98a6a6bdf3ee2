"""Publish in the caller's transaction; deliver later, retried, once per subscriber."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from apps.common import leases, rows, stopping
from apps.common.logs import blank
from apps.outbox.models import Delivery

logger = logging.getLogger(__name__)

Subscriber = Callable[[dict[str, Any]], None]

LEASE = timedelta(minutes=2)
BATCH = 20
MAX_ATTEMPTS = 15

_subscribers: dict[str, dict[str, Subscriber]] = {}


class Later(Exception):
    """A subscriber has to wait for something: deliver to it again after `wait`. This is no failure."""

    def __init__(self, wait: timedelta) -> None:
        self.wait = wait
        super().__init__(f"again in {wait}")


def subscribe(kind: str, name: str, function: Subscriber) -> None:
    """Let `function` hear of every `kind`. Only the composition root calls this.

    The function runs inside a transaction that also marks its delivery done: it must not call anything over the
    network, and raises to be tried again, Later when it is only too early.
    """
    _subscribers.setdefault(kind, {})[name] = function


def subscribers() -> dict[str, list[str]]:
    """Who hears of what: the subscribers' names by kind."""
    return {kind: list(named) for kind, named in _subscribers.items()}


def publish(kind: str, key: str, payload: Mapping[str, Any]) -> None:
    """Note for every subscriber that `kind` happened to `key`, in the caller's transaction.

    The same kind and key again changes nothing. One statement, whatever the number of subscribers.
    """
    now = timezone.now()
    text = json.dumps(payload, separators=(",", ":"))
    rows.insert_unless_known(
        [
            Delivery(kind=kind, key=key, subscriber=name, payload=text, due_at=now, created_at=now)
            for name in _subscribers.get(kind, {})
        ]
    )


def deliver_due(limit: int = 100) -> int:
    """Deliver what is due, oldest first. Returns how many deliveries were tried.

    Any number of processes may do so at once.
    """
    waiting = Delivery.objects.filter(state=Delivery.State.DUE)
    tried = 0
    while tried < limit and not stopping.asked():
        batch = leases.claim(waiting, lease=LEASE, limit=min(BATCH, limit - tried))
        if not batch:
            break
        for number, delivery in enumerate(batch):
            if stopping.asked() or leases.is_short(delivery):
                leases.give_back(batch[number:])
                break
            deliver(delivery)
            tried += 1
    return tried


def deliver(delivery: Delivery) -> bool:
    """Run the subscriber and mark the row done in one transaction. A failure is kept and retried with backoff.

    The row was claimed; once another process has taken it over, nothing happens here.
    """
    if delivery.attempts > MAX_ATTEMPTS:
        _give_up_after_deaths(delivery)
        return False
    try:
        with transaction.atomic(durable=True):
            row = leases.held(delivery).select_for_update().first()
            if row is None:
                return False
            _subscribers[row.kind][row.subscriber](json.loads(row.payload))
            row.state, row.done_at, row.lease_until, row.last_error = (
                Delivery.State.DONE,
                timezone.now(),
                None,
                "",
            )
            row.save(update_fields=["state", "done_at", "lease_until", "last_error"])
    except Later as later:
        leases.held(delivery).update(
            due_at=timezone.now() + later.wait, lease_until=None, attempts=delivery.attempts - 1
        )
        return False
    except Exception:  # a subscriber may fail in any way; the row keeps the reason
        logger.warning("delivery_failed", extra={"delivery": delivery.pk, "kind": delivery.kind}, exc_info=True)
        _keep_failure(delivery, traceback.format_exc())
        return False
    return True


def _keep_failure(delivery: Delivery, error: str) -> None:
    delay = min(2**delivery.attempts, 3600)
    leases.held(delivery).update(
        state=Delivery.State.DEAD if delivery.attempts >= MAX_ATTEMPTS else Delivery.State.DUE,
        due_at=timezone.now() + timedelta(seconds=delay),
        lease_until=None,
        last_error=blank(error[-4000:]),
    )


def _give_up_after_deaths(delivery: Delivery) -> None:
    """Every try before ended without an outcome: the process that made it was killed, perhaps by it."""
    logger.error("delivery_kills_workers", extra={"delivery": delivery.pk, "kind": delivery.kind})
    leases.held(delivery).update(
        state=Delivery.State.DEAD,
        lease_until=None,
        attempts=MAX_ATTEMPTS,
        last_error="The process that made this delivery died every time.",
    )


def revive(deliveries: Any) -> int:
    """Make failed deliveries due again, for staff. Done ones stay done. Returns how many."""
    return int(
        deliveries.filter(~Q(state=Delivery.State.DONE)).update(
            state=Delivery.State.DUE, due_at=timezone.now(), lease_until=None, attempts=F("attempts") * 0
        )
    )
