"""Publish in the caller's transaction; deliver later, retried, once per subscriber."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from apps.outbox.models import Delivery

logger = logging.getLogger(__name__)

Subscriber = Callable[[dict[str, Any]], None]

LEASE = timedelta(minutes=2)
MAX_ATTEMPTS = 15

_subscribers: dict[str, dict[str, Subscriber]] = {}


def subscribe(kind: str, name: str, function: Subscriber) -> None:
    """Let `function` hear of every `kind`. Only the composition root calls this.

    The function runs inside a transaction that also marks its delivery done: it must not call anything over the
    network, and raises to be tried again.
    """
    _subscribers.setdefault(kind, {})[name] = function


def publish(kind: str, key: str, payload: Mapping[str, Any]) -> None:
    """Note for every subscriber that `kind` happened to `key`, in the caller's transaction.

    The same kind and key again changes nothing. One statement, whatever the number of subscribers.
    """
    now = timezone.now()
    text = json.dumps(payload, separators=(",", ":"))
    Delivery.objects.bulk_create(
        [
            Delivery(kind=kind, key=key, subscriber=name, payload=text, due_at=now, created_at=now)
            for name in _subscribers.get(kind, {})
        ],
        ignore_conflicts=True,
    )


def deliver_due(limit: int = 100) -> int:
    """Deliver what is due, oldest first. Returns how many deliveries were tried."""
    tried = 0
    while tried < limit:
        delivery = _claim()
        if delivery is None:
            break
        deliver(delivery)
        tried += 1
    return tried


def _claim() -> Delivery | None:
    """Take one due row under a lease, so that a worker that dies only delays it."""
    now = timezone.now()
    skip = connection.features.has_select_for_update_skip_locked
    with transaction.atomic(durable=True):
        delivery = (
            Delivery.objects.select_for_update(skip_locked=skip)
            .filter(state=Delivery.State.DUE, due_at__lte=now)
            .filter(Q(lease_until=None) | Q(lease_until__lt=now))
            .order_by("due_at", "pk")
            .first()
        )
        if delivery is None:
            return None
        delivery.lease_until = now + LEASE
        delivery.attempts += 1
        delivery.save(update_fields=["lease_until", "attempts"])
    return delivery


def deliver(delivery: Delivery) -> bool:
    """Run the subscriber and mark the row done in one transaction. A failure is kept and retried with backoff."""
    try:
        with transaction.atomic(durable=True):
            row = Delivery.objects.select_for_update().get(pk=delivery.pk)
            if row.state == Delivery.State.DONE:
                return True
            _subscribers[row.kind][row.subscriber](json.loads(row.payload))
            row.state, row.done_at, row.lease_until, row.last_error = (
                Delivery.State.DONE,
                timezone.now(),
                None,
                "",
            )
            row.save(update_fields=["state", "done_at", "lease_until", "last_error"])
    except Exception:  # a subscriber may fail in any way; the row keeps the reason
        logger.warning("delivery_failed", extra={"delivery": delivery.pk, "kind": delivery.kind}, exc_info=True)
        _keep_failure(delivery, traceback.format_exc())
        return False
    return True


def _keep_failure(delivery: Delivery, error: str) -> None:
    delay = min(2**delivery.attempts, 3600)
    Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.DUE).update(
        state=Delivery.State.DEAD if delivery.attempts >= MAX_ATTEMPTS else Delivery.State.DUE,
        due_at=timezone.now() + timedelta(seconds=delay),
        lease_until=None,
        last_error=error[-4000:],
    )


def revive(deliveries: Any) -> int:
    """Make failed deliveries due again, for staff. Done ones stay done. Returns how many."""
    return int(
        deliveries.filter(~Q(state=Delivery.State.DONE)).update(
            state=Delivery.State.DUE, due_at=timezone.now(), lease_until=None, attempts=F("attempts") * 0
        )
    )
