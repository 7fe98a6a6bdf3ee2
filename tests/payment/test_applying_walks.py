"""Staff, the worker, the buyer, the bank and other buyers at the same late money, in orders that nobody thought of."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from django.db import transaction

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.common.errors import DomainError
from apps.inventory.models import StockMovement
from apps.inventory.services import adjust
from apps.orders.models import Order
from apps.payment.invariants import verify
from apps.payment.models import AttentionCase, Payment, Refund
from apps.payment.services.applying import apply_payment
from apps.payment.services.carrying_out import finish_refunds
from apps.payment.services.refund_requests import approve, reject, request_refund
from apps.payment.services.refunds import RefundWish, intend_refund
from tests.support.shop import Shop, Stripe, make_variant
from tests.support.stray import late_money

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = 25


class Walk:
    """One seed's walk over three late payments and a shelf of two mugs."""

    def __init__(self, seed: int, stripe: Stripe) -> None:
        self.random = random.Random(seed)
        self.stripe = stripe
        self.boss = User.objects.create_superuser("boss@example.com", "correct horse battery")
        self.mug: ProductVariant = make_variant("MUG", stock=2, price=1000)
        self.payments = [late_money(stripe, self.mug) for _ in range(3)]
        self.told: Counter[str] = Counter()

    def step(self) -> None:
        names = [name for name in dir(self) if name.startswith("do_")]
        name = self.random.choice([*names, "do_apply", "do_apply"])
        payment = Payment.objects.get(pk=self.random.choice(self.payments).pk)
        try:
            getattr(self, name)(payment)
        except DomainError as refusal:
            self.told[f"{name} {refusal.code}"] += 1
        else:
            self.told[name] += 1

    def do_apply(self, payment: Payment) -> None:
        """Stripe, asked first, may know of a refund that is not here, or of the end of one that is."""
        apply_payment(payment, reason="The goods are here.", by=self.boss)

    def do_intend(self, payment: Payment) -> None:
        amount = self.random.choice([None, 400])
        intend_refund(payment=payment, wish=RefundWish(amount=amount), source=Refund.Source.STAFF, by=self.boss)

    def do_request(self, payment: Payment) -> None:
        request_refund(payment=payment, wish=RefundWish(), by=None)

    def do_decide(self, payment: Payment) -> None:
        for refund in payment.refunds.filter(status="requested"):
            if self.random.random() < 0.3:
                approve(refund, by=self.boss)
            else:
                reject(refund, by=self.boss, note="worn")

    def do_work(self, payment: Payment) -> None:
        finish_refunds(limit=1)

    def do_refund_at_stripe(self, payment: Payment) -> None:
        """In the Dashboard; its event comes with the next digest."""
        charge = self.stripe.sandbox.get(f"/v1/payment_intents/{payment.stripe_payment_intent_id}")["latest_charge"]
        if self.random.random() < 0.3 and not self.stripe.sandbox.get(f"/v1/charges/{charge}")["amount_refunded"]:
            self.stripe.sandbox.control("refund", payment_intent=payment.stripe_payment_intent_id, amount=300)

    def do_fail_a_refund(self, payment: Payment) -> None:
        refund = payment.refunds.filter(status="succeeded").exclude(stripe_refund_id=None).first()
        if refund is not None:
            self.stripe.sandbox.control(f"refunds/{refund.stripe_refund_id}/set", status="failed")

    def do_digest(self, payment: Payment) -> None:
        self.stripe.deliver_new()

    def do_stock_up(self, payment: Payment) -> None:
        with transaction.atomic():
            adjust(variant_id=self.mug.pk, quantity=self.random.choice([1, -1]), reason="counted")

    def do_buy(self, payment: Payment) -> None:
        other = Shop()
        other.add(self.mug)
        other.checkout()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (1, 2, 3))])
def test_whatever_comes_first_the_books_are_right(seed: int, stripe_sandbox: Stripe, settings: Any) -> None:
    settings.LATE_PAYMENT_POLICY = "staff"
    walk = Walk(seed, stripe_sandbox)
    for number in range(STEPS):
        walk.step()
        assert verify() == [], (seed, number, walk.told)
    stripe_sandbox.digest()
    assert verify() == [], (seed, walk.told)
    applied = Payment.objects.filter(applied=True)
    assert walk.told["do_apply"] == applied.count()
    assert StockMovement.objects.filter(kind="sale").count() == applied.count()
    assert Order.objects.filter(payment_status__in=Order.PAID).count() == applied.count()
    for payment in walk.payments:
        at_stripe = [
            refund["amount"]
            for refund in stripe_sandbox.sandbox.objects("refund")
            if refund["payment_intent"] == payment.stripe_payment_intent_id and refund["status"] == "succeeded"
        ]
        payment.refresh_from_db()
        assert payment.amount_refunded == sum(at_stripe)
        stray = not payment.applied and payment.amount_refunded < payment.amount_captured
        assert stray <= (
            AttentionCase.objects.filter(payment=payment, solved_at=None).exists()
            or payment.refunds.filter(status="pending").exists()
        )
