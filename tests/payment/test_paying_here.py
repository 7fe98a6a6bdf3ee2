"""Cards kept at checkout, and orders paid with them without leaving the shop."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from apps.accounts.models import User
from apps.orders.models import Order
from apps.payment.models import Payment
from tests.support.shop import Shop, Stripe, make_user, make_variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]
DECLINES_WHEN_CHARGED = "pm_card_chargeCustomerFail"


@pytest.fixture
def ada(db: None) -> User:
    return make_user()


@pytest.fixture
def hers(ada: User) -> Shop:
    """Her frontend, with something digital in the cart."""
    shop = Shop(ada)
    shop.add(make_variant("BOOK", price=1900, stock=None, kind="digital"))
    return shop


def methods_of(shop: Shop) -> list[tuple[str, bool]]:
    return [(method["last4"], method["is_default"]) for method in shop.get("/api/payment/methods/").json()]


def save_card(shop: Shop, stripe_sandbox: Stripe, payment_method: str) -> int:
    """What the page of saved cards does; the id of the saved method."""
    setup = shop.post("/api/payment/methods/setup/").json()
    confirmed = requests.post(
        f"{stripe_sandbox.sandbox.address}/v1/setup_intents/{setup['setup_intent_id']}/confirm",
        data={"client_secret": setup["client_secret"], "payment_method": payment_method},
        headers={"Authorization": "Bearer pk_test_proshop"},
        timeout=10,
    )
    assert confirmed.json()["status"] == "succeeded"
    return int(shop.post("/api/payment/methods/", {"setup_intent": setup["setup_intent_id"]}).json()["id"])


def place(shop: Shop) -> str:
    return str(shop.post("/api/orders/").json()["number"])


def start(shop: Shop, number: str, **body: Any) -> dict[str, Any]:
    answer = shop.post("/api/payment/intents/", {"order_number": number, **body})
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_card_is_saved_at_checkout_when_the_buyer_asked(hers: Shop, stripe_sandbox: Stripe) -> None:
    hers.buy(stripe_sandbox, save_payment_method=True)

    assert methods_of(hers) == [("4242", True)]


def test_card_is_not_saved_at_checkout_when_nobody_asked(hers: Shop, stripe_sandbox: Stripe) -> None:
    hers.buy(stripe_sandbox)

    assert methods_of(hers) == []


def test_card_that_was_saved_at_checkout_is_offered_on_the_next_page(hers: Shop, stripe_sandbox: Stripe) -> None:
    hers.buy(stripe_sandbox, save_payment_method=True)
    hers.add(make_variant("SOUNDS", stock=None, kind="digital"))

    page = requests.get(hers.checkout().json()["checkout_url"], timeout=10)

    assert "•••• 4242" in page.text


def test_limited_method_of_somebody_who_never_asked_is_not_offered_here(hers: Shop, stripe_sandbox: Stripe) -> None:
    save_card(hers, stripe_sandbox, "pm_card_visa")
    [customer] = stripe_sandbox.sandbox.objects("customer")
    intent = stripe_sandbox.sandbox.post(
        "/v1/payment_methods", type="card", allow_redisplay="limited", **{"card[token]": "tok_mastercard"}
    )
    stripe_sandbox.sandbox.post(f"/v1/payment_methods/{intent['id']}/attach", customer=customer["id"])
    assert "payment_method.attached" in stripe_sandbox.digest()

    assert methods_of(hers) == [("4242", True)]


def test_declined_saved_card_may_be_tried_again(hers: Shop, stripe_sandbox: Stripe) -> None:
    method = save_card(hers, stripe_sandbox, DECLINES_WHEN_CHARGED)
    number = place(hers)
    first = start(hers, number, payment_method=method)
    declined = hers.post(f"/api/payment/payments/{first['payment_id']}/confirm/")
    assert (declined.status_code, declined.json()["code"]) == (402, "card_declined")

    second = start(hers, number, payment_method=method)

    assert second["stripe_status"] == "requires_confirmation"
    assert second["payment_intent_id"] != first["payment_intent_id"]
    again = hers.post(f"/api/payment/payments/{second['payment_id']}/confirm/")
    assert (again.status_code, again.json()["code"]) == (402, "card_declined")
    assert [p.status for p in Payment.objects.order_by("pk")] == ["cancelled", "pending"]
    assert stripe_sandbox.sandbox.get(f"/v1/payment_intents/{first['payment_intent_id']}")["status"] == "canceled"


def test_other_card_pays_after_a_decline(hers: Shop, stripe_sandbox: Stripe) -> None:
    bad = save_card(hers, stripe_sandbox, DECLINES_WHEN_CHARGED)
    good = save_card(hers, stripe_sandbox, "pm_card_visa")
    number = place(hers)
    first = start(hers, number, payment_method=bad)
    assert hers.post(f"/api/payment/payments/{first['payment_id']}/confirm/").status_code == 402

    second = start(hers, number, payment_method=good)
    paid = hers.post(f"/api/payment/payments/{second['payment_id']}/confirm/").json()
    stripe_sandbox.digest()

    assert (paid["status"], paid["payment_status"], paid["payment_method"]["last4"]) == ("succeeded", "paid", "4242")
    assert Order.objects.get().payment_status == "paid"


def test_form_that_asks_for_a_card_alone_needs_to_know_where_the_goods_go(ada: User, stripe_sandbox: Stripe) -> None:
    shop = Shop(ada)
    shop.add(make_variant("MUG"))
    number = shop.checkout().json()["order_number"]  # the hosted page would have asked

    refused = shop.post("/api/payment/intents/", {"order_number": number})

    assert (refused.status_code, refused.json()["code"]) == (409, "contact_missing")
    assert [p.channel for p in Payment.objects.all()] == ["session"]


def test_form_that_asks_for_a_card_alone_needs_to_know_whom_the_order_is_for(
    shop: Shop, stripe_sandbox: Stripe
) -> None:
    shop.add(make_variant("BOOK", stock=None, kind="digital"))
    placed = shop.checkout().json()

    token = {"X-Order-Token": placed["order_token"]}
    refused = shop.post("/api/payment/intents/", {"order_number": placed["order_number"]}, **token)

    assert (refused.status_code, refused.json()["code"]) == (409, "contact_missing")
