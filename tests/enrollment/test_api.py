"""Tracks, checkout, course and steps over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.cart.models import CartItem
from apps.catalog.models import Price, Product
from apps.enrollment.models import Enrollment, Step, StepProgress, Track
from apps.inventory.models import StockHold
from apps.orders.models import Order, OrderItem
from apps.payment.models import Payment
from apps.payment.services.expiry import expire_due_orders
from tests.enrollment.courses import books, buy, buy_track, dispute, give_back, make_track, outbox_at_rest, status
from tests.support.shop import Shop, Stripe, make_variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

CHECKOUT = "/api/enrollment/tracks/DP/checkout/"


def step(track: Track, title: str) -> int:
    return Step.objects.get(project__track=track, title=title).pk


def complete(shop: Shop, step_id: Any) -> Any:
    return shop.post(f"/api/enrollment/steps/{step_id}/complete/")


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "tracks/"), ("POST", "tracks/DP/checkout/"), ("GET", "me/"), ("POST", "steps/1/complete/")],
)
def test_everything_wants_a_signed_in_person(shop: Shop, track: Track, method: str, path: str) -> None:
    answer = shop.call(method, f"/api/enrollment/{path}", None if method == "GET" else {})
    assert refusal(answer) == (401, "sign_in_required")
    assert answer["WWW-Authenticate"] == "Token"


def test_tracks_that_can_be_bought(buyer: Shop, track: Track) -> None:
    other = make_track("FSD", price=59900, name="Full-Stack Developer")
    hidden, priceless = make_track("OFF"), make_track("EUR")
    Product.objects.filter(pk=hidden.variant.product_id).update(active=False)
    Price.objects.filter(variant=priceless.variant).update(currency="EUR")
    answer = buyer.get("/api/enrollment/tracks/")
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    common = {"currency": "USD"}
    assert answer.json() == [
        {"code": "DP", "name": "Data Professional", "price": "499.00", "variant_id": track.variant_id, **common},
        {"code": "FSD", "name": "Full-Stack Developer", "price": "599.00", "variant_id": other.variant_id, **common},
    ]
    for code in ("OFF", "EUR", "NOPE", "dp", "D%00P", "D%C3%9C", "x" * 300):
        assert refusal(buyer.post(f"/api/enrollment/tracks/{code}/checkout/")) == (404, "track_not_found"), code
    assert Order.objects.count() == 0


def test_product_of_a_track_says_that_it_needs_an_account(shop: Shop, track: Track) -> None:
    product = shop.get("/api/products/track-dp/").json()
    assert (product["needs_account"], product["kind"]) == (True, "digital")


# Checkout


def test_track_is_bought_alone_and_the_cart_stays(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    mug = make_variant("MUG")
    buyer.add(mug, 2)
    buyer.add(track.variant)
    answer = buyer.post(CHECKOUT)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["total_amount"], body["currency"], body["items_count"]) == ("499.00", "USD", 1)
    assert set(body) == {
        "session_id",
        "checkout_url",
        "total_amount",
        "currency",
        "items_count",
        "order_number",
        "order_token",
        "expires_at",
    }
    order = Order.objects.get()
    assert (order.number, order.user, order.email, order.cart_id) == (
        body["order_number"],
        student,
        student.email,
        None,
    )
    assert list(order.items.values_list("sku", "quantity", "unit_price")) == [("TRACK-DP", 1, 49900)]
    stripe_sandbox.pay(body["session_id"])
    stripe_sandbox.digest()
    assert status(student, track) == "enrolled"
    lines = CartItem.objects.order_by("pk").values_list("variant__sku", "quantity")
    assert list(lines) == [("MUG", 2), ("TRACK-DP", 1)]


def test_same_call_again_gives_the_same_open_session(buyer: Shop, track: Track, stripe_sandbox: Stripe) -> None:
    first, second = buyer.post(CHECKOUT).json(), buyer.post(CHECKOUT).json()
    assert (first["session_id"], first["order_number"]) == (second["session_id"], second["order_number"])
    assert Order.objects.count() == Payment.objects.count() == 1
    assert len(stripe_sandbox.sandbox.objects("checkout.session")) == 1


def test_tracks_cart_and_people_do_not_share_orders(
    buyer: Shop, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    make_track("FSD")
    buyer.add(track.variant)
    calls = [
        buyer.checkout(),
        buyer.post(CHECKOUT),
        buyer.post("/api/enrollment/tracks/FSD/checkout/"),
        staff.post(CHECKOUT),
    ]
    assert [answer.status_code for answer in calls] == [201] * 4
    assert len({answer.json()["order_number"] for answer in calls}) == 4


def test_after_a_decline_or_an_expiry_it_is_bought_all_the_same(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    first = buyer.post(CHECKOUT).json()
    with pytest.raises(AssertionError, match="card_declined"):
        stripe_sandbox.pay(first["session_id"], "pm_card_chargeDeclined")
    stripe_sandbox.digest()
    assert buyer.post(CHECKOUT).json()["session_id"] == first["session_id"]
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    expire_due_orders()
    assert Order.objects.get().status == "cancelled"
    buy_track(buyer, stripe_sandbox, track)
    assert Order.objects.count() == 2
    assert status(student, track) == "enrolled"


def test_whoever_is_enrolled_cannot_buy_again(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    order = buy_track(buyer, stripe_sandbox, track)
    assert refusal(buyer.post(CHECKOUT)) == (409, "already_enrolled")
    assert Order.objects.count() == 1
    give_back(staff, order)
    assert buyer.post(CHECKOUT).status_code == 201


def test_paid_counts_as_enrolled_before_the_news_has_arrived(buyer: Shop, track: Track, stripe_sandbox: Stripe) -> None:
    with outbox_at_rest():
        buy_track(buyer, stripe_sandbox, track)
        assert Enrollment.objects.count() == 0
        assert refusal(buyer.post(CHECKOUT)) == (409, "already_enrolled")


def test_debit_on_its_way_is_not_paid_twice(buyer: Shop, track: Track, stripe_sandbox: Stripe, settings: Any) -> None:
    settings.DEFAULT_CURRENCY = "EUR"
    Price.objects.create(variant=track.variant, currency="EUR", amount=45900)
    buy_track(buyer, stripe_sandbox, track, "AT611904300234573201")
    assert refusal(buyer.post(CHECKOUT)) == (409, "already_paid")
    assert Order.objects.count() == 1


def test_idempotency_key_is_honoured(buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe) -> None:
    key = {"Idempotency-Key": "t-1"}
    first = buyer.post(CHECKOUT, {}, **key)
    stripe_sandbox.pay(first.json()["session_id"])
    stripe_sandbox.digest()
    again = buyer.post(CHECKOUT, {}, **key)
    assert (again.status_code, again["Idempotent-Replayed"], again.json()) == (201, "true", first.json())
    assert refusal(buyer.post(CHECKOUT, {"save_payment_method": True}, **key)) == (422, "idempotency_key_reused")
    assert refusal(buyer.post(CHECKOUT)) == (409, "already_enrolled")


def test_open_orders_and_rate_are_limited(buyer: Shop, track: Track, stripe_sandbox: Stripe, settings: Any) -> None:
    make_track("FSD")
    settings.RATE_LIMITS, settings.OPEN_ORDERS, settings.CHECKOUT_RATE = True, 1, "3/hour"
    assert buyer.post(CHECKOUT).status_code == 201
    assert refusal(buyer.post("/api/enrollment/tracks/FSD/checkout/")) == (429, "too_many_open_orders")
    assert buyer.post(CHECKOUT).status_code == 201, "its own open order is no second one"
    assert refusal(buyer.post(CHECKOUT)) == (429, "too_many_requests")


def test_stripe_away_leaves_an_order_that_goes_on_later(buyer: Shop, track: Track, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("500", times=10)
    assert refusal(buyer.post(CHECKOUT)) == (503, "payment_provider_unavailable")
    stripe_sandbox.sandbox.control("rules/clear")
    assert buyer.post(CHECKOUT).status_code == 201
    assert Order.objects.filter(status="pending").count() == 1


# Course


def test_nobody_is_enrolled_at_first(buyer: Shop, track: Track) -> None:
    nothing = {"status": "not_enrolled", "enrolled_at": None, "projects": [], "enrollments": []}
    answer = buyer.get("/api/enrollment/me/")
    assert answer.json() == {**nothing, "track": None, "track_name": None}
    assert answer["Cache-Control"] == "no-store"
    named = buyer.get("/api/enrollment/me/?track=DP").json()
    assert named == {**nothing, "track": "DP", "track_name": "Data Professional"}
    for code in ("NOPE", "%00", "%C3%9C"):
        assert refusal(buyer.get(f"/api/enrollment/me/?track={code}")) == (404, "track_not_found")


def test_course_with_its_projects_and_steps(buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe) -> None:
    buy_track(buyer, stripe_sandbox, track)
    since = Enrollment.objects.get().enrolled_at
    assert since is not None
    at = since.isoformat().replace("+00:00", "Z")

    def shown(title: str, state: str) -> dict[str, Any]:
        return {"id": step(track, title), "title": title, "state": state}

    assert buyer.get("/api/enrollment/me/").json() == {
        "status": "enrolled",
        "track": "DP",
        "track_name": "Data Professional",
        "enrolled_at": at,
        "projects": [
            {"number": 1, "title": "Learn", "unlocked": True, "steps": [shown("Read", "open"), shown("Try", "open")]},
            {
                "number": 2,
                "title": "Build",
                "unlocked": False,
                "steps": [shown("Plan", "locked"), shown("Code", "locked"), shown("Test", "locked")],
            },
            {"number": 3, "title": "Show", "unlocked": False, "steps": [shown("Talk", "locked")]},
        ],
        "enrollments": [{"track": "DP", "track_name": "Data Professional", "status": "enrolled", "enrolled_at": at}],
    }


def test_latest_active_enrollment_is_shown_and_all_are_listed(
    buyer: Shop, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    second, third = make_track("FSD"), make_track("UX")
    buy_track(buyer, stripe_sandbox, track)
    suspended = buy_track(buyer, stripe_sandbox, second)
    order = buy_track(buyer, stripe_sandbox, third)

    def me(query: str = "") -> tuple[str, str, list[str]]:
        body = buyer.get(f"/api/enrollment/me/{query}").json()
        return body["track"], body["status"], [f"{e['track']} {e['status']}" for e in body["enrollments"]]

    assert me() == ("UX", "enrolled", ["UX enrolled", "FSD enrolled", "DP enrolled"])
    dispute(stripe_sandbox, suspended)
    give_back(staff, order)
    assert me() == ("DP", "enrolled", ["DP enrolled", "FSD suspended", "UX withdrawn"])
    assert me("?track=FSD")[:2] == ("FSD", "suspended")
    give_back(staff, Order.objects.get(items__variant=track.variant))
    assert me() == ("FSD", "suspended", ["FSD suspended", "UX withdrawn", "DP withdrawn"])


# Steps


def test_last_step_of_a_project_unlocks_the_next(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    buy_track(buyer, stripe_sandbox, track)

    def after(title: str) -> tuple[str, list[bool]]:
        answer = complete(buyer, step(track, title))
        assert answer.status_code == 200, answer.content
        found = books(student, track)
        assert found is not None
        return found.states, [project["unlocked"] for project in answer.json()["projects"]]

    assert after("Try") == ("oc lll l", [True, False, False])
    assert after("Read") == ("cc ooo l", [True, True, False])
    assert after("Code") == ("cc oco l", [True, True, False])
    assert after("Plan") == ("cc cco l", [True, True, False])
    assert after("Test") == ("cc ccc o", [True, True, True])
    assert after("Talk") == ("cc ccc c", [True, True, True])
    done = dict(StepProgress.objects.values_list("step", "completed_at"))
    assert after("Read") == ("cc ccc c", [True, True, True])
    assert dict(StepProgress.objects.values_list("step", "completed_at")) == done, "again changes nothing"


def test_locked_step_waits(buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe) -> None:
    buy_track(buyer, stripe_sandbox, track)
    for title in ("Plan", "Talk"):
        assert refusal(complete(buyer, step(track, title))) == (409, "step_locked")
    found = books(student, track)
    assert found is not None
    assert found.states == "oo lll l"


def test_steps_of_others_look_like_none(buyer: Shop, staff: Shop, track: Track, stripe_sandbox: Stripe) -> None:
    buy_track(buyer, stripe_sandbox, track)
    foreign, missing = complete(staff, step(track, "Read")), complete(staff, 999_999)
    assert refusal(foreign) == (404, "step_not_found")
    assert foreign.content == missing.content
    for odd in ("0", "9" * 18):
        assert refusal(complete(staff, odd)) == (404, "step_not_found")
    for odd in ("x", "9" * 30, "-1"):
        assert complete(staff, odd).status_code == 404
    assert StepProgress.objects.filter(state="completed").count() == 0


def test_who_is_not_enrolled_any_more_completes_nothing(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    order = buy_track(buyer, stripe_sandbox, track)
    complete(buyer, step(track, "Read"))
    give_back(staff, order)
    assert refusal(complete(buyer, step(track, "Try"))) == (409, "not_enrolled")
    dispute(stripe_sandbox, buy_track(buyer, stripe_sandbox, track))
    assert refusal(complete(buyer, step(track, "Try"))) == (409, "not_enrolled")
    body = buyer.get("/api/enrollment/me/").json()
    assert body["status"] == "suspended"
    assert [each["state"] for each in body["projects"][0]["steps"]] == ["completed", "open"], "progress is kept"


def test_course_takes_as_many_statements_for_three_tracks_as_for_one(
    buyer: Shop, track: Track, stripe_sandbox: Stripe, django_assert_num_queries: Any
) -> None:
    buy_track(buyer, stripe_sandbox, track)
    with django_assert_num_queries(6):
        buyer.get("/api/enrollment/me/")
    for code in ("FSD", "UX"):
        buy_track(buyer, stripe_sandbox, make_track(code))
    with django_assert_num_queries(6):
        buyer.get("/api/enrollment/me/")
    assert OrderItem.objects.count() == 3
    assert StockHold.objects.count() == 0


def test_carts_go_on_to_take_tracks(buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe) -> None:
    buy(buyer, stripe_sandbox, track.variant, make_variant("MUG"))
    assert status(student, track) == "enrolled"
    assert CartItem.objects.count() == 0
