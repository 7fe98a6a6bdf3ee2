"""What the buyer is told when the API refuses, and that the cart survives it."""

from __future__ import annotations

import sqlite3
from email import message_from_string, policy
from typing import Any

import pytest
import requests

from tests.browser.shop import Shop
from tests.browser.steps import check_out, mail_about, put_mug_into_cart

pytestmark = pytest.mark.browser
CAP = "canvas-cap"


def change(shop: Shop, sql: str, *values: Any) -> None:
    """Something that happened while the buyer was away."""
    connection = sqlite3.connect(shop.folder / "shop.sqlite3", timeout=20)
    with connection:
        connection.execute(sql, values)
    connection.close()


def test_price_that_changed_is_shown_before_anything_is_charged(shop: Shop, page: Any) -> None:
    put_mug_into_cart(page, shop)
    page.get_by_role("button", name="Check out").wait_for()
    change(shop, "UPDATE cart_cartitem SET priced_at = '2020-01-01', price_at_add = 1200 WHERE price_at_add = 1450")
    page.get_by_role("button", name="Check out").click()
    told = page.get_by_role("alert")
    told.wait_for()

    assert "Compile Time Mug Green, 350 ml was $12.00 and is now $14.50." in told.inner_text()
    assert page.locator("#total").inner_text() == "$14.50"
    check_out(page)


def test_units_that_another_buyer_holds_are_named(shop: Shop, page: Any) -> None:
    page.goto(f"{shop.url}/products/{CAP}/")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="View cart").click()
    page.get_by_role("button", name="Check out").wait_for()
    [variant] = requests.get(f"{shop.url}/api/products/{CAP}/").json()["variants"]
    everything = {"variant_id": variant["id"], "quantity": variant["available"]}
    rival = {"X-Cart-Token": requests.post(f"{shop.url}/api/cart/add/", json=everything).json()["token"]}
    order = requests.post(f"{shop.url}/api/payment/checkout/", headers=rival).json()
    page.get_by_role("button", name="Check out").click()
    page.get_by_role("alert").get_by_text("Canvas Cap is sold out.").wait_for()
    page.get_by_text("Subtotal (1 item)").wait_for()

    opens = {"X-Order-Token": order["order_token"]}
    requests.post(f"{shop.url}/api/orders/{order['order_number']}/cancel/", headers=opens).raise_for_status()
    check_out(page)


def test_sign_in_that_ended_is_said_and_the_shop_goes_on(shop: Shop, page: Any) -> None:
    page.goto(f"{shop.url}/register/?next=/")
    page.get_by_label("E-mail").fill("ended@example.com")
    page.get_by_label("Password").fill("sunny-otter-42")
    page.get_by_role("button", name="Make the account").click()
    page.get_by_role("button", name="Sign out").wait_for()
    page.wait_for_load_state("networkidle")  # no call of this page may be the one that learns of it
    change(shop, "DELETE FROM knox_authtoken")
    page.goto(f"{shop.url}/cart/")
    page.get_by_text("Your sign-in has ended.").wait_for()
    page.get_by_role("heading", name="Your cart is empty").wait_for()


def test_wrong_password_is_said_and_another_can_be_tried(shop: Shop, page: Any) -> None:
    page.goto(f"{shop.url}/sign-in/?next=//example.com/")
    page.get_by_label("E-mail").fill("nobody@example.com")
    page.get_by_label("Password").fill("not-the-password")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    assert page.get_by_label("E-mail").input_value() == "nobody@example.com"


def test_forgotten_password_is_set_by_the_mailed_link(shop: Shop, page: Any) -> None:
    page.goto(f"{shop.url}/register/?next=/")
    page.get_by_label("E-mail").fill("forgot@example.com")
    page.get_by_label("Password").fill("sunny-otter-42")
    page.get_by_role("button", name="Make the account").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in").wait_for()
    page.goto(f"{shop.url}/password-reset")
    page.get_by_label("E-mail").fill("forgot@example.com")
    page.get_by_role("button", name="E-mail me the link").click()
    page.get_by_text("a link to set a new password is on its way").wait_for()
    page.goto(reset_link(shop))
    page.get_by_role("heading", name="Set a new password").wait_for()
    assert page.url == f"{shop.url}/password-reset"
    page.get_by_label("New password").fill("rainy-badger-77")
    page.get_by_role("button", name="Set the password").click()
    page.get_by_label("E-mail").fill("forgot@example.com")
    page.get_by_label("Password").fill("rainy-badger-77")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


def reset_link(shop: Shop) -> str:
    mail = message_from_string(mail_about(shop, "Set a new password"), policy=policy.default)
    body = mail.get_body(("plain",))
    assert body is not None
    return next(word for word in body.get_content().split() if "#uid=" in word)
