"""Stored events lose what tells of a person: after ninety days, or when the person is forgotten. Their ids stay."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.common import stopping
from apps.payment.models import Payment, StripeWebhookEvent
from apps.payment.webhooks.snapshots import KEPT_TEXTS, RECEIPT, as_text, trimmed

KEPT_WHOLE = timedelta(days=90)
BATCH = 100


def trim(event: StripeWebhookEvent, *, kept: frozenset[str] = KEPT_TEXTS) -> None:
    """Trim one stored event for good, in memory too."""
    columns = trimmed_columns(event, kept=kept)
    StripeWebhookEvent.objects.filter(pk=event.pk).update(**columns)
    for name, value in columns.items():
        setattr(event, name, value)


def trim_for_forgotten(event: StripeWebhookEvent) -> None:
    """Trim an event that tells of a forgotten person. About a payment that only names them, say because its buyer wrote
    their address on the order, it still tells the buyer's receipt.
    """
    is_anothers = Payment.objects.filter(reference=event.about, erased_at=None).exists()
    trim(event, kept=KEPT_TEXTS | RECEIPT if is_anothers else KEPT_TEXTS)


def trimmed_columns(event: StripeWebhookEvent, *, kept: frozenset[str] = KEPT_TEXTS) -> dict[str, Any]:
    """What changes when an event is trimmed. The reason of a failure may quote what was told, so it goes as well."""
    payload = as_text(trimmed(json.loads(event.payload), kept=kept))
    return {"payload": payload, "trimmed_at": timezone.now(), "last_error": ""}


def trim_old(limit: int = 1000) -> int:
    """Trim events that came over ninety days ago, oldest first. Returns how many."""
    old = StripeWebhookEvent.objects.filter(trimmed_at=None, received_at__lt=timezone.now() - KEPT_WHOLE)
    done = 0
    while done < limit and not stopping.asked():
        batch = list(old.order_by("received_at").only("pk", "payload")[:BATCH])
        for event in batch:
            trim(event)
        done += len(batch)
        if len(batch) < BATCH:
            break
    return done
