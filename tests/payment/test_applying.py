"""Money that paid for nothing is applied to its order by a person, or refused with the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.catalog.models import ProductVariant
from apps.common.errors import InvalidInput
from apps.inventory.models import StockMovement
from apps.inventory.services import adjust
from apps.invoices.models import Document
from apps.notifications.models import Mail
from apps.orders.models import Order, OrderTransition
from apps.orders.services import lifecycle
from apps.outbox.models import Delivery
from apps.payment import gateway
from apps.payment.gateway import StripeUnavailable
from apps.payment.invariants import verify
from apps.payment.models import AttentionCase, Payment, PaymentLog, Refund
from apps.payment.services.applying import (
    AmountDiffers,
    AppliedAlready,
    MoneyGoingBack,
    NotApplicable,
    NotInStock,
    apply_payment,
    foresee_applying,
)
from apps.payment.services.carrying_out import carry_out, finish_refunds
from apps.payment.services.refund_requests import request_refund
from apps.payment.services.refunds import RefundWish, intend_refund
from apps.payment.services.settlement import PaidFacts, apply_paid
from tests.support.shop import Shop, Stripe, make_variant
from tests.support.stray import end, late_money

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss@example.com", "correct horse battery")


@pytest.fixture
def last(db: None) -> ProductVariant:
    return make_variant("LAST", stock=1, price=1000)


@pytest.fixture
def late(stripe_sandbox: Stripe, last: ProductVariant, settings: Any) -> Payment:
    """Late money for the last mug, kept for staff; the mug is free again."""
    settings.LATE_PAYMENT_POLICY = "staff"
    return late_money(stripe_sandbox, last)


@pytest.fixture
def going_back(stripe_sandbox: Stripe, last: ProductVariant) -> Payment:
    """Late money for a mug that another buyer held meanwhile: its refund is intended, and Stripe was not asked."""
    buyer, other = Shop(), Shop()
    buyer.add(last)
    bought = buyer.checkout().json()
    stripe_sandbox.pay(bought["session_id"])
    payment = Payment.objects.select_related("order").get()
    end(payment.order)
    other.add(last)
    assert other.checkout().status_code == 201
    stripe_sandbox.deliver_new()
    end(Order.objects.latest("pk"))
    payment.refresh_from_db()
    return payment


def books(payment: Payment) -> dict[str, Any]:
    """Everything that a refusal leaves as it was."""
    variant = ProductVariant.objects.get(sku="LAST")
    return {
        "payment": list(Payment.objects.filter(pk=payment.pk).values()),
        "order": list(Order.objects.filter(pk=payment.order_id).values()),
        "refunds": list(Refund.objects.order_by("pk").values()),
        "cases": list(AttentionCase.objects.order_by("pk").values()),
        "stock": (variant.stock, variant.held),
        "log": PaymentLog.objects.count(),
        "steps": OrderTransition.objects.count(),
        "trail": AuditEntry.objects.count(),
        "deliveries": Delivery.objects.count(),
    }


def refused(payment: Payment, boss: User) -> NotApplicable:
    """The refusal, after which everything is as it was before; looking beforehand says the same."""
    before = books(payment)
    with pytest.raises(NotApplicable) as refusal:
        apply_payment(payment, reason="The buyer wants it.", by=boss)
    assert books(payment) == before
    return refusal.value


def test_late_money_makes_its_order_paid(late: Payment, boss: User, stripe_sandbox: Stripe) -> None:
    assert AttentionCase.objects.get().kind == "late"
    assert foresee_applying(late).refusal == ""
    payment = apply_payment(late, reason="The goods are here.", by=boss)
    payment.refresh_from_db()
    assert (payment.status, payment.applied, payment.problem) == ("succeeded", True, "")
    order = Order.objects.get()
    assert (order.status, order.payment_status, order.ended) == ("confirmed", "paid", "")
    assert order.shipping_address is not None
    assert order.shipping_address["country"] == "US", "Stripe was asked for what was not kept of late money"
    assert order.email == "buyer@example.com"
    assert [(move.kind, move.quantity) for move in StockMovement.objects.all()] == [("sale", -1)]
    variant = ProductVariant.objects.get()
    assert (variant.stock, variant.held) == (0, 0)
    stripe_sandbox.digest()
    assert Document.objects.filter(kind="invoice").count() == 1
    assert Mail.objects.filter(kind="order_confirmation", recipient="buyer@example.com").count() == 1
    assert Refund.objects.count() == 0


def test_case_log_and_trail_say_who_and_why(late: Payment, boss: User) -> None:
    apply_payment(late, reason="The goods are here.", by=boss)
    case = AttentionCase.objects.get()
    assert (case.solved_by, case.note) == (boss, "Applied to the order: The goods are here.")
    assert case.solved_at is not None
    log = PaymentLog.objects.get(kind="applied")
    assert (log.object_id, log.detail) == (late.reference, f"late, by user {boss.pk}")
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action, entry.reason) == ("boss@example.com", "apply", "The goods are here.")
    assert (entry.object_type, entry.object_id) == ("payment.payment", str(late.pk))
    assert (entry.before, entry.after) == (
        {"applied": False, "problem": "late"},
        {"applied": True, "problem": ""},
    )
    assert entry.detail == f"order {late.order.number}"


def test_whoever_comes_second_is_told_so(late: Payment, boss: User) -> None:
    apply_payment(late, reason="First.", by=boss)
    assert isinstance(refused(late, boss), AppliedAlready)
    assert AttentionCase.objects.get().note == "Applied to the order: First."


def test_reason_is_required(late: Payment, boss: User) -> None:
    before = books(late)
    with pytest.raises(InvalidInput):
        apply_payment(late, reason="  ", by=boss)
    assert books(late) == before


def test_refund_that_stripe_was_not_asked_for_is_withdrawn(
    going_back: Payment, boss: User, stripe_sandbox: Stripe
) -> None:
    refund = Refund.objects.get()
    assert (refund.status, refund.tries) == ("pending", 0)
    assert foresee_applying(going_back).withdrawn == [refund]
    apply_payment(going_back, reason="The goods are here.", by=boss)
    refund.refresh_from_db()
    assert (refund.status, refund.failure_code, refund.decided_by) == ("cancelled", "withdrawn", boss)
    assert refund.decision_note == "The goods are here."
    assert refund.key_used_at is None
    stripe_sandbox.digest()
    assert stripe_sandbox.sandbox.objects("refund") == []
    assert carry_out(refund).status == "cancelled", "a process that still has the row in hand does not ask either"
    refund.refresh_from_db()
    assert (refund.key_used_at, refund.tries) == (None, 0)
    assert stripe_sandbox.sandbox.objects("refund") == []
    assert not AttentionCase.objects.filter(solved_at=None).exists()
    entries = {entry.action: entry for entry in AuditEntry.objects.all()}
    assert entries["withdraw"].after["status"] == "cancelled"
    assert entries["apply"].detail == f"order {going_back.order.number}, refund {refund.pk} withdrawn"
    assert Mail.objects.filter(kind__startswith="refund").count() == 0


def test_death_before_the_end_leaves_everything_as_it_was(
    going_back: Payment, boss: User, monkeypatch: pytest.MonkeyPatch, stripe_sandbox: Stripe
) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    before = books(going_back)
    with monkeypatch.context() as patch:
        patch.setattr("apps.payment.services.applying.record", dies)
        with pytest.raises(KeyboardInterrupt):
            apply_payment(going_back, reason="The goods are here.", by=boss)
    assert books(going_back) == before
    finish_refunds()
    assert Refund.objects.get().status == "succeeded", "the shop goes on as if nobody had tried"


def test_refund_that_stripe_may_know_of_stands_in_the_way(
    going_back: Payment, boss: User, stripe_sandbox: Stripe
) -> None:
    Refund.objects.update(tries=1, next_try_at=timezone.now())
    refusal = refused(going_back, boss)
    assert isinstance(refusal, MoneyGoingBack)
    assert foresee_applying(going_back).refusal == refusal.message


def test_refund_that_is_done_stands_in_the_way(going_back: Payment, boss: User) -> None:
    finish_refunds()
    with pytest.raises(MoneyGoingBack):
        apply_payment(going_back, reason="The goods are here.", by=boss)
    assert not Payment.objects.filter(applied=True).exists()
    assert ProductVariant.objects.get().held == 0


def test_refund_whose_answer_was_lost_is_found_at_stripe_first(
    going_back: Payment, boss: User, stripe_sandbox: Stripe
) -> None:
    """Stripe made it, nobody heard, and the row says only that it was tried."""
    finish_refunds()
    Refund.objects.update(stripe_refund_id=None, status="pending", told_at=None, succeeded_at=None)
    Payment.objects.filter(pk=going_back.pk).update(status="succeeded", amount_refunded=0)
    AttentionCase.objects.update(solved_at=None)
    with pytest.raises(MoneyGoingBack):
        apply_payment(going_back, reason="The goods are here.", by=boss)
    assert Refund.objects.get().status == "succeeded"
    assert AttentionCase.objects.get().note == "Refunded in full."


def test_refund_of_the_dashboard_is_found_at_stripe_first(late: Payment, boss: User, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.control("refund", payment_intent=late.stripe_payment_intent_id)
    assert foresee_applying(late).refusal == "", "its event is not here"
    with pytest.raises(MoneyGoingBack):
        apply_payment(late, reason="The goods are here.", by=boss)
    assert Refund.objects.get().source == "stripe"
    assert not Payment.objects.get().applied


def test_money_whose_refund_failed_is_applied(going_back: Payment, boss: User, stripe_sandbox: Stripe) -> None:
    """It was back with the buyer and came back to the shop: a case of its own, the first one is solved."""
    finish_refunds()
    refund = Refund.objects.get()
    stripe_sandbox.sandbox.control(f"refunds/{refund.stripe_refund_id}/set", status="failed")
    stripe_sandbox.digest()
    apply_payment(going_back, reason="The goods are here.", by=boss)
    assert sorted(AttentionCase.objects.values_list("kind", "solved_by")) == [
        ("late", None),
        ("refund_failed", boss.pk),
    ]
    stripe_sandbox.digest()
    refund.refresh_from_db()
    assert (refund.status, Order.objects.get(payment_status="paid").pk) == ("failed", going_back.order_id)
    assert list(Document.objects.values_list("kind", flat=True)) == ["invoice"]


def test_request_of_the_buyer_is_decided_first(late: Payment, boss: User) -> None:
    request_refund(payment=late, wish=RefundWish(), by=None)
    assert refused(late, boss).code == "refund_requested"


def test_refund_that_staff_intended_is_withdrawn_too(late: Payment, boss: User, stripe_sandbox: Stripe) -> None:
    refund = intend_refund(payment=late, wish=RefundWish(), source=Refund.Source.STAFF, by=boss)
    apply_payment(late, reason="On second thoughts.", by=boss)
    refund.refresh_from_db()
    assert refund.status == "cancelled"
    stripe_sandbox.digest()
    assert stripe_sandbox.sandbox.objects("refund") == []


def test_what_is_missing_is_named(late: Payment, last: ProductVariant, boss: User) -> None:
    other = Shop()
    other.add(last)
    assert other.checkout().status_code == 201
    refusal = refused(late, boss)
    assert isinstance(refusal, NotInStock)
    assert refusal.data["items"] == [{"sku": "LAST", "requested": 1, "available": 0}]
    assert "(LAST: 1 wanted, 0 available)" in refusal.message
    prospect = foresee_applying(late)
    assert (prospect.refusal, [line.missing for line in prospect.lines]) == (refusal.message, [1])
    with transaction.atomic():
        adjust(variant_id=last.pk, quantity=1, reason="found another")
    apply_payment(late, reason="Found another.", by=boss)
    last.refresh_from_db()
    assert (last.stock, last.held) == (1, 1), "one is sold, the other still held by the other buyer"


def test_all_lines_or_none(late: Payment, stripe_sandbox: Stripe, last: ProductVariant, boss: User) -> None:
    """The second line cannot be had: the first is not taken either."""
    scarce = make_variant("SCARCE", stock=1)
    payment = late_money(stripe_sandbox, last, scarce)
    other = Shop()
    other.add(scarce)
    assert other.checkout().status_code == 201
    refusal = refused(payment, boss)
    assert refusal.data["items"] == [{"sku": "SCARCE", "requested": 1, "available": 0}]


def test_surplus_is_refused(shop: Shop, last: ProductVariant, stripe_sandbox: Stripe, boss: User) -> None:
    shop.add(last)
    bought = shop.checkout().json()
    first = Payment.objects.get()
    stripe_sandbox.pay(bought["session_id"])
    kept = stripe_sandbox.new_events()
    Payment.objects.update(status="cancelled")  # as if Stripe had said that the session is over
    second = shop.retry(bought).json()
    stripe_sandbox.pay(second["session_id"])
    stripe_sandbox.deliver_new()
    stripe_sandbox.delivered -= {event["id"] for event in kept}
    stripe_sandbox.deliver_new()
    first.refresh_from_db()
    assert (first.applied, first.problem) == (False, "surplus")
    assert refused(first, boss).code == "order_paid"


@pytest.mark.parametrize("changes", [{"amount": 999}, {"amount": 1001}, {"currency": "EUR"}])
def test_other_amount_or_currency_is_refused(
    shop: Shop, last: ProductVariant, stripe_sandbox: Stripe, boss: User, changes: dict[str, Any]
) -> None:
    """The row of a mismatch keeps the order's currency: equal figures do not mean equal money."""
    shop.add(last)
    shop.checkout()
    payment = Payment.objects.get()
    told = {"reference": payment.reference, "amount": 1000, "currency": "USD", **changes}
    with transaction.atomic():
        payment = apply_paid(PaidFacts(**told))
    assert AttentionCase.objects.get().kind == "amount_mismatch"
    refusal = refused(payment, boss)
    assert isinstance(refusal, AmountDiffers)
    assert foresee_applying(payment).refusal == refusal.message


def test_what_stripe_says_counts_more_than_the_row(late: Payment, boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gateway.retrieve_checkout_session
    monkeypatch.setattr(gateway, "retrieve_checkout_session", lambda pk: replace(real(pk), currency="EUR"))
    assert isinstance(refused(late, boss), AmountDiffers)


def test_another_payment_on_its_way_is_waited_for(late: Payment, boss: User) -> None:
    Order.objects.update(status="pending", payment_status="processing")
    assert refused(late, boss).code == "payment_on_its_way"
    Order.objects.update(status="cancelled", payment_status="failed")


def test_disputed_money_is_refused(late: Payment, boss: User, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.control(f"charges/{late.stripe_payment_intent_id}/dispute", amount=1000)
    stripe_sandbox.digest()
    late.refresh_from_db()
    assert refused(late, boss).code == "disputed"


def test_order_of_a_forgotten_buyer_is_refused(late: Payment, boss: User) -> None:
    Order.objects.update(erased_at=timezone.now())
    assert refused(late, boss).code == "buyer_forgotten"


def test_payment_without_money_is_refused(shop: Shop, last: ProductVariant, stripe_sandbox: Stripe, boss: User) -> None:
    shop.add(last)
    shop.checkout()
    assert refused(Payment.objects.get(), boss).code == "not_paid"


def test_nothing_moves_while_stripe_is_away(late: Payment, boss: User, stripe_sandbox: Stripe) -> None:
    before = books(late)
    stripe_sandbox.sandbox.faults("500", times=9)
    with pytest.raises(StripeUnavailable):
        apply_payment(late, reason="The goods are here.", by=boss)
    assert books(late) == before


def test_money_that_stripe_does_not_know_is_refused(late: Payment, boss: User) -> None:
    Payment.objects.update(stripe_session_id="cs_test_gone")
    late.refresh_from_db()
    assert refused(late, boss).code == "not_at_stripe"


def test_order_that_waits_for_another_attempt_sells_what_it_holds(
    shop: Shop, last: ProductVariant, stripe_sandbox: Stripe, settings: Any, boss: User
) -> None:
    """The buyer tried again; that attempt is closed at Stripe afterwards, as behind every paid order."""
    settings.LATE_PAYMENT_POLICY = "staff"
    shop.add(last)
    bought = shop.checkout().json()
    stripe_sandbox.pay(bought["session_id"])
    payment = Payment.objects.select_related("order").get()
    end(payment.order)
    stripe_sandbox.deliver_new()
    again = shop.retry(bought)
    assert again.status_code == 201
    assert [line.available for line in foresee_applying(payment).lines] == [None]
    payment.refresh_from_db()
    apply_payment(payment, reason="It was here first.", by=boss)
    last.refresh_from_db()
    assert (last.stock, last.held) == (0, 0)
    stripe_sandbox.digest()
    assert stripe_sandbox.sandbox.get(f"/v1/checkout/sessions/{again.json()['session_id']}")["status"] == "expired"
    assert sorted(Payment.objects.values_list("status", "applied")) == [("cancelled", False), ("succeeded", True)]


def test_applied_money_is_refunded_like_any_other(late: Payment, boss: User, stripe_sandbox: Stripe) -> None:
    payment = apply_payment(late, reason="The goods are here.", by=boss)
    refund = intend_refund(payment=payment, wish=RefundWish(), source=Refund.Source.STAFF, by=boss)
    assert carry_out(refund).status == "succeeded"
    stripe_sandbox.digest()
    assert Order.objects.get().payment_status == "refunded"
    assert sorted(Document.objects.values_list("kind", flat=True)) == ["credit_note", "invoice"]


def test_stock_is_taken_under_the_same_rules_as_at_checkout(
    late: Payment, last: ProductVariant, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without taking stock again nothing would be sold, and verify would say so."""
    monkeypatch.setattr(lifecycle, "retake_stock", lambda order: None)
    apply_payment(late, reason="The goods are here.", by=boss)
    assert [broken.name for broken in verify()] == ["I3"]
    StockMovement.objects.create(variant=last, quantity=-1, kind="sale", order_id=late.order_id)
    ProductVariant.objects.update(stock=0)
