"""Each invariant can fail: rows that break it, put there behind the services' back, are named by `verify`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from apps.catalog.models import ProductVariant
from apps.inventory.models import StockHold, StockMovement
from apps.orders.models import Order, OrderItem, OrderTransition
from apps.payment.invariants import verify
from apps.payment.models import (
    AttentionCase,
    Dispute,
    Payment,
    PaymentMethod,
    Refund,
    StripeCustomer,
    StripeWebhookEvent,
)
from tests.support.shop import Shop, Stripe, make_user, make_variant, work

pytestmark = pytest.mark.django_db(transaction=True)


def refund(status: str, amount: int = 1000, **columns: Any) -> Refund:
    key = f"pr_{Refund.objects.count()}"
    defaults: dict[str, Any] = {"source": "staff", "reference": key, "idempotency_key": key, "currency": "USD"}
    return Refund.objects.create(payment=Payment.objects.get(), amount=amount, status=status, **(defaults | columns))


def dispute(status: str, amount: int = 3000) -> None:
    before = timezone.now() - timedelta(minutes=1)
    Dispute.objects.create(
        payment=Payment.objects.get(),
        stripe_dispute_id=f"du_{status}",
        amount=amount,
        currency="USD",
        status=status,
        created_at=before,
        told_at=before,
    )


def method(**columns: Any) -> None:
    user = make_user("saver@example.com")
    customer = StripeCustomer.objects.create(
        user=user, livemode=False, stripe_customer_id="cus_1", idempotency_key="cus_1", request_params="{}"
    )
    values = {"user": user, "customer": customer, "stripe_payment_method_id": "pm_1", "type": "card"}
    PaymentMethod.objects.create(told_at=timezone.now(), **(values | columns))


def everyone(model: Any, **columns: Any) -> Callable[[], Any]:
    return lambda: model.objects.update(**columns)


def move(kind: str, quantity: int) -> Callable[[], Any]:
    def write() -> None:
        variant = ProductVariant.objects.get()
        effect = {"effect": "refund/x"} if kind == "restock" else {}
        order_id = Order.objects.get().pk
        StockMovement.objects.create(variant=variant, quantity=quantity, kind=kind, order_id=order_id, **effect)

    return write


def succeed_refund(**payment: Any) -> Callable[[], Any]:
    def write() -> None:
        refund("succeeded")
        Payment.objects.update(**payment)

    return write


def lose(**payment: Any) -> Callable[[], Any]:
    def write() -> None:
        dispute("lost")
        refund("succeeded")
        Payment.objects.update(amount_refunded=1000, amount_lost=3000, status="partially_refunded", **payment)

    return write


def refund_against_a_dispute() -> None:
    dispute("needs_response")
    refund("pending")


BREAKS: list[tuple[str, Callable[[], Any]]] = [
    ("I1", everyone(ProductVariant, stock=9)),
    ("I3", everyone(StockMovement, quantity=-4)),
    ("I3", everyone(Order, status="pending", payment_status="pending", expires_at=timezone.now())),
    ("I4", move("restock", 4)),
    ("I5", everyone(Order, status="pending", payment_status="pending", expires_at=timezone.now() - timedelta(hours=1))),
    ("I6", everyone(Payment, applied=False)),
    ("I6", everyone(Payment, amount_captured=2999)),
    ("I7", everyone(Payment, applied=False)),
    ("I8", everyone(Order, subtotal=1, total=1)),
    ("I9", lambda: refund("pending", 3001)),
    ("I9", lambda: refund("rejected", currency="EUR")),
    ("I10", lambda: refund("succeeded")),
    ("I10", succeed_refund(amount_refunded=1000)),
    ("I10", succeed_refund(amount_refunded=1000, status="partially_refunded")),
    ("I10", lambda: dispute("lost")),
    ("I12", everyone(StripeWebhookEvent, state="dead", reason="")),
    ("I2", everyone(ProductVariant, held=1)),
    ("I17", everyone(Order, transitions=9)),
    ("I17", everyone(Order, transitions=1)),
    ("I17", everyone(Order, transitions=0)),
    ("I17", lambda: OrderTransition.objects.filter(seq=1).delete()),
    ("I17", lambda: OrderTransition.objects.filter(seq=1).update(seq=0)),
    ("I17", lambda: OrderTransition.objects.filter(seq=2).update(from_status="shipped")),
    ("I17", lambda: OrderTransition.objects.filter(seq=2).update(from_payment_status="")),
    ("I17", everyone(Order, status="shipped")),
    ("I17", lambda: OrderTransition.objects.filter(seq=2).update(to_status="pending", to_payment_status="pending")),
    ("I21", lose()),
    ("I21", refund_against_a_dispute),
    ("I22", lambda: method(user=make_user("other@example.com"))),
    ("I23", everyone(Payment, livemode=True)),
]


@pytest.mark.parametrize(("name", "break_it"), BREAKS)
def test_what_breaks_an_invariant_is_named(
    shop: Shop, stripe_sandbox: Stripe, name: str, break_it: Callable[[], Any]
) -> None:
    shop.add(make_variant("MUG", price=1000, stock=10), 3)
    shop.buy(stripe_sandbox)
    assert verify() == []
    break_it()
    assert name in {broken.name for broken in verify()}


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        (everyone(Order, total=1), "order_total_adds_up"),
        (everyone(OrderItem, line_total=1), "order_item_total_adds_up"),
        (everyone(Order, payment_status="failed"), "order_failed_only_with_cancelled"),
        (everyone(Order, expires_at=timezone.now()), "order_expires_only_while_pending"),
        (everyone(Payment, status="failed"), "payment_applied_has_succeeded"),
        (everyone(Payment, amount_refunded=3001), "payment_refunds_within_captured"),
        (lambda: refund("pending", 0), "refund_positive"),
        (lambda: method(state="removed", is_default=True), "method_default_only_while_saved"),
    ],
)
def test_what_the_database_refuses_by_itself(
    shop: Shop, stripe_sandbox: Stripe, change: Callable[[], Any], constraint: str
) -> None:
    shop.add(make_variant("MUG", price=1000, stock=10), 3)
    shop.buy(stripe_sandbox)
    with pytest.raises(IntegrityError, match=constraint):
        change()


def test_a_hold_of_an_ended_order_is_named(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant())
    shop.checkout()
    ProductVariant.objects.update(held=0)
    assert {broken.name for broken in verify()} == {"I2"}
    ProductVariant.objects.update(held=1)
    Order.objects.update(status="cancelled", payment_status="failed", expires_at=None)
    assert {broken.name for broken in verify()} == {"I5", "I17"}
    assert StockHold.objects.get().state == "active"


def test_what_staff_was_told_of_is_no_break(shop: Shop, stripe_sandbox: Stripe) -> None:
    """Money kept for staff, and a bank that took what was refunded already: facts, not faults."""
    shop.add(make_variant("MUG", price=1000, stock=10), 3)
    shop.buy(stripe_sandbox)
    lose()()
    AttentionCase.objects.create(payment=Payment.objects.get(), kind="lost_twice", detail="")
    Order.objects.update(payment_status="partially_refunded")
    assert "I21" not in {broken.name for broken in verify()}


def test_a_bank_that_takes_what_was_refunded_already_is_told_to_staff(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG", price=1000, stock=10), 3)
    shop.buy(stripe_sandbox)
    intent = Payment.objects.get().stripe_payment_intent_id
    stripe_sandbox.sandbox.control("refund", payment_intent=intent, amount=1000)
    stripe_sandbox.digest()
    opened = stripe_sandbox.sandbox.control(f"charges/{intent}/dispute", amount=3000)
    stripe_sandbox.sandbox.control(f"disputes/{opened['dispute']['id']}/decide", outcome="lost")
    stripe_sandbox.digest()
    payment = Payment.objects.get()
    assert (payment.amount_refunded, payment.amount_lost, payment.amount_captured) == (1000, 3000, 3000)
    case = AttentionCase.objects.get(kind="lost_twice")
    assert case.detail == "40.00 USD of 30.00 USD went back: a bank took what was refunded already"
    work()
    assert verify() == []
