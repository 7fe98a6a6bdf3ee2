"""Events that Stripe has and the shop does not: stored and worked on as if they had just been delivered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from apps.payment import gateway
from apps.payment.gateway import Span
from apps.payment.models import Payment, PaymentMethod, StripeCustomer, StripeWebhookEvent
from apps.payment.services.reconcile.attempts import IN_FLIGHT
from apps.payment.services.reconcile.report import Report, Step
from apps.payment.webhooks import inbox
from apps.payment.webhooks.handlers import HANDLERS
from apps.payment.webhooks.snapshots import snapshot_of

LISTED_FOR = timedelta(days=30)
"""As far as Stripe lists events."""

State = StripeWebhookEvent.State
Event = Mapping[str, Any]


def read_events(report: Report, missing: list[Event]) -> Iterator[Step]:
    """Collect what is not stored and concerns something that is here. A minute is left to deliveries."""
    oldest = timezone.now() - LISTED_FOR + timedelta(minutes=1)
    span = Span(max(report.span.start, oldest), report.span.end - IN_FLIGHT)
    for page in gateway.event_pages(sorted(HANDLERS), span):
        ids = [event["id"] for event in page.objects]
        here = set(StripeWebhookEvent.objects.filter(stripe_id__in=ids).values_list("stripe_id", flat=True))
        missing += _ours([event for event in page.objects if event["id"] not in here])
        yield report.page_read("events", page, span)


def settle_event(report: Report, event: Event) -> None:
    """Store one event and work on it, in the way that a delivery does."""
    if StripeWebhookEvent.objects.filter(stripe_id=event["id"]).exists():
        return

    def mend() -> str:
        payload = json.dumps(event).encode()
        inbox.store(snapshot_of(payload), sha256=hashlib.sha256(payload).hexdigest())
        inbox.process(event["id"])
        stored = StripeWebhookEvent.objects.get(stripe_id=event["id"])
        if stored.state in (State.DONE, State.IGNORED):
            return ""
        return f"it is stored and {stored.state}: {stored.reason or 'its handler failed'}"

    order = gateway.texts_of(_told_of(event).get("metadata")).get("proshop_order", "")
    report.settle("event", event["id"], order=order, detail=f"{event['type']} never came", mend=mend)


def _ours(events: Sequence[Event]) -> list[Event]:
    """Those that speak of a payment, a customer or a method that is here, in three statements.

    An account may have other shops, and its events of before this one was set up.
    """
    names = {event["id"]: _names(_told_of(event)) for event in events}
    every: set[str] = set().union(*names.values())
    payments = Payment.objects.filter(
        Q(reference__in=every) | Q(stripe_payment_intent_id__in=every) | Q(stripe_charge_id__in=every)
    ).values_list("reference", "stripe_payment_intent_id", "stripe_charge_id")
    known = {name for row in payments for name in row if name}
    for model, name in ((StripeCustomer, "stripe_customer_id"), (PaymentMethod, "stripe_payment_method_id")):
        known |= set(model.objects.filter(**{f"{name}__in": every}).values_list(name, flat=True))
    return [event for event in events if names[event["id"]] & known]


def _names(told: Event) -> set[str]:
    """By what an event's object, and what it belongs to, may be known here."""
    by_person = told.get("object") in ("payment_method", "setup_intent")
    found = {
        gateway.id_of(told.get("id")),
        gateway.id_of(told.get("payment_intent")),
        gateway.id_of(told.get("charge")),
        gateway.id_of(told.get("customer")) if by_person else "",
        gateway.texts_of(told.get("metadata")).get("proshop_payment", ""),
    }
    return found - {""}


def _told_of(event: Event) -> Event:
    told: Event = event["data"]["object"]
    return told
