"""Carts by token, by session and by person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.cart.models import Cart, CartItem
from apps.cart.services import forget_old_anonymous_carts
from apps.catalog.models import Price, ProductVariant
from apps.orders.models import Order
from tests.support.shop import Shop, Stripe, make_user, make_variant

pytestmark = pytest.mark.django_db(transaction=True)


def test_reading_stores_nothing(shop: Shop) -> None:
    answer = shop.get("/api/cart/")
    assert answer.json() == {
        "token": None,
        "currency": "USD",
        "items": [],
        "items_count": 0,
        "subtotal": "0.00",
        "total": "0.00",
    }
    assert "csrftoken" in answer.cookies
    assert Cart.objects.count() == 0


def test_first_write_makes_a_cart_and_hands_out_its_token(shop: Shop) -> None:
    mug = make_variant("MUG", price=1250, stock=5)
    answer = shop.add(mug, 2)
    body = answer.json()
    assert answer.status_code == 201
    assert answer["X-Cart-Token"] == body["token"]
    assert "sessionid" in answer.cookies
    item = CartItem.objects.get()
    assert body["items"] == [
        {
            "id": item.pk,
            "variant_id": mug.pk,
            "sku": "MUG",
            "name": "Product MUG",
            "kind": "physical",
            "image_url": "",
            "quantity": 2,
            "price_at_add": "12.50",
            "current_price": "12.50",
            "line_total": "25.00",
            "available": 5,
        }
    ]
    assert (body["items_count"], body["subtotal"], body["total"]) == (2, "25.00", "25.00")
    assert body["token"] not in str(Cart.objects.values())


def test_token_means_the_same_cart_from_anywhere(shop: Shop) -> None:
    shop.add(make_variant())
    elsewhere = Shop()
    elsewhere.cart_token = shop.cart_token
    assert elsewhere.get("/api/cart/").json()["items_count"] == 1


@pytest.mark.parametrize("token", ["x", "0" * 72, "\u00e9", "x" * 5000])
def test_unknown_token_is_404(shop: Shop, token: str) -> None:
    shop.cart_token = token
    assert shop.get("/api/cart/").json()["code"] == "cart_not_found"
    assert shop.add(make_variant()).status_code == 404


def test_lines_are_raised_changed_and_removed(shop: Shop) -> None:
    mug = make_variant(stock=9)
    shop.add(mug, 2)
    assert shop.add(mug, 3).json()["items"][0]["quantity"] == 5
    item = CartItem.objects.get()
    changed = shop.call("PATCH", f"/api/cart/items/{item.pk}/", {"quantity": 1})
    assert changed.json()["items"][0]["quantity"] == 1
    assert shop.call("DELETE", f"/api/cart/items/{item.pk}/").json()["items"] == []
    shop.add(mug)
    assert shop.call("DELETE", "/api/cart/").status_code == 204
    assert shop.get("/api/cart/").json()["items"] == []


def test_items_of_another_cart_are_404(shop: Shop) -> None:
    mug = make_variant()
    shop.add(mug)
    other = Shop()
    other.add(mug)
    foreign = CartItem.objects.get(cart__public_id=shop.cart_token[:32])
    assert other.call("DELETE", f"/api/cart/items/{foreign.pk}/").json()["code"] == "item_not_found"
    assert CartItem.objects.count() == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "variant_id"),
        ({"variant_id": "x"}, "variant_id"),
        ({"variant_id": -1}, "variant_id"),
        ({"variant_id": 10**30}, "variant_id"),
        ({"variant_id": 1, "quantity": 0}, "quantity"),
        ({"variant_id": 1, "quantity": 1000}, "quantity"),
        ({"variant_id": 1, "quantity": 1.5}, "quantity"),
        ({"variant_id": 1, "quantity": "two"}, "quantity"),
        ({"variant_id": 1, "quantity": True}, "quantity"),
        ({"variant_id": 1, "currency": "DOLLAR"}, "currency"),
        ({"variant_id": 1, "currency": 7}, "currency"),
        ({"variant_id": [1]}, "variant_id"),
    ],
)
def test_bad_input_names_its_field_and_makes_no_cart(shop: Shop, body: Any, field: str) -> None:
    answer = shop.post("/api/cart/add/", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert list(answer.json()["fields"]) == [field]
    assert Cart.objects.count() == 0


@pytest.mark.parametrize(
    ("raw", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"variant_id": NaN}', "application/json", 400),
        (b'{"variant_id": 1, "currency": "\\u0000aa"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"variant_id=1", "application/x-www-form-urlencoded", 415),
        (b"", "text/plain", 400),
    ],
)
def test_odd_bodies_get_a_clear_answer(raw: bytes, content_type: str, status: int) -> None:
    answer = Client().generic("POST", "/api/cart/add/", raw, content_type=content_type)
    assert answer.status_code == status
    assert set(answer.json()) >= {"error", "code"}


def test_more_than_there_is_is_refused_with_what_there_is(shop: Shop) -> None:
    answer = shop.add(make_variant("MUG", stock=2), 3)
    assert (answer.status_code, answer.json()["code"]) == (400, "out_of_stock")
    assert answer.json()["items"] == [{"sku": "MUG", "requested": 3, "available": 2}]


def test_stock_that_is_not_counted_never_runs_out(shop: Shop) -> None:
    assert shop.add(make_variant("EBOOK", stock=None, kind="digital"), 999).status_code == 201


def test_what_the_own_open_order_holds_is_available_to_the_cart(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant("MUG", stock=2)
    shop.add(mug, 2)
    assert shop.checkout().status_code == 201
    assert shop.get("/api/cart/").json()["items"][0]["available"] == 2
    stranger = Shop()
    assert stranger.add(mug).json()["items"] == [{"sku": "MUG", "requested": 1, "available": 0}]
    item = CartItem.objects.get(cart__public_id=shop.cart_token[:32])
    assert shop.call("PATCH", f"/api/cart/items/{item.pk}/", {"quantity": 1}).status_code == 200
    assert shop.checkout().status_code == 201
    mug.refresh_from_db()
    assert mug.held == 1


def test_first_line_fixes_the_currency(shop: Shop) -> None:
    mug = make_variant(currency="EUR")
    Price.objects.create(variant=mug, currency="USD", amount=1)
    shop.cart_token = shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": "eur"}).json()["token"]
    answer = shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": "USD"})
    assert (answer.status_code, answer.json()["code"]) == (400, "currency_mismatch")
    shop.call("DELETE", "/api/cart/")
    assert shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": "USD"}).json()["currency"] == "USD"


def test_item_without_a_price_in_the_currency_cannot_be_added(shop: Shop) -> None:
    answer = shop.post("/api/cart/add/", {"variant_id": make_variant().pk, "currency": "JPY"})
    assert (answer.status_code, answer.json()["code"]) == (400, "no_price_in_currency")


def test_inactive_and_missing_variants_are_404(shop: Shop) -> None:
    mug = make_variant()
    ProductVariant.objects.update(active=False)
    assert shop.add(mug).json()["code"] == "variant_not_found"


def test_a_cart_takes_a_hundred_lines(shop: Shop) -> None:
    variants = [make_variant(f"V-{n}") for n in range(101)]
    for variant in variants[:100]:
        assert shop.add(variant).status_code == 201
    answer = shop.add(variants[100])
    assert (answer.status_code, answer.json()["code"]) == (400, "cart_too_large")


def test_price_is_promised_for_its_time_and_then_asked_about(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG", price=1000))
    Price.objects.update(amount=1100)
    line = shop.get("/api/cart/").json()["items"][0]
    assert (line["price_at_add"], line["current_price"]) == ("10.00", "11.00")

    CartItem.objects.update(priced_at=timezone.now() - timedelta(hours=73))
    answer = shop.checkout()
    assert (answer.status_code, answer.json()["code"]) == (409, "price_changed")
    assert answer.json()["items"] == [{"sku": "MUG", "price_at_add": "10.00", "current_price": "11.00"}]
    assert Order.objects.count() == 0
    assert shop.checkout().json()["total_amount"] == "11.00"


def test_promised_price_is_what_the_buyer_pays(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant(price=1000))
    Price.objects.update(amount=1100)
    assert shop.checkout().json()["total_amount"] == "10.00"


def test_empty_cart_is_refused(shop: Shop) -> None:
    assert shop.checkout().json()["code"] == "cart_empty"
    shop.add(make_variant())
    shop.call("DELETE", "/api/cart/")
    assert shop.checkout().json()["code"] == "cart_empty"


def test_total_beyond_one_payment_is_refused(shop: Shop) -> None:
    shop.add(make_variant(price=99_999_999, stock=None), 2)
    assert shop.checkout().json()["code"] == "amount_too_large"
    assert Order.objects.count() == 0


def test_session_cart_is_protected_against_other_sites() -> None:
    browser = Client(enforce_csrf_checks=True)
    mug = make_variant(stock=9)
    body = {"variant_id": mug.pk}
    assert browser.post("/api/cart/add/", body, content_type="application/json").status_code == 201
    answer = browser.post("/api/cart/add/", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    browser.get("/api/cart/")
    token = browser.cookies["csrftoken"].value
    allowed = browser.post("/api/cart/add/", body, content_type="application/json", headers={"X-CSRFToken": token})
    assert allowed.status_code == 201


def test_token_needs_no_csrf() -> None:
    shop = Shop()
    shop.client = Client(enforce_csrf_checks=True)
    mug = make_variant(stock=9)
    shop.add(mug)
    shop.client.cookies.clear()
    assert shop.add(mug).status_code == 201


def test_dead_session_cookie_is_ignored(shop: Shop) -> None:
    shop.client.cookies["sessionid"] = "dead"
    assert shop.get("/api/cart/").json()["items"] == []


def test_person_has_one_cart(shop: Shop) -> None:
    user = make_user()
    mug = make_variant(stock=9)
    Shop(user).add(mug)
    Shop(user).add(mug)
    assert Cart.objects.get().user == user
    assert Shop(user).get("/api/cart/").json()["token"] is None


def test_old_anonymous_carts_go_and_their_orders_stay(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant(stock=9))
    shop.checkout()
    Shop(make_user()).add(ProductVariant.objects.get())
    Cart.objects.update(updated_at=timezone.now() - timedelta(days=31))
    forget_old_anonymous_carts()
    assert Cart.objects.filter(user=None).count() == 0
    assert Cart.objects.count() == 1
    assert Order.objects.get().cart is None
