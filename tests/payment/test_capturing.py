"""Amounts reserved on a card: taken or given up once, whatever gets lost on the way, on the page and in the form."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.common.errors import DomainError
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.payment import gateway
from apps.payment.models import AttentionCase, Payment, PaymentLog
from apps.payment.services import capturing
from apps.payment.services.capturing import (
    AlreadyCaptured,
    CaptureDecided,
    CaptureRefused,
    NothingReserved,
    ReservationOver,
    capture,
    finish_captures,
    is_reserved,
    release,
)
from tests.payment.test_intents import ADDRESS, at_stripe, fill_in_form, start
from tests.payment.test_refunds import give_back, make_staff
from tests.support.shop import Shop, Stripe, deliver, in_parallel, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

Decide = Callable[..., Payment]

CHANNELS = ["session", "intent"]
ENDS = [(capture, "succeeded"), (release, "canceled")]
"""What may be decided, and what the intent is at Stripe then."""


@pytest.fixture
def by(db: None) -> User:
    return make_staff("issue_refund")


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1250, stock=5)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr("apps.payment.gateway.calls.time.sleep", lambda seconds: None)


@pytest.fixture(params=CHANNELS)
def channel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def reserve(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, channel: str, card: str = "pm_card_visa") -> None:
    """Two mugs ordered and 25.00 reserved at Stripe; no event is delivered."""
    shop.add(mug, 2)
    if channel == "session":
        stripe_sandbox.pay(shop.checkout().json()["session_id"], card)
        return
    order = shop.post("/api/orders/", {"email": "buyer@example.com", "shipping_address": ADDRESS}).json()
    fill_in_form(stripe_sandbox, start(shop, order).json()["payment_intent_id"], card)


@pytest.fixture
def reserved(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, channel: str, settings: Any) -> Payment:
    settings.CAPTURE_METHOD = "manual"
    reserve(shop, mug, stripe_sandbox, channel)
    stripe_sandbox.digest()
    return Payment.objects.get()


def intent(stripe_sandbox: Stripe) -> dict[str, Any]:
    return at_stripe(stripe_sandbox, str(Payment.objects.get().stripe_payment_intent_id))


def path_of(decide: Decide, payment: Payment) -> str:
    verb = "capture" if decide is capture else "cancel"
    return f"/v1/payment_intents/{payment.stripe_payment_intent_id}/{verb}"


def state() -> tuple[str, str, str]:
    order, payment = Order.objects.get(), Payment.objects.get()
    return order.status, order.payment_status, payment.status


def stock(mug: ProductVariant) -> tuple[int | None, int]:
    mug.refresh_from_db()
    return mug.stock, mug.held


def make_due() -> None:
    Payment.objects.update(capture_due_at=timezone.now())


def logged() -> list[str]:
    return list(PaymentLog.objects.order_by("pk").values_list("kind", flat=True))


AFTER = {capture: ("confirmed", "paid", "succeeded"), release: ("cancelled", "failed", "cancelled")}
STOCK_AFTER = {capture: (3, 0), release: (5, 0)}


def test_reserved_amount_waits_for_staff(reserved: Payment, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    assert (reserved.status, reserved.intent_status, reserved.applied) == ("processing", "requires_capture", False)
    assert is_reserved(reserved)
    assert (reserved.amount_captured, reserved.paid_at) == (0, None)
    assert state() == ("pending", "processing", "processing")
    assert Order.objects.get().expires_at is None
    assert stock(mug) == (5, 2)
    found = intent(stripe_sandbox)
    assert (found["status"], found["amount_capturable"]) == ("requires_capture", 2500)


@pytest.mark.parametrize("backwards", [False, True])
def test_reservation_is_known_in_whatever_order_it_is_told(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, channel: str, settings: Any, backwards: bool
) -> None:
    settings.CAPTURE_METHOD = "manual"
    reserve(shop, mug, stripe_sandbox, channel)
    events = stripe_sandbox.new_events()
    for event in reversed(events) if backwards else events:
        assert deliver(event).status_code == 200
    work()
    payment = Payment.objects.get()
    assert is_reserved(payment)
    assert payment.stripe_payment_intent_id == intent(stripe_sandbox)["id"]
    assert Order.objects.get().email == "buyer@example.com"
    assert logged().count("processing") == 1


def test_captured_amount_pays_the_order(
    reserved: Payment, by: User, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    told = capture(reserved, by=by)
    assert (told.status, told.applied, told.amount_captured) == ("succeeded", True, 2500)
    assert told.intent_status == "succeeded"
    assert told.paid_at is not None
    assert (told.capture_decision, told.capture_decided_by) == ("capture", by)
    assert state() == AFTER[capture]
    assert stock(mug) == (3, 0)
    assert (intent(stripe_sandbox)["status"], intent(stripe_sandbox)["amount_received"]) == ("succeeded", 2500)
    if told.channel == "session":
        assert told.session_payment_status == "paid", "the status call tells the same as the order"
    decided = PaymentLog.objects.get(kind="capture_decided")
    assert (decided.detail, decided.from_status) == (f"by user {by.pk}", "processing")
    assert logged().index("capture_decided") < logged().index("succeeded")
    stripe_sandbox.digest()
    assert state() == AFTER[capture]
    assert logged().count("succeeded") == 1
    assert list(Mail.objects.values_list("kind", flat=True)).count("order_confirmation") == 1
    assert AttentionCase.objects.count() == 0


def test_captured_amount_can_be_given_back(reserved: Payment, by: User, stripe_sandbox: Stripe) -> None:
    capture(reserved, by=by)
    assert give_back(Shop(by), amount="5.00").status_code == 201
    assert state() == ("confirmed", "partially_refunded", "partially_refunded")


def test_released_amount_ends_the_order(
    reserved: Payment, by: User, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    told = release(reserved, by=by)
    assert (told.status, told.applied, told.amount_captured, told.intent_status) == ("cancelled", False, 0, "canceled")
    assert state() == AFTER[release]
    assert Order.objects.get().ended == "payment_failed"
    assert stock(mug) == (5, 0)
    assert (intent(stripe_sandbox)["status"], intent(stripe_sandbox)["amount_capturable"]) == ("canceled", 0)
    assert PaymentLog.objects.get(kind="release_decided").detail == f"by user {by.pk}"
    stripe_sandbox.digest()
    assert state() == AFTER[release]
    assert AttentionCase.objects.count() == 0


def test_order_whose_reservation_was_released_may_be_paid_anew(
    shop: Shop, mug: ProductVariant, by: User, stripe_sandbox: Stripe, settings: Any
) -> None:
    settings.CAPTURE_METHOD = "manual"
    shop.add(mug, 2)
    bought = shop.buy(stripe_sandbox)
    release(Payment.objects.get(), by=by)
    again = shop.retry(bought)
    assert again.status_code == 201, again.content
    stripe_sandbox.pay(again.json()["session_id"])
    stripe_sandbox.digest()
    capture(Payment.objects.get(attempt=2), by=by)
    assert Order.objects.get().payment_status == "paid"
    assert stock(mug) == (3, 0)


# What cannot be decided


def test_decided_again_changes_nothing(reserved: Payment, by: User, stripe_sandbox: Stripe) -> None:
    first = capture(reserved, by=by)
    again = capture(reserved, by=by)
    assert (again.status, again.capture_key) == (first.status, first.capture_key)
    assert logged().count("capture_decided") == 1
    with pytest.raises(CaptureDecided) as refusal:
        release(reserved, by=by)
    assert (refusal.value.status, refusal.value.code) == (409, "capture_decided")
    assert refusal.value.data == {"decision": "capture"}
    assert state() == AFTER[capture]


def test_release_decided_again_changes_nothing(reserved: Payment, by: User, stripe_sandbox: Stripe) -> None:
    release(reserved, by=by)
    assert release(reserved, by=by).status == "cancelled"
    with pytest.raises(CaptureDecided):
        capture(reserved, by=by)
    assert state() == AFTER[release]
    assert logged().count("release_decided") == 1


@pytest.mark.parametrize("decide", [capture, release])
def test_only_reserved_amounts_are_decided(
    shop: Shop, mug: ProductVariant, by: User, stripe_sandbox: Stripe, decide: Decide
) -> None:
    shop.add(mug)
    session = shop.checkout().json()["session_id"]
    with pytest.raises(NothingReserved) as refusal:
        decide(Payment.objects.get(), by=by)
    assert (refusal.value.status, refusal.value.code) == (409, "nothing_reserved")
    stripe_sandbox.pay(session)
    stripe_sandbox.digest()
    with pytest.raises(NothingReserved):
        decide(Payment.objects.get(), by=by)
    assert state() == ("confirmed", "paid", "succeeded")
    assert Payment.objects.get().capture_decision == ""


@pytest.mark.parametrize("decide", [capture, release])
def test_bank_debit_on_its_way_is_not_reserved(
    shop: Shop, by: User, stripe_sandbox: Stripe, settings: Any, decide: Decide
) -> None:
    settings.DEFAULT_CURRENCY = "EUR"
    settings.CAPTURE_METHOD = "manual"
    shop.add(make_variant("TASSE", price=1250, stock=5, currency="EUR"))
    shop.buy(stripe_sandbox, "AT611904300234573201")
    assert state() == ("pending", "processing", "processing")
    with pytest.raises(NothingReserved):
        decide(Payment.objects.get(), by=by)
    assert Payment.objects.get().capture_decision == ""


def test_reservation_that_ended_at_stripe_by_itself(
    reserved: Payment, by: User, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    """Nobody captured within seven days, and the event tells it."""
    assert "payment_intent.canceled" in stripe_sandbox.settle_later_work(8 * 86400)
    assert state() == ("cancelled", "failed", "cancelled")
    assert stock(mug) == (5, 0)
    with pytest.raises(NothingReserved):
        capture(reserved, by=by)


@pytest.mark.parametrize(("decide", "end"), ENDS)
def test_reservation_that_ended_before_its_event_came(
    reserved: Payment, by: User, mug: ProductVariant, stripe_sandbox: Stripe, decide: Decide, end: str
) -> None:
    stripe_sandbox.sandbox.control("advance", seconds=8 * 86400)
    if decide is release:
        assert release(reserved, by=by).status == "cancelled", "that is what was decided"
    else:
        with pytest.raises(ReservationOver) as refusal:
            capture(reserved, by=by)
        assert (refusal.value.status, refusal.value.code) == (409, "reservation_over")
        assert Payment.objects.get().capture_decision == ""
        assert logged()[-1] == "capture_refused"
    assert state() == ("cancelled", "failed", "cancelled")
    assert stock(mug) == (5, 0)
    stripe_sandbox.digest()
    assert state() == ("cancelled", "failed", "cancelled")


def test_captured_in_the_dashboard_before_its_event_came(reserved: Payment, by: User, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.post(path_of(capture, reserved))
    with pytest.raises(AlreadyCaptured) as refusal:
        release(reserved, by=by)
    assert (refusal.value.status, refusal.value.code) == (409, "already_captured")
    assert state() == AFTER[capture]
    assert Payment.objects.get().capture_decision == ""


def test_captured_in_the_dashboard_is_what_was_to_be_captured(
    reserved: Payment, by: User, stripe_sandbox: Stripe
) -> None:
    stripe_sandbox.sandbox.post(path_of(capture, reserved))
    assert capture(reserved, by=by).status == "succeeded"
    assert state() == AFTER[capture]


@pytest.mark.parametrize("decide", [capture, release])
def test_refusal_of_stripe_leaves_the_amount_reserved(
    reserved: Payment, by: User, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch, decide: Decide
) -> None:
    def refuses(intent_id: str, **more: Any) -> Any:
        if decide is release:  # the gateway answers a refused cancellation with how the intent stands
            return gateway.retrieve_payment_intent(intent_id)
        raise gateway.StripeRefused("No.", code="capture_charge_authorization_expired")

    name = "capture_payment_intent" if decide is capture else "cancel_payment_intent"
    with monkeypatch.context() as patch:
        patch.setattr(gateway, name, refuses)
        with pytest.raises(CaptureRefused) as refusal:
            decide(reserved, by=by)
    assert (refusal.value.status, refusal.value.code) == (400, "capture_refused")
    payment = Payment.objects.get()
    assert (payment.capture_decision, payment.capture_key, is_reserved(payment)) == ("", "", True)
    assert AttentionCase.objects.count() == 0, "whoever decided was told"
    decide(reserved, by=by)
    assert state() == AFTER[decide]


# Faults


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("decide", "end"), ENDS)
def test_answer_lost_is_finished_once_by_work(
    reserved: Payment, by: User, mug: ProductVariant, stripe_sandbox: Stripe, decide: Decide, end: str
) -> None:
    stripe_sandbox.sandbox.faults("reset_after", path=path_of(decide, reserved), times=3)
    # A cancelled intent cannot be cancelled again, so the second try of the same call finds out.
    told = decide(reserved, by=by)
    if decide is capture:
        assert (told.status, told.capture_decision) == ("processing", "capture")
        assert finish_captures() == 0, "it is not due yet"
        make_due()
        assert finish_captures() == 1
        assert finish_captures() == 0
    assert state() == AFTER[decide]
    assert stock(mug) == STOCK_AFTER[decide]
    assert intent(stripe_sandbox)["status"] == end
    stripe_sandbox.digest()
    assert state() == AFTER[decide]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["500", "500_after", "reset", "html", "429"])
@pytest.mark.parametrize(("decide", "end"), ENDS)
def test_every_fault_ends_in_one_state(
    reserved: Payment, by: User, stripe_sandbox: Stripe, kind: str, decide: Decide, end: str
) -> None:
    stripe_sandbox.sandbox.faults(kind, path=path_of(decide, reserved), times=5)
    decide(reserved, by=by)
    stripe_sandbox.sandbox.control("rules/clear")
    make_due()
    work()
    assert state() == AFTER[decide]
    assert intent(stripe_sandbox)["status"] == end
    assert logged().count("capture_refused") == logged().count("release_refused") == 0


class Killed(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("when", ["before the call", "after the call"])
@pytest.mark.parametrize(("decide", "end"), ENDS)
def test_crash_is_finished_by_work(
    reserved: Payment,
    by: User,
    mug: ProductVariant,
    stripe_sandbox: Stripe,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    decide: Decide,
    end: str,
) -> None:
    name = "capture_payment_intent" if decide is capture else "cancel_payment_intent"
    real = getattr(gateway, name)

    def dies(*args: Any, **kwargs: Any) -> Any:
        if when == "after the call":
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(gateway, name, dies)
        with pytest.raises(Killed):
            decide(reserved, by=by)
    assert Payment.objects.get().status == "processing"
    assert finish_captures() == 0, "it may still be in hand"
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert finish_captures() == 1
        assert finish_captures() == 0
    assert state() == AFTER[decide]
    assert stock(mug) == STOCK_AFTER[decide]
    assert intent(stripe_sandbox)["status"] == end


@pytest.mark.usefixtures("impatient")
def test_reservation_that_ended_while_stripe_was_away_is_a_case(
    reserved: Payment, by: User, stripe_sandbox: Stripe
) -> None:
    stripe_sandbox.sandbox.faults("reset", path=path_of(capture, reserved), times=3)
    key = capture(reserved, by=by).capture_key
    stripe_sandbox.sandbox.control("advance", seconds=8 * 86400)
    make_due()
    assert finish_captures() == 1
    assert state() == ("cancelled", "failed", "cancelled")
    case = AttentionCase.objects.get()
    assert (case.kind, case.object_id) == ("capture_refused", key)
    assert case.detail == f"Stripe did not take the money: {ReservationOver.message}"


@pytest.mark.usefixtures("impatient")
def test_work_waits_longer_and_longer_while_stripe_is_away(reserved: Payment, by: User, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("reset", path="/v1/payment_intents", times=None)
    waits = []
    with time_machine.travel(timezone.now(), tick=False) as clock:
        told = capture(reserved, by=by)
        for _ in range(4):
            assert told.capture_due_at is not None
            waits.append((told.capture_due_at - timezone.now()).total_seconds())
            clock.move_to(told.capture_due_at)
            assert finish_captures() == 0
            told.refresh_from_db()
    assert waits == [2, 2, 4, 8]


@pytest.mark.race
def test_of_capture_and_release_at_once_one_counts(
    reserved: Payment, by: User, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    def run(decide: Decide) -> str:
        try:
            decide(reserved, by=by)
        except DomainError as refusal:
            return refusal.code
        return decide.__name__

    answers = Counter(in_parallel([lambda: run(capture), lambda: run(release)] * 6, threads=6))
    payment = Payment.objects.get()
    winner = capture if payment.capture_decision == "capture" else release
    assert answers == {winner.__name__: 6, "capture_decided": 6}
    assert state() == AFTER[winner]
    assert stock(mug) == STOCK_AFTER[winner]
    assert intent(stripe_sandbox)["status"] == dict(ENDS)[winner]
    assert PaymentLog.objects.filter(kind__endswith="_decided").count() == 1


@pytest.mark.race
@pytest.mark.postgres
@pytest.mark.parametrize("channel", ["intent"], indirect=True)
def test_control_without_the_payments_lock_both_are_decided(
    reserved: Payment, by: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)
    look = capturing.is_reserved

    def looks_beside_the_other(payment: Payment) -> bool:
        found = look(payment)
        together.wait(timeout=20)
        return found

    monkeypatch.setattr(capturing, "lock_payment", lambda pk: Payment.objects.get(pk=pk))
    monkeypatch.setattr(capturing, "is_reserved", looks_beside_the_other)
    monkeypatch.setattr(capturing, "_carry_out", lambda payment: payment)
    in_parallel([lambda: capture(reserved, by=by), lambda: release(reserved, by=by)], threads=2)
    assert PaymentLog.objects.filter(kind__endswith="_decided").count() == 2
