"""Orders, payments, refunds, disputes and cases written straight into the tables, at times of the test's choosing."""

from __future__ import annotations

import itertools
import random
from datetime import datetime, timedelta
from typing import Any

from apps.catalog.models import ProductVariant
from apps.orders.models import Order, OrderItem
from apps.payment.models import Dispute, Payment, Refund
from tests.support.shop import make_variant

numbers = itertools.count(1)
PAID = {"status": "confirmed", "payment_status": "paid", "expires_at": None}


class Books:
    """A shop's books from a seed: the same seed writes the same books."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.random = random.Random(seed)
        self.now = now
        self.variant: ProductVariant = make_variant(f"BOOKS-{next(numbers)}", stock=None)

    def order(self, currency: str, total: int, *, at: datetime, **fields: Any) -> Order:
        """An order of one line that waits for its money."""
        number = next(numbers)
        order = Order.objects.create(
            number=f"ORD-{at:%Y%m%d}-{number:05}",
            email=f"buyer{number}@example.com",
            currency=currency,
            subtotal=total,
            total=total,
            **{"expires_at": at + timedelta(minutes=31), **fields},
        )
        Order.objects.filter(pk=order.pk).update(created_at=at)
        OrderItem.objects.create(
            order=order,
            variant=self.variant,
            sku=self.variant.sku,
            name="Thing",
            kind="physical",
            quantity=1,
            unit_price=total,
            line_total=total,
        )
        order.refresh_from_db()
        return order

    def paid(self, order: Order, *, at: datetime) -> Payment:
        """The order's money came."""
        number = next(numbers)
        Order.objects.filter(pk=order.pk).update(**PAID, paid_at=at)
        return Payment.objects.create(
            order=order,
            attempt=1,
            reference=f"pp_{number}",
            idempotency_key=f"pp_{number}-1",
            request_params="{}",
            status=Payment.Status.SUCCEEDED,
            applied=True,
            amount=order.total,
            amount_captured=order.total,
            currency=order.currency,
            livemode=False,
            stripe_session_id=f"cs_test_{number}",
            stripe_payment_intent_id=f"pi_{number}",
            stripe_charge_id=f"ch_{number}",
            method_type="card",
            brand="visa",
            last4=f"{number % 10000:04}",
            paid_at=at,
        )

    def refund(self, payment: Payment, amount: int, *, at: datetime, status: str = "succeeded") -> Refund:
        number = next(numbers)
        return Refund.objects.create(
            payment=payment,
            reference=f"pr_{number}",
            idempotency_key=f"pr_{number}-1",
            amount=amount,
            currency=payment.currency,
            status=status,
            reason="other",
            stripe_refund_id=f"re_{number}",
            succeeded_at=at,
        )

    def dispute(self, payment: Payment, *, at: datetime, status: str = "needs_response") -> Dispute:
        number = next(numbers)
        return Dispute.objects.create(
            payment=payment,
            stripe_dispute_id=f"dp_{number}",
            stripe_charge_id=payment.stripe_charge_id or "",
            amount=payment.amount_captured,
            currency=payment.currency,
            reason="fraudulent",
            status=status,
            due_by=at + timedelta(days=7),
            told_at=at,
            created_at=at,
        )

    def fill(self, orders: int) -> None:
        """Orders of the last ten weeks in three currencies: some unpaid, refunded, disputed or stray."""
        pick = self.random
        for _ in range(orders):
            at = self.now - timedelta(
                seconds=pick.randrange(10 * 7 * 86400) if pick.random() < 0.7 else pick.randrange(86400)
            )
            order = self.order(pick.choice(["USD", "EUR", "JPY"]), pick.randrange(50, 99999), at=at)
            chance = pick.random()
            if chance < 0.25:
                ended = pick.choice(["expired", "superseded", "by_person"])
                gone = {"status": "cancelled", "payment_status": "failed", "expires_at": None, "ended": ended}
                Order.objects.filter(pk=order.pk).update(**gone)
                continue
            payment = self.paid(order, at=min(at + timedelta(minutes=pick.randrange(5000)), self.now))
            if chance < 0.35:
                Payment.objects.filter(pk=payment.pk).update(applied=False, problem="late")
            for _ in range(pick.choice([0, 0, 1, 2])):
                later = min(at + timedelta(hours=pick.randrange(300)), self.now)
                amount = pick.randrange(1, payment.amount_captured // 2 + 1)
                self.refund(payment, amount, at=later, status=pick.choice(["succeeded", "succeeded", "failed"]))
            if pick.random() < 0.15:
                status = pick.choice(["needs_response", "warning_needs_response", "lost", "won"])
                self.dispute(payment, at=min(at + timedelta(days=1), self.now), status=status)
