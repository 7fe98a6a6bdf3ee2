"""Buying in a real browser, from the shelf to the books."""

from __future__ import annotations

import pytest

from tests.browser.shop import eventually
from tests.browser.steps import (
    FAILING_IBAN,
    GOOD_IBAN,
    books,
    check_out,
    fill_contact,
    mail_about,
    pay_by_card,
    pay_by_debit,
    put_mug_into_cart,
    session_of,
    stock,
    thanked,
)

pytestmark = pytest.mark.browser
PLACED, PAID = ("pending", "pending"), ("confirmed", "paid")


def test_guest_buys_and_finds_the_order_by_the_mailed_link(page, shop, new_page):
    before = stock(shop)
    put_mug_into_cart(page, shop)
    page.get_by_role("button", name="One more: Quantity of Compile Time Mug").click()
    page.get_by_text("Subtotal (2 items)").wait_for()
    check_out(page)
    assert stock(shop) == (before[0], before[1] + 2)
    fill_contact(page, "guest@example.com")
    pay_by_card(page, "4242424242424242")
    number = thanked(page)

    found = books(shop, number)
    assert (found.status, found.payment_status, found.email) == (*PAID, "guest@example.com")
    assert (found.attempts, found.log) == ([("succeeded", 1)], [PLACED, PAID])
    assert stock(shop) == (before[0] - 2, before[1])
    page.goto(f"{shop.url}/cart/")
    page.get_by_role("heading", name="Your cart is empty").wait_for()

    mail = mail_about(shop, f"Your order {number}")
    assert "To: guest@example.com" in mail
    link = next(word for word in mail.replace("=\n", "").replace("=3D", "=").split() if "#token=" in word)
    other = new_page()
    other.goto(link)
    other.get_by_text("Visa ending in 4242, paid").wait_for()
    other.get_by_text("Hauptstr. 1").wait_for()
    assert other.url == f"{shop.url}/orders/{number}"


def test_signed_in_buyer_is_declined_and_pays_with_another_card(page, shop):
    before = stock(shop)
    put_mug_into_cart(page, shop)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("link", name="Make an account").click()
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password").fill("sunny-otter-42")
    page.get_by_role("button", name="Make the account").click()
    page.get_by_role("button", name="Sign out").wait_for()
    page.wait_for_url(f"{shop.url}/cart/")
    check_out(page)
    fill_contact(page, "ada@example.com")
    pay_by_card(page, "4000000000000002")
    page.get_by_role("alert").get_by_text("Your card was declined.").wait_for()
    assert stock(shop) == (before[0], before[1] + 1)
    pay_by_card(page, "4242424242424242")
    number = thanked(page)

    found = books(shop, number)
    assert (found.status, found.payment_status, found.email) == (*PAID, "ada@example.com")
    assert (found.attempts, found.log) == ([("succeeded", 1)], [PLACED, PAID])
    assert stock(shop) == (before[0] - 1, before[1])
    assert "To: ada@example.com" in mail_about(shop, f"Your order {number}")
    page.get_by_role("link", name="Orders").click()
    page.get_by_role("link", name=number).click()
    page.get_by_text("Visa ending in 4242, paid").wait_for()


def test_buyer_cancels_comes_back_and_pays(page, shop):
    before = stock(shop)
    put_mug_into_cart(page, shop)
    check_out(page)
    page.get_by_role("link", name="Back").click()
    page.get_by_role("heading", name="Not paid yet").wait_for()
    number = page.locator("#facts strong").inner_text()
    page.get_by_role("link", name="Back to the cart").click()
    page.get_by_text("Subtotal (1 item)").wait_for()
    page.go_back()
    page.get_by_role("button", name="Pay now").click()
    fill_contact(page, "back@example.com")
    pay_by_card(page, "4242424242424242")

    assert thanked(page) == number
    assert books(shop, number).log == [PLACED, PAID]
    assert stock(shop) == (before[0] - 1, before[1])
    mail_about(shop, f"Your order {number}")


def test_buyer_tries_again_after_the_payment_page_expired(page, shop):
    before = stock(shop)
    put_mug_into_cart(page, shop)
    check_out(page)
    page.get_by_role("link", name="Back").click()
    page.get_by_role("link", name="See the order").click()
    page.get_by_role("button", name="Pay now").wait_for()
    number = page.url.rsplit("/", 1)[1]
    session = session_of(shop, number)
    shop.sandbox.control(f"sessions/{session}/expire")
    eventually(lambda: books(shop, number).status == "cancelled")
    assert stock(shop) == before

    page.goto(f"{shop.url}/checkout/success?session_id={session}")
    page.get_by_role("heading", name="The time to pay ran out").wait_for()
    page.get_by_role("button", name="Try again").click()
    fill_contact(page, "again@example.com")
    pay_by_card(page, "4242424242424242")

    assert thanked(page) == number
    found = books(shop, number)
    assert found.log == [PLACED, ("cancelled", "failed"), PLACED, PAID]
    assert [applied for _, applied in found.attempts] == [0, 1]
    assert stock(shop) == (before[0] - 1, before[1])
    mail_about(shop, f"Your order {number}")


def buy_by_debit(page, shop, iban: str, email: str) -> str:
    """Shops in euro, the currency that the debit is for; the order's number once the bank is at work."""
    page.goto(f"{shop.url}/")
    page.get_by_role("combobox", name="Prices in").select_option("EUR")
    page.get_by_text("€").first.wait_for()
    put_mug_into_cart(page, shop)
    check_out(page)
    fill_contact(page, email)
    pay_by_debit(page, iban)
    page.get_by_role("heading", name="Your bank is still working on it").wait_for(timeout=30_000)
    return page.locator(".facts strong").inner_text()


def test_bank_debit_that_settles(page, shop):
    before = stock(shop)
    number = buy_by_debit(page, shop, GOOD_IBAN, "debit@example.com")

    assert thanked(page) == number
    found = books(shop, number)
    assert found.log == [PLACED, ("pending", "processing"), PAID]
    assert found.attempts == [("succeeded", 1)]
    assert stock(shop) == (before[0] - 1, before[1])
    assert "To: debit@example.com" in mail_about(shop, f"Your order {number}")


def test_bank_debit_that_fails(page, shop):
    before = stock(shop)
    number = buy_by_debit(page, shop, FAILING_IBAN, "nodebit@example.com")
    page.get_by_role("heading", name="The bank did not pay").wait_for(timeout=30_000)

    found = books(shop, number)
    assert found.log == [PLACED, ("pending", "processing"), ("cancelled", "failed")]
    assert found.attempts == [("failed", 0)]
    assert stock(shop) == before
    mail_about(shop, f"The payment of your order {number} failed")
