"""The same purchase in currencies that count differently: every amount exact, from the shelf to the paid order."""

from __future__ import annotations

from typing import Any

import pytest

from apps.cart.models import CartItem
from apps.catalog.models import Price, ProductVariant
from apps.orders.models import Order
from apps.payment.models import Payment
from tests.support.shop import Shop, Stripe, make_variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

# currency, price of one unit in Stripe's integer, its text, Stripe's integer and the text of three units
PURCHASES = [
    ("JPY", 1500, "1500", 4500, "4500"),
    ("KWD", 18610, "18.610", 55830, "55.830"),
    ("ISK", 150000, "1500", 450000, "4500"),
    ("HUF", 123450, "1234.50", 370350, "3703.50"),
    ("EUR", 1999, "19.99", 5997, "59.97"),
]


def add(shop: Shop, variant: ProductVariant, currency: str, quantity: int = 1) -> dict[str, Any]:
    answer = shop.post("/api/cart/add/", {"variant_id": variant.pk, "quantity": quantity, "currency": currency})
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    shop.cart_token = body["token"] or shop.cart_token
    return body


@pytest.mark.parametrize(("currency", "unit", "unit_text", "total", "text"), PURCHASES)
def test_a_purchase_is_exact_in_its_currency(
    shop: Shop, stripe_sandbox: Stripe, currency: str, unit: int, unit_text: str, total: int, text: str
) -> None:
    mug = make_variant("MUG-1", price=1250, currency="USD")
    Price.objects.create(variant=mug, currency=currency, amount=unit)

    product = shop.get(f"/api/products/mug-1/?currency={currency}").json()
    assert (product["variants"][0]["price"], product["variants"][0]["currency"]) == (unit_text, currency)
    cart = add(shop, mug, currency, quantity=3)
    assert (cart["currency"], cart["total"], cart["items"][0]["price_at_add"]) == (currency, text, unit_text)

    answer = shop.checkout()
    assert answer.status_code == 201, answer.content
    bought = answer.json()
    assert (bought["total_amount"], bought["currency"]) == (text, currency)

    session = stripe_sandbox.sandbox.get(f"/v1/checkout/sessions/{bought['session_id']}")
    assert (session["amount_total"], session["currency"]) == (total, currency.lower())
    stripe_sandbox.pay(bought["session_id"])
    stripe_sandbox.deliver_new()

    order = shop.get(f"/api/orders/{bought['order_number']}/", **{"X-Order-Token": bought["order_token"]}).json()
    assert (order["status"], order["payment_status"]) == ("confirmed", "paid")
    assert (order["total"], order["subtotal"], order["currency"]) == (text, text, currency)
    assert (order["items"][0]["unit_price"], order["items"][0]["line_total"]) == (unit_text, text)
    payment = Payment.objects.get()
    assert (payment.amount, payment.amount_captured, payment.currency) == (total, total, currency)
    assert order["payments"][0]["amount"] == text
    (intent,) = stripe_sandbox.sandbox.objects("payment_intent")
    assert (intent["amount_received"], intent["currency"]) == (total, currency.lower())


def test_what_has_no_price_in_the_currency_cannot_be_added(shop: Shop) -> None:
    mug = make_variant("MUG-1", currency="USD")
    answer = shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": "JPY"})
    assert answer.status_code == 400
    assert answer.json() == {"error": "This item has no price in JPY.", "code": "no_price_in_currency"}
    assert CartItem.objects.count() == 0


def test_a_cart_with_lines_keeps_its_currency_for_what_has_no_price_in_it(shop: Shop) -> None:
    add(shop, make_variant("MUG-1", currency="JPY", price=1500), "JPY")
    cup = make_variant("CUP-1", currency="EUR")
    answer = shop.post("/api/cart/add/", {"variant_id": cup.pk})
    assert answer.status_code == 400
    assert answer.json() == {"error": "This item has no price in JPY.", "code": "no_price_in_currency"}
    assert CartItem.objects.count() == 1


def test_one_cart_has_one_currency_until_it_is_empty(shop: Shop) -> None:
    mug = make_variant("MUG-1", currency="JPY", price=1500)
    Price.objects.create(variant=mug, currency="EUR", amount=999)
    add(shop, mug, "JPY")

    answer = shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": "EUR"})
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "The cart is in JPY; empty it to pay in another currency.",
        "code": "currency_mismatch",
    }
    cart = shop.get("/api/cart/").json()
    assert (cart["currency"], cart["total"], cart["items_count"]) == ("JPY", "1500", 1)

    assert shop.call("DELETE", "/api/cart/").status_code == 204
    assert add(shop, mug, "EUR")["total"] == "9.99"


def test_less_than_stripe_takes_is_refused_by_stripe_and_nothing_is_held(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant("MUG-1", currency="HUF", price=17499)
    add(shop, mug, "HUF")
    answer = shop.checkout()
    assert (answer.status_code, answer.json()["code"]) == (400, "amount_too_small")
    mug.refresh_from_db()
    assert (mug.held, Order.objects.get().status) == (0, "cancelled")


@pytest.mark.parametrize("currency", ["XXX", "usdt", "", "DOGE"])
def test_a_currency_that_stripe_does_not_know_is_refused(shop: Shop, currency: str) -> None:
    mug = make_variant("MUG-1")
    answer = shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": currency})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert list(answer.json()["fields"]) == ["currency"]
    assert CartItem.objects.count() == 0
