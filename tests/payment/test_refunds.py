"""Money back: whole, in parts, by lines; from staff, buyers and the Dashboard; and what Stripe makes of it later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.inventory.models import StockMovement
from apps.orders.models import Order
from apps.outbox.models import Delivery
from apps.payment import gateway
from apps.payment.models import AttentionCase, Payment, PaymentLog, Refund
from apps.payment.services import carrying_out, refund_requests
from apps.payment.services.carrying_out import carry_out, finish_refunds
from apps.payment.services.ledger import apply_refund
from apps.payment.services.refunds import HEAD_START, RefundWish, intend_refund
from tests.support.shop import Shop, Stripe, deliver, make_user, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]


def make_staff(*permissions: str) -> User:
    user = make_user("staff@example.com")
    user.is_staff = True
    user.save()
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions or ("issue_refund",)))
    return user


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1000, stock=10)


@pytest.fixture
def paid(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> dict[str, Any]:
    """Three mugs at 10.00 and one pen at 2.50, paid: 32.50."""
    shop.add(mug, 3)
    shop.add(make_variant("PEN", price=250, stock=10))
    return shop.buy(stripe_sandbox)


@pytest.fixture
def staff(db: None) -> Shop:
    return Shop(make_staff())


def give_back(staff: Shop, **body: Any) -> Any:
    return staff.post("/api/payment/refunds/", {"payment_id": Payment.objects.get(applied=True).pk, **body})


def state() -> tuple[str, str, int, str]:
    order, payment = Order.objects.get(), Payment.objects.get()
    return order.status, order.payment_status, payment.amount_refunded, payment.status


def test_staff_gives_everything_back(paid: Any, staff: Shop, stripe_sandbox: Stripe, mug: ProductVariant) -> None:
    answer = give_back(staff, reason="duplicate", description="twice in the cart")
    assert answer.status_code == 201, answer.content
    refund = Refund.objects.get()
    assert answer.json() == {
        "id": refund.pk,
        "payment_id": refund.payment_id,
        "order_number": paid["order_number"],
        "amount": "32.50",
        "currency": "USD",
        "status": "succeeded",
        "reason": "duplicate",
        "description": "twice in the cart",
        "items": [],
        "created_at": answer.json()["created_at"],
    }
    assert answer["Cache-Control"] == "no-store"
    assert state() == ("confirmed", "refunded", 3250, "refunded")
    order = Order.objects.get()
    assert [item.refunded_quantity for item in order.items.all()] == [3, 1]
    mug.refresh_from_db()
    assert mug.stock == 7, "nothing was restocked"
    at_stripe = stripe_sandbox.sandbox.objects("refund")
    assert [(r["amount"], r["reason"], r["metadata"]["proshop_refund"]) for r in at_stripe] == [
        (3250, "duplicate", refund.reference)
    ]
    stripe_sandbox.digest()
    assert Refund.objects.count() == 1
    assert state() == ("confirmed", "refunded", 3250, "refunded")


def test_parts_by_amount_add_up_and_never_exceed(paid: Any, staff: Shop, stripe_sandbox: Stripe) -> None:
    assert give_back(staff, amount="10.00").status_code == 201
    assert state() == ("confirmed", "partially_refunded", 1000, "partially_refunded")
    order = Order.objects.get()
    assert [item.refunded_quantity for item in order.items.all()] == [0, 0]

    over = give_back(staff, amount="22.51")
    assert (over.status_code, over.json()["code"]) == (400, "amount_exceeds_remaining")
    assert (over.json()["remaining"], over.json()["currency"]) == ("22.50", "USD")
    assert Refund.objects.count() == 1

    assert give_back(staff, amount="22.50").status_code == 201
    assert state() == ("confirmed", "refunded", 3250, "refunded")
    assert [item.refunded_quantity for item in order.items.all()] == [3, 1]
    nothing_left = give_back(staff)
    assert (nothing_left.status_code, nothing_left.json()["code"]) == (400, "amount_exceeds_remaining")


def test_lines_go_back_with_and_without_their_goods(
    paid: Any, staff: Shop, stripe_sandbox: Stripe, mug: ProductVariant
) -> None:
    mugs, pen = Order.objects.get().items.all()
    answer = give_back(
        staff,
        items=[
            {"order_item_id": mugs.pk, "quantity": 2, "restock": True},
            {"order_item_id": pen.pk, "quantity": 1},
        ],
    )
    assert (answer.status_code, answer.json()["amount"]) == (201, "22.50")
    mug.refresh_from_db()
    assert mug.stock == 9
    assert ProductVariant.objects.get(sku="PEN").stock == 9, "the pen stays away"
    assert list(StockMovement.objects.filter(kind="restock").values_list("variant__sku", "quantity")) == [("MUG", 2)]
    assert [item.refunded_quantity for item in Order.objects.get().items.all()] == [2, 1]

    over = give_back(staff, items=[{"order_item_id": mugs.pk, "quantity": 2}])
    assert (over.status_code, over.json()["code"]) == (400, "amount_exceeds_remaining")
    assert over.json()["items"] == [{"order_item_id": mugs.pk, "requested": 2, "remaining": 1}]
    stripe_sandbox.digest()
    mug.refresh_from_db()
    assert mug.stock == 9, "once"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"amount": "0"}, 400, "invalid"),
        ({"amount": "-1.00"}, 400, "invalid"),
        ({"amount": "1.001"}, 400, "invalid"),
        ({"amount": "1e2"}, 400, "invalid"),
        ({"amount": "NaN"}, 400, "invalid"),
        ({"amount": 5}, 400, "invalid"),
        ({"amount": 5.5}, 400, "invalid"),
        ({"items": []}, 400, "invalid"),
        ({"items": [{"order_item_id": 999_999, "quantity": 1}]}, 400, "invalid"),
        ({"items": [{"order_item_id": 1, "quantity": 0}]}, 400, "invalid"),
        ({"reason": "because"}, 400, "invalid"),
        ({"payment_id": 999_999}, 404, "payment_not_found"),
        ({"payment_id": "x"}, 400, "invalid"),
    ],
)
def test_bad_input_moves_nothing(paid: Any, staff: Shop, body: dict[str, Any], status: int, code: str) -> None:
    answer = give_back(staff, **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert Refund.objects.count() == 0


def test_amount_and_items_exclude_each_other_and_a_line_counts_once(paid: Any, staff: Shop) -> None:
    line = {"order_item_id": Order.objects.get().items.first().pk, "quantity": 1}
    assert give_back(staff, amount="1.00", items=[line]).json()["code"] == "invalid"
    assert give_back(staff, items=[line, line]).json()["code"] == "invalid"
    assert Refund.objects.count() == 0


def test_unpaid_payment_is_not_refundable(shop: Shop, mug: ProductVariant, staff: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.checkout()
    answer = staff.post("/api/payment/refunds/", {"payment_id": Payment.objects.get().pk})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_refundable")


def test_buyer_asks_and_staff_decides(paid: Any, shop: Shop, stripe_sandbox: Stripe) -> None:
    payment = Payment.objects.get()
    token = {"X-Order-Token": paid["order_token"]}
    asked = shop.post(
        "/api/payment/refunds/", {"payment_id": payment.pk, "amount": "5.00", "description": "chipped"}, **token
    )
    assert (asked.status_code, asked.json()["status"]) == (202, "requested")
    assert stripe_sandbox.sandbox.objects("refund") == []
    assert state() == ("confirmed", "paid", 0, "succeeded")
    again = shop.post("/api/payment/refunds/", {"payment_id": payment.pk}, **token)
    assert (again.status_code, again.json()["code"]) == (409, "refund_already_requested")
    work()
    assert Refund.objects.get().status == "requested", "work never decides"

    person = make_staff("decide_refund")
    carry_out(refund_requests.approve(Refund.objects.get(), by=person))
    refund = Refund.objects.get()
    assert (refund.status, refund.decided_by) == ("succeeded", person)
    assert state() == ("confirmed", "partially_refunded", 500, "partially_refunded")
    listed = shop.get("/api/payment/refunds/", **token).json()
    assert (listed["count"], listed["results"][0]["status"]) == (1, "succeeded")


def test_rejected_request_gives_nothing_and_another_may_follow(paid: Any, shop: Shop, stripe_sandbox: Stripe) -> None:
    body, token = {"payment_id": Payment.objects.get().pk}, {"X-Order-Token": paid["order_token"]}
    assert shop.post("/api/payment/refunds/", body, **token).status_code == 202
    refund_requests.reject(Refund.objects.get(), by=make_staff("decide_refund"), note="worn")
    assert Refund.objects.get().status == "rejected"
    with pytest.raises(refund_requests.Conflict, match="not waiting"):
        refund_requests.approve(Refund.objects.get(), by=User.objects.get(email="staff@example.com"))
    assert stripe_sandbox.sandbox.objects("refund") == []
    assert shop.post("/api/payment/refunds/", body, **token).status_code == 202


def test_only_staff_calls_a_payment_fraudulent(paid: Any, shop: Shop, staff: Shop) -> None:
    body = {"payment_id": Payment.objects.get().pk, "reason": "fraudulent"}
    asked = shop.post("/api/payment/refunds/", body, **{"X-Order-Token": paid["order_token"]})
    assert asked.status_code == 403
    assert Refund.objects.count() == 0
    assert give_back(staff, reason="fraudulent").status_code == 201


def test_a_stranger_sees_and_moves_nothing(paid: Any) -> None:
    stranger = Shop(make_user("other@example.com"))
    body = {"payment_id": Payment.objects.get().pk}
    foreign, missing = (
        stranger.post("/api/payment/refunds/", body),
        stranger.post("/api/payment/refunds/", {"payment_id": 999_999}),
    )
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    assert stranger.get("/api/payment/refunds/").json()["count"] == 0
    assert Shop().get("/api/payment/refunds/").status_code == 401
    assert Shop().post("/api/payment/refunds/", body).status_code == 404


def test_staff_without_the_permission_is_a_buyer_like_any_other(paid: Any) -> None:
    clerk = Shop(make_staff("view_payment"))
    assert clerk.post("/api/payment/refunds/", {"payment_id": Payment.objects.get().pk}).status_code == 404


def test_same_key_refunds_once(paid: Any, staff: Shop, stripe_sandbox: Stripe) -> None:
    body = {"payment_id": Payment.objects.get().pk, "amount": "3.00"}
    first = staff.post("/api/payment/refunds/", body, **{"Idempotency-Key": "r-1"})
    second = staff.post("/api/payment/refunds/", body, **{"Idempotency-Key": "r-1"})
    assert (first.status_code, second.status_code, second["Idempotent-Replayed"]) == (201, 201, "true")
    assert first.json() == second.json()
    assert len(stripe_sandbox.sandbox.objects("refund")) == 1


# What Stripe makes of it


def test_pending_refund_changes_nothing_until_it_succeeds(
    shop: Shop, mug: ProductVariant, staff: Shop, stripe_sandbox: Stripe
) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_pendingRefund")
    assert give_back(staff).json()["status"] == "pending"
    assert state() == ("confirmed", "paid", 0, "succeeded")
    assert give_back(staff).json()["code"] == "amount_exceeds_remaining", "what is on its way counts"
    assert "refund.updated" in stripe_sandbox.settle_later_work()
    assert Refund.objects.get().status == "succeeded"
    assert state() == ("confirmed", "refunded", 1000, "refunded")


def test_refund_that_fails_later_makes_the_order_paid_again(
    shop: Shop, mug: ProductVariant, staff: Shop, stripe_sandbox: Stripe
) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_refundFail")
    line = Order.objects.get().items.get()
    give_back(staff, items=[{"order_item_id": line.pk, "quantity": 1, "restock": True}])
    assert state() == ("confirmed", "refunded", 1000, "refunded")
    assert "refund.failed" in stripe_sandbox.settle_later_work()

    refund = Refund.objects.get()
    assert (refund.status, refund.failure_code) == ("failed", "expired_or_canceled_card")
    assert state() == ("confirmed", "paid", 0, "succeeded")
    line.refresh_from_db()
    assert line.refunded_quantity == 0
    case = AttentionCase.objects.get()
    assert (case.kind, case.object_id, case.solved_at) == ("refund_failed", refund.reference, None)
    mug.refresh_from_db()
    assert mug.stock == 10, "the goods did come back"
    assert Delivery.objects.filter(kind="payment.attention", subscriber="mail").count() == 1
    assert give_back(staff).status_code == 201, "it may be tried again"


@pytest.mark.parametrize(("told", "ours"), [("canceled", "cancelled"), ("requires_action", "pending")])
def test_other_states_of_stripe(paid: Any, staff: Shop, stripe_sandbox: Stripe, told: str, ours: str) -> None:
    give_back(staff, amount="5.00")
    stripe_sandbox.sandbox.control(f"refunds/{Refund.objects.get().stripe_refund_id}/set", status=told)
    stripe_sandbox.digest()
    assert Refund.objects.get().status == ours
    assert state() == ("confirmed", "paid", 0, "succeeded")


def test_refunds_of_the_dashboard_land_here(paid: Any, stripe_sandbox: Stripe) -> None:
    intent = Payment.objects.get().stripe_payment_intent_id
    stripe_sandbox.sandbox.control("refund", payment_intent=intent, amount=1000)
    stripe_sandbox.sandbox.control("refund", payment_intent=intent, amount=250, reason="fraudulent")
    stripe_sandbox.digest()
    assert state() == ("confirmed", "partially_refunded", 1250, "partially_refunded")
    found = Refund.objects.order_by("pk").values_list("amount", "source", "status", "reason")
    assert list(found) == [
        (1000, "stripe", "succeeded", "other"),
        (250, "stripe", "succeeded", "fraudulent"),
    ]


def test_refund_of_the_dashboard_before_the_payments_own_event(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    shop.add(mug)
    session = shop.checkout().json()["session_id"]
    intent = stripe_sandbox.pay(session)["session"]["payment_intent"]
    paid_events = stripe_sandbox.new_events()
    stripe_sandbox.sandbox.control("refund", payment_intent=intent, amount=400)
    stripe_sandbox.digest()
    assert state() == ("confirmed", "partially_refunded", 400, "partially_refunded")
    assert len(paid_events) > 2, "none of them was delivered"


def test_charge_refunded_alone_is_enough(paid: Any, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.control("refund", payment_intent=Payment.objects.get().stripe_payment_intent_id, amount=100)
    for event in stripe_sandbox.new_events():
        if event["type"] == "charge.refunded":
            assert deliver(event).status_code == 200
    work()
    assert Refund.objects.get().amount == 100


def test_surplus_payment_goes_back_and_leaves_the_order_paid(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    """Both pages were paid before the shop heard of either."""
    shop.add(mug)
    first = shop.checkout().json()
    Payment.objects.update(status="failed", closing=False)
    second = shop.retry(first).json()
    stripe_sandbox.pay(first["session_id"])
    stripe_sandbox.pay(second["session_id"])
    stripe_sandbox.digest()
    surplus = Payment.objects.get(applied=False)
    assert (surplus.problem, surplus.status, surplus.amount_refunded) == ("surplus", "refunded", 1000)
    assert Order.objects.get().payment_status == "paid"
    assert Refund.objects.get().source == "shop"
    case = AttentionCase.objects.get()
    assert (case.kind, case.note) == ("surplus", "Refunded in full.")
    assert case.solved_at is not None


# Faults


def test_answer_lost_is_one_refund(paid: Any, staff: Shop, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("reset_after", path="/v1/refunds", times=3)
    answer = give_back(staff, amount="4.00")
    assert answer.status_code == 201
    Refund.objects.update(next_try_at=None)
    work()
    assert (Refund.objects.get().status, len(stripe_sandbox.sandbox.objects("refund"))) == ("succeeded", 1)
    assert state()[1:3] == ("partially_refunded", 400)


def test_stripe_away_answers_pending_and_work_goes_on(
    paid: Any, staff: Shop, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.payment.gateway.calls.time.sleep", lambda seconds: None)
    stripe_sandbox.sandbox.faults("reset", path="/v1/refunds", times=3)
    answer = give_back(staff)
    assert (answer.status_code, answer.json()["status"]) == (201, "pending")
    assert state() == ("confirmed", "paid", 0, "succeeded")
    stripe_sandbox.sandbox.control("rules/clear")
    assert finish_refunds() == 0, "it is not due yet"
    Refund.objects.update(next_try_at=timezone.now())
    assert finish_refunds() == 1
    assert state() == ("confirmed", "refunded", 3250, "refunded")
    assert len(stripe_sandbox.sandbox.objects("refund")) == 1


def test_saved_500_that_made_the_refund_is_found_and_not_made_twice(
    paid: Any, staff: Shop, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.payment.gateway.calls.time.sleep", lambda seconds: None)
    stripe_sandbox.sandbox.faults("500_after", path="/v1/refunds", times=1)
    assert give_back(staff, amount="4.00").json()["status"] == "succeeded"
    assert len(stripe_sandbox.sandbox.objects("refund")) == 1


def test_refund_that_a_crash_cut_off_is_carried_out_once(paid: Any, staff: Shop, stripe_sandbox: Stripe) -> None:
    """The process died after Stripe made it and before the answer was kept."""
    refund = intend_refund(payment=Payment.objects.get(), wish=RefundWish(amount=700), source=Refund.Source.STAFF)
    params = {
        "payment_intent": refund.payment.stripe_payment_intent_id,
        "amount": 700,
        "reason": refund.reason,
        "metadata": {
            "proshop_refund": refund.reference,
            "proshop_payment": refund.payment.reference,
            "proshop_order": refund.payment.order.number,
        },
    }
    gateway.create_refund(params, idempotency_key=refund.idempotency_key)
    with time_machine.travel(timezone.now() + HEAD_START):
        work()
    assert (Refund.objects.get().status, len(stripe_sandbox.sandbox.objects("refund"))) == ("succeeded", 1)


def test_work_leaves_a_new_refund_to_whoever_wrote_it(paid: Any, stripe_sandbox: Stripe) -> None:
    """Otherwise it might be faster, and staff would read that Stripe has not answered yet."""
    written = intend_refund(payment=Payment.objects.get(), wish=RefundWish(amount=700), source=Refund.Source.STAFF)
    with time_machine.travel(timezone.now() + HEAD_START - timedelta(seconds=5)):
        work()
        assert (Refund.objects.get().status, stripe_sandbox.sandbox.objects("refund")) == ("pending", [])
        assert carry_out(written).status == "succeeded"
    assert len(stripe_sandbox.sandbox.objects("refund")) == 1


def test_of_two_who_carry_out_a_new_refund_one_asks_stripe(paid: Any, stripe_sandbox: Stripe) -> None:
    refund = intend_refund(payment=Payment.objects.get(), wish=RefundWish(amount=700), source=Refund.Source.STAFF)
    assert carrying_out._take(refund)
    assert carry_out(Refund.objects.get()).status == "pending"
    assert stripe_sandbox.sandbox.objects("refund") == []


def test_key_that_stripe_has_forgotten_is_not_used_blindly(paid: Any, stripe_sandbox: Stripe) -> None:
    refund = intend_refund(payment=Payment.objects.get(), wish=RefundWish(amount=700), source=Refund.Source.STAFF)
    carry_out(refund)
    long_ago = timezone.now() - timedelta(hours=30)
    Refund.objects.update(status="pending", stripe_refund_id=None, key_used_at=long_ago, next_try_at=None, told_at=None)
    stripe_sandbox.sandbox.control("advance", seconds=30 * 3600)
    Payment.objects.update(amount_refunded=0, status="succeeded")
    Order.objects.update(payment_status="paid")
    assert carry_out(Refund.objects.get()).status == "succeeded"
    assert len(stripe_sandbox.sandbox.objects("refund")) == 1
    Order.objects.update(payment_status="partially_refunded")


def test_refusal_of_stripe_fails_the_row_and_looks_at_what_stripe_knows(
    paid: Any, staff: Shop, stripe_sandbox: Stripe
) -> None:
    """The Dashboard gave everything back a moment ago, and no event has come yet."""
    stripe_sandbox.sandbox.control("refund", payment_intent=Payment.objects.get().stripe_payment_intent_id)
    answer = give_back(staff, amount="1.00")
    assert (answer.status_code, answer.json()["code"]) == (400, "amount_exceeds_remaining")
    assert sorted(Refund.objects.values_list("source", "status")) == [("staff", "failed"), ("stripe", "succeeded")]
    assert state() == ("confirmed", "refunded", 3250, "refunded")


def test_an_older_answer_does_not_undo_a_newer_one(paid: Any, staff: Shop, stripe_sandbox: Stripe) -> None:
    give_back(staff, amount="5.00")
    refund = Refund.objects.get()
    older, asked_at = gateway.retrieve_refund(refund.stripe_refund_id), timezone.now()
    stripe_sandbox.sandbox.control(f"refunds/{refund.stripe_refund_id}/set", status="failed")
    stripe_sandbox.digest()
    with transaction.atomic():
        apply_refund(older, asked_at=asked_at)
    assert Refund.objects.get().status == "failed"
    assert state() == ("confirmed", "paid", 0, "succeeded")


def test_what_happened_is_logged_once_each(paid: Any, staff: Shop, stripe_sandbox: Stripe) -> None:
    give_back(staff, amount="5.00")
    stripe_sandbox.digest()
    kinds = PaymentLog.objects.filter(kind__startswith="refund").values_list("kind", flat=True)
    assert sorted(kinds) == ["refund_pending", "refund_succeeded"]
