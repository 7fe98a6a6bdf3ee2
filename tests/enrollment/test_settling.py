"""Who is enrolled follows from what was paid, refunded and disputed, with real events of the sandbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import Price
from apps.enrollment.models import Enrollment, EnrollmentLog, StepProgress, Track
from apps.enrollment.services.tracks import note_change
from apps.orders.models import Order, OrderItem
from apps.outbox import services
from apps.outbox.models import Delivery
from apps.outbox.services import subscribe
from apps.payment import gateway
from apps.payment.models import Payment, Refund
from apps.payment.services.assigning import assign_lines
from apps.payment.services.ledger import apply_dispute
from apps.payment.services.refunds import Line
from tests.enrollment.courses import Books, books, buy, decide, dispute, give_back, make_track, status
from tests.support.shop import Shop, Stripe, make_user, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

ADDRESS = {"name": "Ada", "line1": "1 Main St", "city": "Berlin", "country": "DE"}
KINDS = ("enrollment.enrolled", "enrollment.suspended", "enrollment.restored", "enrollment.withdrawn")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What whoever writes mails would hear."""
    told: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(services, "_subscribers", {kind: dict(each) for kind, each in services._subscribers.items()})
    for kind in KINDS:
        subscribe(kind, "test", lambda payload, kind=kind: told.append((kind, payload)))
    return told


def test_paid_is_enrolled_with_the_first_project_unlocked(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe, heard: list[Any]
) -> None:
    before = timezone.now()
    order = buy(buyer, stripe_sandbox, track.variant)
    assert books(student, track) == Books("enrolled", [("not_enrolled", "enrolled", "paid")], "oo lll l")
    enrollment = Enrollment.objects.get()
    assert (enrollment.user, enrollment.track) == (student, track)
    assert enrollment.enrolled_at is not None
    assert before < enrollment.enrolled_at < timezone.now()
    assert EnrollmentLog.objects.get().order == order
    facts = {
        "enrollment_id": enrollment.pk,
        "transition": 1,
        "user_id": student.pk,
        "order_id": order.pk,
        "track_code": "DP",
        "track_name": "Data Professional",
        "reason": "paid",
    }
    assert heard == [("enrollment.enrolled", facts)]


def test_unpaid_enrols_nobody(buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe) -> None:
    buyer.add(track.variant)
    assert buyer.checkout().status_code == 201
    stripe_sandbox.digest()
    assert Order.objects.get().payment_status == "pending"
    assert Enrollment.objects.count() == 0


def test_bank_debit_enrols_when_its_money_is_there(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    Price.objects.create(variant=track.variant, currency="EUR", amount=45900)
    buyer.post("/api/cart/add/", {"variant_id": track.variant_id, "currency": "EUR"})
    buyer.buy(stripe_sandbox, "AT611904300234573201")
    assert Order.objects.get().payment_status == "processing"
    assert Enrollment.objects.count() == 0
    stripe_sandbox.settle_later_work()
    assert status(student, track) == "enrolled"


def test_enrolled_once_per_person_and_track(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe, heard: list[Any]
) -> None:
    other = make_track("FSD", price=59900, name="Full-Stack Developer")
    buy(buyer, stripe_sandbox, track.variant)
    since = Enrollment.objects.get().enrolled_at
    buy(buyer, stripe_sandbox, track.variant)
    assert Enrollment.objects.get().enrolled_at == since
    assert EnrollmentLog.objects.count() == 1
    friend = make_user("friend@example.com")
    buy(Shop(friend), stripe_sandbox, track.variant, other.variant)
    assert {(e.user_id, e.track.code) for e in Enrollment.objects.all()} == {
        (student.pk, "DP"),
        (friend.pk, "DP"),
        (friend.pk, "FSD"),
    }
    assert [kind for kind, _ in heard] == ["enrollment.enrolled"] * 3


def test_refund_of_the_line_withdraws_and_keeps_progress(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe, heard: list[Any]
) -> None:
    mug = make_variant("MUG")
    order = buy(buyer, stripe_sandbox, track.variant, mug)
    first = StepProgress.objects.first()
    assert first is not None
    assert buyer.post(f"/api/enrollment/steps/{first.step_id}/complete/").status_code == 200
    since = Enrollment.objects.get().enrolled_at

    give_back(staff, order, "MUG")
    assert books(student, track) == Books("enrolled", [("not_enrolled", "enrolled", "paid")], "co lll l")
    give_back(staff, order, amount="10.00")
    assert status(student, track) == "enrolled", "an amount refunds no line"

    give_back(staff, order)
    assert books(student, track) == Books(
        "withdrawn", [("not_enrolled", "enrolled", "paid"), ("enrolled", "withdrawn", "refunded")], "co lll l"
    )
    assert Enrollment.objects.get().enrolled_at == since
    assert [(kind, facts["reason"]) for kind, facts in heard] == [
        ("enrollment.enrolled", "paid"),
        ("enrollment.withdrawn", "refunded"),
    ]


def test_refund_of_the_track_alone_withdraws_from_it_alone(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    other = make_track("FSD")
    order = buy(buyer, stripe_sandbox, track.variant, other.variant)
    give_back(staff, order, "TRACK-DP")
    assert (status(student, track), status(student, other)) == ("withdrawn", "enrolled")


def test_line_of_two_is_refunded_when_both_are(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    buyer.add(track.variant, 2)
    buyer.buy(stripe_sandbox)
    order = Order.objects.get()
    line = {"order_item_id": OrderItem.objects.get().pk, "quantity": 1}
    give_back(staff, order, items=[line])
    assert status(student, track) == "enrolled"
    give_back(staff, order, items=[line])
    assert status(student, track) == "withdrawn"


def test_refund_of_the_dashboard_withdraws_once_staff_says_what_it_was_for(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    buy(buyer, stripe_sandbox, track.variant, make_variant("MUG"))
    intent = Payment.objects.get().stripe_payment_intent_id
    stripe_sandbox.sandbox.control("refund", payment_intent=intent, amount=49900)
    stripe_sandbox.digest()
    assert status(student, track) == "enrolled"
    line = OrderItem.objects.get(sku="TRACK-DP")
    assign_lines(Refund.objects.get(), lines=[Line(line.pk, 1)], by=User.objects.get(email="staff@example.com"))
    work()
    assert status(student, track) == "withdrawn"


def test_refund_that_fails_later_enrols_again(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe, heard: list[Any]
) -> None:
    order = buy(buyer, stripe_sandbox, track.variant, card="pm_card_refundFail")
    since = Enrollment.objects.get().enrolled_at
    give_back(staff, order)
    assert status(student, track) == "withdrawn"
    assert "refund.failed" in stripe_sandbox.settle_later_work()
    assert books(student, track) == Books(
        "enrolled",
        [
            ("not_enrolled", "enrolled", "paid"),
            ("enrolled", "withdrawn", "refunded"),
            ("withdrawn", "enrolled", "paid"),
        ],
        "oo lll l",
    )
    assert Enrollment.objects.get().enrolled_at == since
    assert [kind for kind, _ in heard] == ["enrollment.enrolled", "enrollment.withdrawn", "enrollment.restored"]


def test_refund_that_comes_and_goes_at_stripe_is_followed_each_time(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    """No event of the shop's own tells of a refund that is pending again; its order does."""
    give_back(staff, buy(buyer, stripe_sandbox, track.variant))
    refund = Refund.objects.get()
    for at_stripe, wanted in (("requires_action", "enrolled"), ("succeeded", "withdrawn"), ("canceled", "enrolled")):
        stripe_sandbox.sandbox.control(f"refunds/{refund.stripe_refund_id}/set", status=at_stripe)
        stripe_sandbox.digest()
        assert status(student, track) == wanted, at_stripe


@pytest.mark.parametrize(
    ("outcome", "wanted", "reason", "told"),
    [
        ("won", "enrolled", "paid", "enrollment.restored"),
        ("lost", "withdrawn", "dispute_lost", "enrollment.withdrawn"),
    ],
)
def test_dispute_suspends_until_it_is_decided(
    buyer: Shop,
    student: User,
    track: Track,
    stripe_sandbox: Stripe,
    heard: list[Any],
    outcome: str,
    wanted: str,
    reason: str,
    told: str,
) -> None:
    opened = dispute(stripe_sandbox, buy(buyer, stripe_sandbox, track.variant))
    assert status(student, track) == "suspended"
    decide(stripe_sandbox, opened, outcome)
    assert books(student, track) == Books(
        wanted,
        [
            ("not_enrolled", "enrolled", "paid"),
            ("enrolled", "suspended", "disputed"),
            ("suspended", wanted, reason),
        ],
        "oo lll l",
    )
    assert [kind for kind, _ in heard] == ["enrollment.enrolled", "enrollment.suspended", told]


def test_inquiry_suspends_like_a_dispute_and_ends_like_one(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    """An order under an inquiry is disputed too; one flag says so."""
    order = buy(buyer, stripe_sandbox, track.variant, card="pm_card_createDisputeInquiry")
    assert Order.objects.get(pk=order.pk).disputed is True
    assert status(student, track) == "suspended"


def test_lost_dispute_that_is_appealed_is_open_again(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    """The order was flagged all the time, so only the dispute itself tells the difference."""
    opened = dispute(stripe_sandbox, buy(buyer, stripe_sandbox, track.variant))
    decide(stripe_sandbox, opened, "lost")
    told = gateway.retrieve_dispute(opened.stripe_dispute_id)
    for at_stripe, wanted in (("appeal_needs_response", "suspended"), ("lost", "withdrawn")):
        with transaction.atomic():
            apply_dispute(replace(told, status=at_stripe), asked_at=timezone.now())
        work()
        assert status(student, track) == wanted, at_stripe


def test_one_order_that_stands_is_enough(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    first = buy(buyer, stripe_sandbox, track.variant)
    second = buy(buyer, stripe_sandbox, track.variant)
    give_back(staff, first)
    assert books(student, track) == Books("enrolled", [("not_enrolled", "enrolled", "paid")], "oo lll l")
    opened = dispute(stripe_sandbox, second)
    assert status(student, track) == "suspended"
    third = buy(buyer, stripe_sandbox, track.variant)
    assert status(student, track) == "enrolled", "bought anew while the bank decides"
    decide(stripe_sandbox, opened, "lost")
    assert status(student, track) == "enrolled"
    give_back(staff, third)
    assert status(student, track) == "withdrawn"
    assert [log.order_id for log in EnrollmentLog.objects.all()] == [first.pk, second.pk, third.pk, third.pk]


def test_bought_again_after_a_refund_goes_on_where_it_stopped(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe, heard: list[Any]
) -> None:
    order = buy(buyer, stripe_sandbox, track.variant)
    for progress in StepProgress.objects.filter(state="open"):
        buyer.post(f"/api/enrollment/steps/{progress.step_id}/complete/")
    since = Enrollment.objects.get().enrolled_at
    give_back(staff, order)
    buy(buyer, stripe_sandbox, track.variant)
    found = books(student, track)
    assert found is not None
    assert (found.status, found.states) == ("enrolled", "cc ooo l")
    assert Enrollment.objects.get().enrolled_at == since
    assert [kind for kind, _ in heard] == ["enrollment.enrolled", "enrollment.withdrawn", "enrollment.restored"]


def test_guest_is_told_to_sign_in_first(shop: Shop, track: Track, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG"))
    shop.add(track.variant)
    contact = {"email": "guest@example.com", "shipping_address": ADDRESS}
    for path, body in (("/api/payment/checkout/", {}), ("/api/orders/", contact)):
        answer = shop.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_required"), path
        assert "Product TRACK-DP" in answer.json()["error"]
    assert Order.objects.count() == 0
    assert stripe_sandbox.sandbox.objects("checkout.session") == []


def test_guest_who_signs_in_buys_the_same_cart(shop: Shop, student: User, track: Track, stripe_sandbox: Stripe) -> None:
    shop.add(track.variant)
    assert shop.checkout().status_code == 401
    signed_in = shop.post("/api/auth/login/", {"email": student.email, "password": "correct horse battery"}).json()
    key = {"Authorization": f"Token {signed_in['token']}"}
    shop.cart_token = ""
    bought = shop.post("/api/payment/checkout/", {}, **key).json()
    stripe_sandbox.pay(bought["session_id"])
    stripe_sandbox.digest()
    assert status(student, track) == "enrolled"


def test_guests_order_from_before_it_was_a_track_enrols_whoever_claims_it(
    shop: Shop, student: User, stripe_sandbox: Stripe, heard: list[Any]
) -> None:
    variant = make_variant("TRACK-OLD", stock=None, kind="digital")
    shop.add(variant)
    bought = shop.buy(stripe_sandbox)
    track = Track.objects.create(code="OLD", name="Old", variant=variant)
    note_change(track)
    work()
    assert Enrollment.objects.count() == 0
    claimed = Shop(student)
    for _ in range(2):
        path = f"/api/orders/{bought['order_number']}/claim/"
        assert claimed.post(path, **{"X-Order-Token": bought["order_token"]}).status_code == 200
        work()
    assert status(student, track) == "enrolled"
    assert [kind for kind, _ in heard] == ["enrollment.enrolled"]
    assert Delivery.objects.filter(kind="order.claimed").count() == 1


def test_people_who_bought_it_before_it_was_a_track_are_enrolled(
    buyer: Shop, student: User, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.enrollment.services.tracks.PEOPLE_AT_ONCE", 2)
    people = [student, *(make_user(f"{name}@example.com") for name in "abcd")]
    variant = make_variant("TRACK-OLD", stock=None, kind="digital")
    for person in people:
        buy(Shop(person), stripe_sandbox, variant)
    track = Track.objects.create(code="OLD", name="Old", variant=variant)
    note_change(track)
    assert Enrollment.objects.count() == 0
    work()
    assert {status(person, track) for person in people} == {"enrolled"}
    deliveries = Delivery.objects.filter(kind="enrollment.track_changed")
    assert [each.state for each in deliveries] == ["done"] * 3, "two, two and one"
