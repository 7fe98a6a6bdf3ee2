"""Money that is at Stripe and paid for nothing here."""

from __future__ import annotations

from django.db import transaction

from apps.catalog.models import ProductVariant
from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.payment.models import Payment
from apps.payment.services.attempts import lock_payment
from tests.support.shop import Shop, Stripe


def end(order: Order) -> None:
    """The order ends while its buyer is paying: what it held is free again."""
    with transaction.atomic():
        for payment in order.payments.all():
            lock_payment(payment.pk)
        lifecycle.end_order(lifecycle.lock_order(order.pk), ended=Order.Ended.EXPIRED, reason="expired")


def late_money(stripe: Stripe, *variants: ProductVariant, quantity: int = 1, buyer: Shop | None = None) -> Payment:
    """Paid on Stripe's page, its order ended before the shop heard of it; the events are delivered, no work is done."""
    buyer = buyer or Shop()
    for variant in variants:
        buyer.add(variant, quantity)
    bought = buyer.checkout().json()
    stripe.pay(bought["session_id"])
    payment = Payment.objects.select_related("order").get(stripe_session_id=bought["session_id"])
    end(payment.order)
    stripe.deliver_new()
    payment.refresh_from_db()
    return payment
