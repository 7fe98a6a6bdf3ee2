"""Every order of the events of a payment that was partly refunded, twice, and disputed, ends in one state.

The 5,040 orders are walked as a tree through the real handlers and the real database: an event is applied inside a
savepoint, and a branch is cut where the same events led to the same rows before, since what follows is the same too.
What Stripe answers is asked once, beforehand: by then all seven things have happened there.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.catalog.models import ProductVariant
from apps.inventory.models import StockHold, StockMovement
from apps.orders.models import Order, OrderItem
from apps.outbox.models import Delivery
from apps.payment.invariants import verify
from apps.payment.models import AttentionCase, Dispute, Payment, Refund, StripeWebhookEvent
from apps.payment.services import ledger
from apps.payment.webhooks.handlers import HANDLERS
from tests.support.shop import Shop, Stripe, deliver, make_variant, work

WANTED = (
    "checkout.session.completed",
    "payment_intent.succeeded",
    "charge.succeeded",
    "refund.created",
    "refund.created",
    "refund.updated",
    "charge.dispute.created",
)


def buy_and_get_back(stripe_sandbox: Stripe, variant: ProductVariant) -> list[dict[str, Any]]:
    """One order with all that can happen to its money, at Stripe alone; the seven events in the order they came."""
    buyer = Shop()
    buyer.add(variant, 3)
    bought = buyer.checkout().json()
    stripe_sandbox.pay(bought["session_id"])
    events = stripe_sandbox.new_events()
    intent = next(e["data"]["object"]["id"] for e in events if e["type"] == "payment_intent.succeeded")
    for amount in (500, 700):
        stripe_sandbox.sandbox.control("refund", payment_intent=intent, amount=amount)
    stripe_sandbox.sandbox.control("advance", seconds=10)
    stripe_sandbox.sandbox.control(f"charges/{intent}/dispute", reason="product_not_received", amount=900)
    events += stripe_sandbox.new_events()
    found = []
    wanted = list(WANTED)
    for event in events:
        if event["type"] in wanted:
            wanted.remove(event["type"])
            found.append(event)
    assert wanted == []
    return found


def rows() -> tuple[Any, ...]:
    """What decides what happens next, and all that staff and buyer see; without times and running numbers."""
    return (
        *Order.objects.values_list("status", "payment_status", "ended", "email", "disputed", "expires_at"),
        *OrderItem.objects.values_list("quantity", "refunded_quantity"),
        *Payment.objects.values_list(
            "status", "applied", "problem", "amount_captured", "amount_refunded", "amount_lost", "disputed"
        ),
        *Payment.objects.values_list(
            "stripe_payment_intent_id", "stripe_charge_id", "brand", "last4", "receipt_url", "session_payment_status"
        ),
        *Refund.objects.order_by("stripe_refund_id").values_list("stripe_refund_id", "status", "amount", "source"),
        *Dispute.objects.values_list("stripe_dispute_id", "status", "amount", "charge_refundable", "net_moved"),
        *AttentionCase.objects.order_by("kind", "object_id").values_list("kind", "object_id", "detail"),
        *StockHold.objects.values_list("state", "quantity"),
        *StockMovement.objects.order_by("pk").values_list("kind", "quantity", "effect"),
        *ProductVariant.objects.values_list("stock", "held"),
        # That the buyer's address came after the money is told where it did; the mail that follows is one either way.
        *sorted(Delivery.objects.exclude(kind="order.contact_learned").values_list("kind", "subscriber").distinct()),
    )


@contextmanager
def tried_out() -> Iterator[None]:
    """A savepoint that is taken back; what the handlers open inside it need not be outermost."""
    block = transaction.atomic()
    block._from_testcase = True  # as TestCase marks its own
    with block:
        yield
        transaction.set_rollback(True)


class Walk:
    """All orders of some events, from the state that the database is in."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = events
        self.asked_at = timezone.now()
        self.told = [self._ask(event) for event in events]
        self.finals: dict[tuple[Any, ...], int] = {}
        self.broken: set[str] = set()
        self.handled = 0
        self._counts: dict[tuple[frozenset[int], tuple[Any, ...]], dict[tuple[Any, ...], int]] = {}

    def run(self) -> None:
        with tried_out():
            self.finals = self._orders_from(frozenset(range(len(self.events))))

    @staticmethod
    def _ask(event: Mapping[str, Any]) -> Any:
        handler = HANDLERS[event["type"]]
        return handler.ask(event) if handler.ask and handler.needs_stripe(event) else None

    def _orders_from(self, left: frozenset[int]) -> dict[tuple[Any, ...], int]:
        """How many orders of the events that are left end in which state."""
        here = rows()
        if not left:
            self.broken |= {broken.name + ": " + broken.meaning for broken in verify()}
            return {here: 1}
        known = self._counts.get((left, here))
        if known is not None:
            return known
        found: dict[tuple[Any, ...], int] = {}
        for number in sorted(left):
            event = self.events[number]
            with tried_out():
                HANDLERS[event["type"]].act(event, self.told[number], self.asked_at)
                self.handled += 1
                for final, count in self._orders_from(left - {number}).items():
                    found[final] = found.get(final, 0) + count
        self._counts[left, here] = found
        return found


@pytest.mark.django_db(transaction=True)
def test_all_5040_orders_end_in_one_state(stripe_sandbox: Stripe) -> None:
    events = buy_and_get_back(stripe_sandbox, make_variant("MUG", price=1000, stock=10))
    walk = Walk(events)
    walk.run()
    assert sum(walk.finals.values()) == math.factorial(len(WANTED)) == 5040
    assert len(walk.finals) == 1, "one final state"
    assert walk.broken == set()
    (final,) = walk.finals
    assert final[0] == ("confirmed", "partially_refunded", "", "buyer@example.com", True, None)
    assert ("partially_refunded", True, "", 3000, 1200, 0, True) in final
    assert (7, 0) in final, "three of ten are sold, and a dispute gives none back"


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_the_walk_finds_what_depends_on_order(stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: with a ledger that does not sum anew once there is a dispute, the orders no longer agree."""
    real = ledger.recompute

    def only_before_the_dispute(payment: Payment, *, reason: str) -> None:
        if not payment.disputed:
            real(payment, reason=reason)

    monkeypatch.setattr(ledger, "recompute", only_before_the_dispute)
    walk = Walk(buy_and_get_back(stripe_sandbox, make_variant("MUG", price=1000, stock=10)))
    walk.run()
    assert sum(walk.finals.values()) == 5040
    assert len(walk.finals) > 1
    assert any("I10" in broken for broken in walk.broken)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("invariants")
def test_a_sample_of_orders_through_webhook_and_work(stripe_sandbox: Stripe) -> None:
    """Signed, delivered, stored, worked on as in the shop, each against a database row of its own; seed 5040."""
    chance = random.Random(5040)
    mug = make_variant("MUG", price=1000, stock=1000)
    finals = set()
    for _ in range(20):
        events = buy_and_get_back(stripe_sandbox, mug)
        chance.shuffle(events)
        for event in events:
            assert deliver(event).status_code == 200
            if chance.random() < 0.5:
                work()
        work()
        payment = Payment.objects.select_related("order").first()
        assert payment is not None
        order = payment.order
        money = payment.status, payment.amount_refunded, payment.disputed, payment.last4
        refunds = tuple(sorted(payment.refunds.values_list("amount", "status")))
        finals.add((money, refunds, order.status, order.payment_status, order.disputed, payment.disputes.count()))
    money = "partially_refunded", 1200, True, "4242"
    refunds = (500, "succeeded"), (700, "succeeded")
    assert finals == {(money, refunds, "confirmed", "partially_refunded", True, 1)}
    assert set(StripeWebhookEvent.objects.values_list("state", flat=True)) == {"done"}
    assert list(StockMovement.objects.values_list("kind", "quantity")) == [("sale", -3)] * 20
