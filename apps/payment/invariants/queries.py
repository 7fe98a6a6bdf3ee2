"""Invariants of small tables, and those whose rows an index finds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from apps.inventory.models import StockHold
from apps.orders.models import Order
from apps.payment.models import Dispute, Payment, PaymentMethod, Refund, StripeWebhookEvent

EXPIRY_GRACE = timedelta(minutes=5)
"""How long after its end an order may still wait for the sweep."""

Check = tuple[str, str, QuerySet[Any]]
"""An invariant's name, its meaning, and the rows that break it."""


def queries() -> Iterator[Check]:
    yield from _waiting()
    yield from _payments()
    yield from _refunds()
    yield from _methods()


def _waiting() -> Iterator[Check]:
    pending = Order.objects.filter(status=Order.Status.PENDING)
    active = StockHold.objects.filter(state=StockHold.State.ACTIVE)
    unfounded = active.exclude(Exists(pending.filter(pk=OuterRef("order_id"))))
    yield "I5", "a hold is active only while its order is pending", unfounded
    late = timezone.now() - EXPIRY_GRACE
    yield "I5", "no order is past its expiry", Order.objects.filter(expires_at__lt=late)
    expiring = Order.objects.filter(expires_at__isnull=False)
    yield (
        "I5",
        "an order whose payment is on its way has no expiry",
        expiring.filter(payment_status=Order.PaymentStatus.PROCESSING),
    )
    twice = pending.filter(Exists(pending.filter(cart=OuterRef("cart"), pk__lt=OuterRef("pk"))))
    yield "I16", "a cart has at most one pending order", twice.filter(cart__isnull=False)


def _payments() -> Iterator[Check]:
    open_now = Payment.objects.filter(status__in=Payment.OPEN)
    twice = open_now.filter(Exists(open_now.filter(order=OuterRef("order"), pk__lt=OuterRef("pk"))))
    yield "I15", "an order has at most one open attempt", twice
    live = settings.PAYMENT_ENV == "live"
    yield "I23", "all payments are of one mode", Payment.objects.exclude(livemode=live)
    states = StripeWebhookEvent.State
    silent = StripeWebhookEvent.objects.filter(state__in=(states.DEAD, states.IGNORED), reason="")
    yield "I12", "an event that was not applied says why", silent


def _refunds() -> Iterator[Check]:
    yield "I9", "a refund is in its payment's currency", Refund.objects.exclude(currency=F("payment__currency"))
    forbidding = Dispute.objects.filter(payment=OuterRef("payment"), charge_refundable=False).exclude(
        status__in=Dispute.OVER
    )
    yield (
        "I21",
        "no refund is intended while a dispute forbids it",
        Refund.objects.filter(status=Refund.Status.PENDING, key_used_at=None)
        .exclude(source__in=(Refund.Source.STRIPE, Refund.Source.SHOP))
        .filter(Exists(forbidding.filter(created_at__lt=OuterRef("created_at"), told_at__lt=OuterRef("created_at")))),
    )


def _methods() -> Iterator[Check]:
    saved = PaymentMethod.objects.filter(state=PaymentMethod.State.SAVED)
    yield "I22", "a saved method belongs to its owner's customer", saved.exclude(customer__user=F("user"))
    yield "I22", "a saved method's customer is at Stripe", saved.filter(customer__stripe_customer_id=None)
    defaults = PaymentMethod.objects.filter(is_default=True)
    yield "I22", "only a saved method is a default", defaults.exclude(state=PaymentMethod.State.SAVED)
