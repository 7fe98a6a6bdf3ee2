"""Saved cards, paying on the site, payments and refunds, as a signed-in buyer sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.browser.shop import Shop, eventually
from tests.browser.steps import (
    Account,
    books,
    check_out,
    decide_refund,
    fill_contact,
    mail_about,
    pay_by_card,
    put_mug_into_cart,
    sign_up,
    stock,
    thanked,
    type_card,
)
from tests.browser.test_pages import SOUND, problems
from tests.browser.test_refusals import change

pytestmark = pytest.mark.browser
VISA, CHECKED, NO_FUNDS, DECLINED = "4242424242424242", "4000002500003155", "4000000000009995", "4000000000000002"
DECLINES_WHEN_CHARGED = "pm_card_chargeCustomerFail"
PLACED, PAID = ("pending", "pending"), ("confirmed", "paid")
CART_SQL = (
    "SELECT 1 FROM cart_cartitem JOIN cart_cart c ON c.id = cart_id JOIN accounts_user u ON u.id = c.user_id"
    " WHERE u.email = ?"
)


def saved_cards(shop: Shop, email: str) -> list[tuple[str, bool]]:
    """Last four digits and whether it is the default, in the order in which they were saved."""
    sql = (
        "SELECT last4, is_default FROM payment_paymentmethod JOIN accounts_user u ON u.id = user_id"
        " WHERE u.email = ? AND state = 'saved' ORDER BY payment_paymentmethod.id"
    )
    return [(last4, bool(default)) for last4, default in shop.rows(sql, email)]


def add_card(page: Any, number: str) -> None:
    page.get_by_role("button", name="Add a card").click()
    type_card(page, number)
    page.get_by_role("button", name="Save card").click()


def row(page: Any, last4: str) -> Any:
    return page.get_by_role("listitem").filter(has_text=f"Visa ending in {last4}")


def order_of(page: Any, shop: Shop) -> str:
    """The number of the order whose page is shown, once it is."""
    page.wait_for_url(f"{shop.url}/orders/ORD-*")
    return str(page.locator("#main").get_attribute("data-number"))


def test_cards_are_added_preferred_and_removed(page: Any, shop: Shop) -> None:
    email = "cards@example.com"
    sign_up(page, shop, email, then="/cards/")
    page.get_by_role("heading", name="No saved cards").wait_for()
    add_card(page, DECLINED)
    page.get_by_role("alert").get_by_text("Your card was declined.").wait_for()
    assert saved_cards(shop, email) == []
    type_card(page, VISA)
    page.get_by_role("button", name="Save card").click()
    row(page, "4242").get_by_text("Default").wait_for()
    row(page, "4242").get_by_text("Expires 12/2034").wait_for()

    add_card(page, CHECKED)
    page.get_by_role("button", name="Fail authentication").click()
    page.get_by_role("alert").get_by_text("We are unable to authenticate your payment method.").wait_for()
    assert page.url == f"{shop.url}/cards/"
    assert saved_cards(shop, email) == [("4242", True)]
    add_card(page, CHECKED)
    page.get_by_role("button", name="Complete authentication").click()
    row(page, "3155").wait_for()
    page.get_by_text("Visa ending in 3155 is saved.").wait_for()
    assert page.url == f"{shop.url}/cards/"
    assert saved_cards(shop, email) == [("4242", True), ("3155", False)]

    page.get_by_role("button", name="Make Visa ending in 3155 the default").click()
    row(page, "3155").get_by_text("Default").wait_for()
    assert saved_cards(shop, email) == [("4242", False), ("3155", True)]

    remove = page.get_by_role("button", name="Remove Visa ending in 4242")
    remove.click()
    page.get_by_role("dialog", name="Remove Visa ending in 4242?").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert remove.evaluate("e => e === document.activeElement")
    assert saved_cards(shop, email) == [("4242", False), ("3155", True)]
    remove.click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    row(page, "4242").wait_for(state="detached")
    assert saved_cards(shop, email) == [("3155", True)]
    page.reload()
    row(page, "3155").wait_for()
    assert page.get_by_role("heading", name="Visa ending in 4242").count() == 0


def test_card_is_saved_at_checkout_and_pays_the_next_order_on_the_site(page: Any, shop: Shop) -> None:
    email, before = "keeps@example.com", stock(shop)
    sign_up(page, shop, email)
    put_mug_into_cart(page, shop)
    page.get_by_label("Save my card for next time").check()
    check_out(page)
    fill_contact(page, email)
    pay_by_card(page, VISA)
    thanked(page)
    eventually(lambda: saved_cards(shop, email) == [("4242", True)])

    put_mug_into_cart(page, shop)
    page.get_by_role("link", name="Pay on this site").click()
    # Where the last order went is where this one goes.
    page.get_by_role("button", name="Pay $14.50").wait_for()
    assert page.get_by_label("Street and number").input_value() == "Hauptstr. 1"
    assert page.get_by_label("Visa ending in 4242").is_checked()
    page.get_by_label("Street and number").fill("Seitenstr. 2")
    page.get_by_role("button", name="Pay $14.50").click()
    number = order_of(page, shop)
    page.get_by_text("Thank you, it is paid.").wait_for()

    page.get_by_text("Seitenstr. 2").wait_for()
    found = books(shop, number)
    assert (found.status, found.payment_status, found.email) == (*PAID, email)
    assert (found.attempts, found.log) == ([("succeeded", 1)], [PLACED, PAID])
    assert stock(shop) == (before[0] - 2, before[1])
    assert f"To: {email}" in mail_about(shop, f"Your order {number}")


@pytest.mark.thorough
def test_saved_card_that_the_bank_wants_checked(page: Any, shop: Shop) -> None:
    sign_up(page, shop, "checked@example.com", then="/cards/")
    add_card(page, CHECKED)
    page.get_by_role("button", name="Complete authentication").click()
    row(page, "3155").wait_for()
    Account(page, shop).fill_cart()
    page.goto(f"{shop.url}/checkout/")
    page.get_by_role("button", name="Pay $19.00").click()
    page.get_by_role("button", name="Fail authentication").click()
    number = order_of(page, shop)
    told = page.get_by_role("alert").get_by_text("The bank's confirmation failed.")
    told.wait_for()
    assert "payment_intent" not in page.url
    assert books(shop, number).log == [PLACED]

    page.get_by_role("link", name="Pay on this site").click()
    page.get_by_role("button", name="Pay $19.00").click()
    page.get_by_role("button", name="Complete authentication").click()
    page.get_by_text("Thank you, it is paid.").wait_for()
    assert order_of(page, shop) == number
    found = books(shop, number)
    assert found.payment_status == "paid"
    assert [status for status, _ in found.attempts] == ["cancelled", "succeeded"]


@pytest.mark.thorough
def test_declined_saved_card_then_a_new_one_that_is_kept(page: Any, shop: Shop) -> None:
    email = "declined@example.com"
    sign_up(page, shop, email)
    account = Account(page, shop)
    account.save_card(DECLINES_WHEN_CHARGED)
    account.fill_cart()
    page.goto(f"{shop.url}/checkout/")
    pay = page.get_by_role("button", name="Pay $19.00")
    pay.click()
    alert = page.get_by_role("alert")
    alert.get_by_text("The card was declined. Try another one, or ask your bank.").wait_for()
    pay.click()
    alert.get_by_text("The card was declined.").wait_for()

    page.get_by_label("Another card").check()
    type_card(page, NO_FUNDS)
    page.get_by_label("Save this card for next time").check()
    pay.click()
    alert.get_by_text("Your card has insufficient funds.").wait_for()
    assert saved_cards(shop, email) == [("0341", True)]
    type_card(page, VISA)
    pay.click()
    number = order_of(page, shop)
    page.get_by_text("Thank you, it is paid.").wait_for()

    assert books(shop, number).payment_status == "paid"
    assert [applied for _, applied in books(shop, number).attempts] == [0, 0, 1]
    eventually(lambda: saved_cards(shop, email) == [("0341", True), ("4242", False)])


@pytest.mark.thorough
def test_new_card_that_the_bank_wants_checked(page: Any, shop: Shop) -> None:
    email = "newcheck@example.com"
    sign_up(page, shop, email)
    Account(page, shop).fill_cart()
    page.goto(f"{shop.url}/checkout/")
    type_card(page, "4000002760003184")
    page.get_by_role("button", name="Pay $19.00").click()
    page.get_by_role("button", name="Complete authentication").click()
    number = order_of(page, shop)
    page.get_by_text("Thank you, it is paid.").wait_for()

    assert books(shop, number).payment_status == "paid"
    assert saved_cards(shop, email) == []


def check_in_place(page: Any, shop: Shop) -> None:
    """From now on the bank's check passes by itself on the page, as in the window that Stripe's own script opens."""
    address = f"{shop.sandbox.address}/endive/stripe.js"
    script, leaving = requests.get(address, timeout=30).text, "return new Promise(() => {});"
    assert script.count(leaving) == 1

    def pass_check(page_of_bank: str) -> None:
        intent = page_of_bank.rsplit("/", 1)[1]
        kind = "setup_intents" if intent.startswith("seti_") else "payment_intents"
        shop.sandbox.control(f"{kind}/{intent}/authenticate")

    page.expose_function("passCheck", pass_check)
    script = script.replace("location.assign(address);", "").replace(
        leaving, "return passCheck(address).then(() => ({}));"
    )
    page.route(address, lambda route: route.fulfill(body=script, content_type="text/javascript"))


@pytest.mark.thorough
def test_check_that_does_not_leave_the_page(page: Any, shop: Shop) -> None:
    email = "in-place@example.com"
    check_in_place(page, shop)
    sign_up(page, shop, email, then="/cards/")
    add_card(page, CHECKED)
    row(page, "3155").get_by_text("Default").wait_for()
    assert saved_cards(shop, email) == [("3155", True)]

    for card in ("Visa ending in 3155", "Another card"):
        Account(page, shop).fill_cart()
        page.goto(f"{shop.url}/checkout/")
        page.get_by_label(card).check()
        if card == "Another card":
            type_card(page, "4000002760003184")
        page.get_by_role("button", name="Pay $19.00").click()
        number = order_of(page, shop)
        page.get_by_text("Thank you, it is paid.").wait_for()
        assert books(shop, number).attempts == [("succeeded", 1)]
        eventually(lambda: not shop.rows(CART_SQL, email))


@pytest.mark.thorough
def test_sum_that_changed_meanwhile_is_shown_before_it_is_paid(page: Any, shop: Shop) -> None:
    sign_up(page, shop, "changed@example.com")
    account = Account(page, shop)
    card = account.save_card("pm_card_visa")
    account.fill_cart()
    page.goto(f"{shop.url}/checkout/")
    page.get_by_role("button", name="Pay $19.00").wait_for()
    account.fill_cart()  # in another window
    page.get_by_role("button", name="Pay $19.00").click()
    page.get_by_role("alert").get_by_text("Your cart has changed meanwhile.").wait_for()
    page.get_by_role("button", name="Pay $38.00").wait_for()
    assert page.locator("#summary .due").inner_text().split() == ["Total", "$38.00"]
    assert (
        shop.rows(
            "SELECT 1 FROM payment_payment p JOIN payment_paymentmethod m ON p.stripe_method_id ="
            " m.stripe_payment_method_id WHERE m.id = ?",
            card,
        )
        == []
    )

    change(shop, "UPDATE cart_cartitem SET priced_at = '2020-01-01', price_at_add = 1500 WHERE price_at_add = 1900")
    account.fill_cart()  # a new version of the cart, so that its prices are looked at again
    page.get_by_role("button", name="Pay $38.00").click()
    page.get_by_role("alert").get_by_text("is now $19.00").wait_for()
    page.get_by_role("button", name="Pay $57.00").click()
    page.get_by_text("Thank you, it is paid.").wait_for()
    assert books(shop, order_of(page, shop)).payment_status == "paid"


@pytest.mark.thorough
def test_address_that_is_missing_is_asked_for(page: Any, shop: Shop) -> None:
    before = stock(shop)
    sign_up(page, shop, "nowhere@example.com")
    put_mug_into_cart(page, shop)
    page.get_by_role("link", name="Pay on this site").click()
    page.get_by_label("Card number").wait_for()
    page.get_by_role("button", name="Pay $14.50").click()
    page.get_by_text("Please fill out this field.").first.wait_for()
    assert page.get_by_label("Name", exact=True).evaluate("e => e === document.activeElement")
    assert stock(shop) == before


def test_refund_is_asked_for_by_lines_and_granted(page: Any, shop: Shop) -> None:
    sign_up(page, shop, "refunds@example.com", then="/payments/")
    page.get_by_role("heading", name="No payments yet").wait_for()
    account = Account(page, shop)
    paid = account.buy(account.save_card("pm_card_visa"), quantity=2)
    number = paid["order_number"]
    page.reload()
    page.get_by_role("link", name=f"Receipt for {number}").wait_for()
    page.get_by_role("link", name=f"Refunds of the payment for {number}").click()
    page.get_by_label("Some of the items").check()
    ask = page.get_by_role("button", name="Ask for a refund")
    ask.click()
    page.get_by_role("alert").get_by_text("Say how many of which item").wait_for()
    page.get_by_label("how many of 2?").fill("1")
    page.get_by_label("A word to the shop").fill("One is enough.")
    ask.click()
    page.get_by_text("Asked for", exact=True).wait_for()
    page.get_by_text("1 × Calm Incidents").wait_for()
    sql = "SELECT status, amount, description FROM payment_refund WHERE payment_id = ?"
    assert shop.rows(sql, paid["id"]) == [("requested", 1900, "One is enough.")]

    decide_refund(shop, "approve")
    eventually(lambda: shop.rows(sql, paid["id"]) == [("succeeded", 1900, "One is enough.")])
    page.reload()
    page.get_by_text("Refunded", exact=True).wait_for()
    page.get_by_text("Partly refunded", exact=True).wait_for()
    page.get_by_role("link", name=f"Order {number}").click()
    page.get_by_text("Visa ending in 4242, partly refunded").wait_for()
    page.get_by_role("heading", name="Refunds").wait_for()
    page.get_by_text("2 × $19.00, 1 refunded").wait_for()
    page.get_by_role("link", name="Orders", exact=True).first.click()
    page.get_by_role("link", name="Payments").click()
    page.get_by_text("“One is enough.”").wait_for()


@pytest.mark.thorough
def test_refund_of_an_amount_is_turned_down_and_may_be_asked_again(page: Any, shop: Shop) -> None:
    sign_up(page, shop, "turned-down@example.com")
    account = Account(page, shop)
    paid = account.buy(account.save_card("pm_card_visa"))
    page.goto(f"{shop.url}/payments/{paid['id']}")
    page.get_by_label("An amount").check()
    page.get_by_label("Amount in USD").fill("19.001")
    ask = page.get_by_role("button", name="Ask for a refund")
    ask.click()
    page.get_by_text("more decimals than USD allows").wait_for()
    page.get_by_label("Amount in USD").fill("19.01")
    ask.click()
    page.get_by_role("alert").get_by_text("That is more than is left of this payment: $19.00.").wait_for()
    page.get_by_label("Amount in USD").fill("5.00")
    ask.click()
    page.get_by_text("Asked for", exact=True).wait_for()
    assert page.get_by_role("button", name="Ask for a refund").count() == 0

    decide_refund(shop, "reject")
    page.reload()
    page.get_by_text("Turned down", exact=True).wait_for()
    ask.wait_for()


def test_guest_asks_for_a_refund_from_the_orders_page(page: Any, shop: Shop) -> None:
    page.goto(f"{shop.url}/products/calm-incidents/")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="View cart").click()
    check_out(page)
    page.get_by_label("Email").fill("guest-refund@example.com")
    pay_by_card(page, VISA)
    number = thanked(page)
    eventually(
        lambda: shop.rows(
            "SELECT 1 FROM payment_payment JOIN orders_order o ON o.id = order_id WHERE o.number = ? AND last4 <> ''",
            number,
        )
    )
    page.get_by_role("link", name="See your order").click()
    page.get_by_role("link", name="Ask for a refund").click()
    page.get_by_role("button", name="Ask for a refund").click()
    page.get_by_text("Asked for", exact=True).wait_for()

    sql = "SELECT r.status, r.amount FROM payment_refund r JOIN payment_payment p ON p.id = r.payment_id"
    found = shop.rows(f"{sql} JOIN orders_order o ON o.id = p.order_id WHERE o.number = ?", number)
    assert found == [("requested", 1900)]


@pytest.mark.thorough
def test_dispute_is_said_on_the_order(page: Any, shop: Shop) -> None:
    sign_up(page, shop, "disputes@example.com")
    account = Account(page, shop)
    paid = account.buy(account.save_card("pm_card_visa"))
    shop.sandbox.control(f"charges/{paid['stripe_payment_intent_id']}/dispute", reason="product_not_received")
    eventually(lambda: shop.rows("SELECT disputed FROM payment_payment WHERE id = ?", paid["id"]) == [(1,)])
    page.goto(f"{shop.url}/orders/{paid['order_number']}")
    page.get_by_text("The payment of this order is disputed").wait_for()
    page.get_by_role("link", name="Ask for a refund").click()
    page.get_by_role("button", name="Ask for a refund").click()
    page.get_by_role("alert").get_by_text("A dispute stands against this payment.").wait_for()
    assert shop.rows("SELECT 1 FROM payment_refund WHERE payment_id = ?", paid["id"]) == []


@pytest.mark.thorough
def test_without_stripes_script_saved_cards_still_pay(page: Any, shop: Shop) -> None:
    sign_up(page, shop, "noscript@example.com")
    account = Account(page, shop)
    account.save_card("pm_card_visa")
    account.fill_cart()
    page.route(f"{shop.sandbox.address}/**", lambda route: route.abort())
    page.goto(f"{shop.url}/cards/")
    page.get_by_role("button", name="Add a card").click()
    sorry = page.get_by_role("alert").get_by_text("The card form cannot be loaded at the moment.")
    sorry.wait_for()
    assert page.get_by_role("button", name="Save card").is_disabled()
    page.goto(f"{shop.url}/checkout/")
    page.get_by_label("Another card").check()
    sorry.wait_for()
    page.get_by_label("Visa ending in 4242").check()
    page.get_by_role("button", name="Pay $19.00").click()
    page.get_by_text("Thank you, it is paid.").wait_for()


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.thorough)])
def test_pages_of_an_account_are_sound(shop: Shop, new_page: Callable[..., Any], width: int) -> None:
    page = new_page(width)
    sign_up(page, shop, f"sound-{width}@example.com", then="/cards/")
    assert problems(page) == SOUND
    page.get_by_role("button", name="Add a card").click()
    page.get_by_label("Card number").wait_for()
    assert problems(page) == SOUND
    account = Account(page, shop)
    paid = account.buy(account.save_card("pm_card_visa"))
    page.goto(f"{shop.url}/cards/")
    page.get_by_role("button", name="Remove Visa ending in 4242").click()
    page.get_by_role("dialog").wait_for()
    assert problems(page) == SOUND
    page.goto(f"{shop.url}/payments/")
    assert problems(page) == SOUND
    page.goto(f"{shop.url}/payments/{paid['id']}")
    page.get_by_label("Some of the items").check()
    assert problems(page) == SOUND
    page.goto(f"{shop.url}/orders/{paid['order_number']}")
    assert problems(page) == SOUND
    put_mug_into_cart(page, shop)
    assert problems(page) == SOUND
    page.get_by_role("link", name="Pay on this site").click()
    page.get_by_label("Another card").check()
    page.get_by_label("Card number").wait_for()
    assert problems(page) == SOUND
