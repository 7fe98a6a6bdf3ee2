"""Disputes: flags, blocked refunds, money lost and won back, and never a word to the stock."""

from __future__ import annotations

from typing import Any

import pytest

from apps.catalog.models import ProductVariant
from apps.orders.models import Order
from apps.outbox.models import Delivery
from apps.outbox.services import subscribe
from apps.payment.models import AttentionCase, Dispute, Payment, Refund
from tests.payment.test_refunds import give_back, make_staff
from tests.support.shop import Shop, Stripe, deliver, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1000, stock=10)


@pytest.fixture
def staff(db: None) -> Shop:
    return Shop(make_staff())


def state() -> tuple[str, bool, bool, int]:
    order, payment = Order.objects.get(), Payment.objects.get()
    return order.payment_status, order.disputed, payment.disputed, payment.amount_lost


@pytest.fixture
def disputed(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> Dispute:
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_createDispute")
    return Dispute.objects.get()


def test_dispute_flags_the_order_and_alerts_staff(disputed: Dispute, mug: ProductVariant) -> None:
    assert (disputed.status, disputed.reason, disputed.amount, disputed.currency) == (
        "needs_response",
        "fraudulent",
        1000,
        "USD",
    )
    assert disputed.due_by is not None
    assert disputed.net_moved == -1000
    assert state() == ("paid", True, True, 0)
    case = AttentionCase.objects.get()
    assert (case.kind, case.object_id) == ("dispute", disputed.stripe_dispute_id)
    mug.refresh_from_db()
    assert mug.stock == 9


def test_no_refund_while_a_dispute_stands(disputed: Dispute, staff: Shop, stripe_sandbox: Stripe) -> None:
    answer = give_back(staff)
    assert (answer.status_code, answer.json()["code"]) == (409, "charge_disputed")
    assert Refund.objects.count() == 0
    assert stripe_sandbox.sandbox.objects("refund") == []


def test_won_dispute_restores_everything(disputed: Dispute, staff: Shop, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.control(f"disputes/{disputed.stripe_dispute_id}/decide", outcome="won")
    stripe_sandbox.digest()
    disputed.refresh_from_db()
    assert (disputed.status, disputed.net_moved) == ("won", 0)
    assert disputed.closed_at is not None
    assert state() == ("paid", False, False, 0)
    assert AttentionCase.objects.get().note == "Stripe closed it: won."
    assert give_back(staff).status_code == 201


def test_lost_dispute_is_money_gone_and_no_refund(disputed: Dispute, staff: Shop, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.control(f"disputes/{disputed.stripe_dispute_id}/decide", outcome="lost")
    stripe_sandbox.digest()
    assert state() == ("paid", True, True, 1000)
    answer = give_back(staff)
    assert (answer.status_code, answer.json()["code"]) == (400, "amount_exceeds_remaining")


def test_after_a_lost_partial_dispute_stripe_is_the_judge_of_the_rest(
    shop: Shop, mug: ProductVariant, staff: Shop, stripe_sandbox: Stripe
) -> None:
    shop.add(mug, 3)
    shop.buy(stripe_sandbox)
    intent = Payment.objects.get().stripe_payment_intent_id
    opened = stripe_sandbox.sandbox.control(f"charges/{intent}/dispute", reason="product_not_received", amount=1200)
    stripe_sandbox.digest()
    stripe_sandbox.sandbox.control(f"disputes/{opened['dispute']['id']}/decide", outcome="lost")
    stripe_sandbox.digest()
    assert state() == ("paid", True, True, 1200)
    assert give_back(staff, amount="18.01").json()["code"] == "amount_exceeds_remaining"
    refused = give_back(staff, amount="18.00")
    assert (refused.status_code, refused.json()["code"]) == (409, "charge_disputed")
    assert [refund.status for refund in Refund.objects.all()] == ["failed"]
    assert Order.objects.get().payment_status == "paid"


def test_inquiry_blocks_no_refund(shop: Shop, mug: ProductVariant, staff: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_createDisputeInquiry")
    inquiry = Dispute.objects.get()
    assert (inquiry.status, inquiry.net_moved, inquiry.charge_refundable) == ("warning_needs_response", 0, True)
    assert AttentionCase.objects.get().kind == "inquiry"
    assert give_back(staff).status_code == 201
    assert Order.objects.get().payment_status == "refunded"


def test_inquiry_that_escalates_is_a_dispute(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_createDisputeInquiry")
    inquiry = Dispute.objects.get()
    stripe_sandbox.sandbox.control(f"disputes/{inquiry.stripe_dispute_id}/decide", outcome="escalate")
    stripe_sandbox.digest()
    inquiry.refresh_from_db()
    assert (inquiry.status, inquiry.net_moved) == ("needs_response", -1000)
    assert sorted(AttentionCase.objects.values_list("kind", flat=True)) == ["dispute", "inquiry"]


def test_dispute_before_the_payments_own_event(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    stripe_sandbox.pay(shop.checkout().json()["session_id"], "pm_card_createDispute")
    for event in stripe_sandbox.new_events():
        if event["type"] == "charge.dispute.created":
            assert deliver(event).status_code == 200
    work()
    assert Dispute.objects.get().status == "needs_response"
    assert state() == ("paid", True, True, 0)


def test_every_order_of_the_five_events_ends_the_same(
    disputed: Dispute, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe_sandbox.sandbox.control(f"disputes/{disputed.stripe_dispute_id}/decide", outcome="won")
    for event in reversed(stripe_sandbox.new_events()):
        assert deliver(event).status_code == 200
    work()
    disputed.refresh_from_db()
    assert disputed.status == "won"
    assert state() == ("paid", False, False, 0)


def test_what_a_dispute_does_is_published_once(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[dict[str, Any]] = []
    monkeypatch.setattr("apps.outbox.services._subscribers", {})
    subscribe("dispute.dispute", "test", heard.append)
    subscribe("dispute.lost", "test", heard.append)
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_createDispute")
    dispute = Dispute.objects.get()
    stripe_sandbox.sandbox.control(f"disputes/{dispute.stripe_dispute_id}/decide", outcome="lost")
    stripe_sandbox.digest()
    facts = {"dispute_id": dispute.pk, "payment_id": dispute.payment_id, "order_id": dispute.payment.order_id}
    assert heard == [facts, facts]
    assert set(Delivery.objects.values_list("state", flat=True)) == {"done"}
