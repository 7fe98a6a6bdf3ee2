"""An order opens to its owner and to the holder of its token, and to nobody who knows or guesses its number."""

from __future__ import annotations

from typing import Any

import pytest

from apps.common import tokens
from apps.orders.models import Order
from apps.payment.models import Payment
from tests.support.shop import Shop, Stripe, make_user, make_variant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bought(shop: Shop, stripe_sandbox: Stripe) -> dict[str, Any]:
    shop.add(make_variant(stock=9))
    return shop.checkout(email="guest@example.com").json()


def opened(bought: dict[str, Any]) -> dict[str, str]:
    return {"X-Order-Token": bought["order_token"]}


def test_token_opens_the_order_and_its_payments(bought: Any) -> None:
    guest = Shop()
    order = guest.get(f"/api/orders/{bought['order_number']}/", **opened(bought))
    assert (order.status_code, order["Cache-Control"]) == (200, "no-store")
    body = order.json()
    assert (body["number"], body["total"], body["email"]) == (bought["order_number"], "12.50", "guest@example.com")
    assert body["payments"][0]["status"] == "pending"
    payment_id = body["payments"][0]["id"]
    assert guest.get(f"/api/payment/payments/{payment_id}/", **opened(bought)).status_code == 200
    assert guest.get("/api/payment/payments/", **opened(bought)).json()["count"] == 1


@pytest.mark.parametrize("call", ["", "cancel/", "claim/"])
@pytest.mark.parametrize("token", ["", "0" * 72, "\u00e9" * 72, "x" * 5000])
def test_number_alone_or_a_wrong_token_looks_like_no_order_at_all(bought: Any, call: str, token: str) -> None:
    stranger = Shop(make_user("stranger@example.com"))
    method = "POST" if call else "GET"
    headers = {"X-Order-Token": token} if token else {}
    there = stranger.call(method, f"/api/orders/{bought['order_number']}/{call}", **headers)
    nowhere = stranger.call(method, f"/api/orders/ORD-20200101-00001/{call}", **headers)
    assert there.status_code == nowhere.status_code == 404
    assert there.content == nowhere.content


def test_token_of_one_order_opens_no_other(bought: Any, stripe_sandbox: Stripe) -> None:
    other = Shop()
    other.add(make_variant("CUP"))
    theirs = other.checkout().json()
    assert Shop().get(f"/api/orders/{theirs['order_number']}/", **opened(bought)).status_code == 404
    payment = Payment.objects.get(stripe_session_id=theirs["session_id"])
    assert Shop().get(f"/api/payment/payments/{payment.pk}/", **opened(bought)).status_code == 404


def test_token_survives_the_rotation_of_the_secret_key(bought: Any, settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-secret-key-0123456789abcdef"
    assert Shop().get(f"/api/orders/{bought['order_number']}/", **opened(bought)).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert Shop().get(f"/api/orders/{bought['order_number']}/", **opened(bought)).status_code == 404


def test_cart_token_opens_no_order(bought: Any) -> None:
    public_id = Order.objects.get().public_id
    forged = tokens.issue("cart", public_id)
    assert Shop().get(f"/api/orders/{bought['order_number']}/", **{"X-Order-Token": forged}).status_code == 404


def test_claim_needs_a_person_and_the_token_and_happens_once(bought: Any) -> None:
    path = f"/api/orders/{bought['order_number']}/claim/"
    assert Shop().post(path, **opened(bought)).json()["code"] == "sign_in_required"
    first, second = make_user("a@example.com"), make_user("b@example.com")
    assert Shop(first).post(path, **opened(bought)).status_code == 200
    assert Shop(first).post(path, **opened(bought)).status_code == 200
    assert Shop(second).post(path, **opened(bought)).status_code == 404
    assert Order.objects.get().user == first
    assert Shop(first).get("/api/orders/").json()["results"][0]["number"] == bought["order_number"]
    assert Shop(second).get("/api/orders/").json()["count"] == 0


def test_same_email_attaches_nothing(bought: Any) -> None:
    assert Shop(make_user("guest@example.com")).get("/api/orders/").json()["count"] == 0


def test_cancel_closes_the_session_frees_the_stock_and_forbids_a_retry(bought: Any, stripe_sandbox: Stripe) -> None:
    path = f"/api/orders/{bought['order_number']}/cancel/"
    answer = Shop().post(path, **opened(bought))
    assert (answer.json()["status"], answer.json()["payment_status"]) == ("cancelled", "failed")
    assert Shop().post(path, **opened(bought)).status_code == 200
    session = stripe_sandbox.sandbox.get(f"/v1/checkout/sessions/{bought['session_id']}")
    assert session["status"] == "expired"
    assert Order.objects.get().items.get().variant.held == 0
    retry = Shop().retry(bought)
    assert (retry.status_code, retry.json()["code"]) == (409, "order_cancelled")


def test_paid_order_cannot_be_cancelled_even_when_no_webhook_came(bought: Any, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.pay(bought["session_id"])
    answer = Shop().post(f"/api/orders/{bought['order_number']}/cancel/", **opened(bought))
    assert (answer.status_code, answer.json()["code"]) == (409, "already_paid")
    assert Order.objects.get().payment_status == "paid"


def test_staff_with_the_permission_may_cancel_and_others_may_not(bought: Any, stripe_sandbox: Stripe) -> None:
    path = f"/api/orders/{bought['order_number']}/cancel/"
    clerk = make_user("clerk@example.com")
    clerk.is_staff = True
    clerk.save()
    assert Shop(clerk).post(path).status_code == 404
    clerk.is_superuser = True
    clerk.save()
    assert Shop(clerk).post(path).status_code == 200


def test_lists_need_a_person(db: None) -> None:
    assert Shop().get("/api/orders/").json()["code"] == "sign_in_required"
    assert Shop().get("/api/payment/payments/").status_code == 401


@pytest.mark.postgres  # which takes no NUL in a text
@pytest.mark.parametrize("number", ["x", "ORD-1", "%00", "ORD-20261121-00001%00", "ORD-20261121-00001%0a", "\u00e9"])
def test_odd_numbers_are_404(bought: Any, number: str) -> None:
    for caller in (Shop(), Shop(make_user())):
        for method, call in (("GET", ""), ("POST", "cancel/"), ("POST", "claim/")):
            expected = 401 if call == "claim/" and not caller.client.cookies else 404
            answer = caller.call(method, f"/api/orders/{number}/{call}", **opened(bought))
            assert answer.status_code == expected, (method, call, answer.content)


def test_open_orders_are_limited_per_network(stripe_sandbox: Stripe, settings: Any) -> None:
    settings.RATE_LIMITS, settings.OPEN_ORDERS = True, 2
    mug = make_variant(stock=50)
    codes = []
    for _ in range(3):
        buyer = Shop()
        buyer.add(mug)
        codes.append(buyer.checkout())
    assert [answer.status_code for answer in codes] == [201, 201, 429]
    assert codes[2].json()["code"] == "too_many_open_orders"
    assert int(codes[2]["Retry-After"]) >= 60


def test_checkouts_are_limited_and_a_forged_forwarding_header_changes_nothing(
    stripe_sandbox: Stripe, settings: Any
) -> None:
    settings.RATE_LIMITS, settings.CHECKOUT_RATE = True, "2/hour"
    buyer = Shop()
    buyer.add(make_variant(stock=5))
    codes = [
        buyer.post("/api/payment/checkout/", {}, **{"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in range(3)
    ]
    assert codes == [201, 201, 429]
