"""The pages in a real browser, with its Origin header and content security policy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(params=[390, 1280])
def page(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    """A page of a phone's and a desktop's width that must stay free of console errors."""
    context = browser.new_context(viewport={"width": request.param, "height": 844})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    yield opened
    context.close()
    assert said == []


def fits(page: Any) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_declined_then_authenticated_then_back_in_the_shop(page, box, new_session, receiver):
    shop = receiver.url.removesuffix("webhook")
    session = new_session(
        success_url=f"{shop}success?s={{CHECKOUT_SESSION_ID}}",
        shipping_address_collection={"allowed_countries": ["US", "DE"]},
    )
    page.goto(session.url)
    assert fits(page)
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Full name").fill("Ada Lovelace")
    page.get_by_label("Country or region").select_option("DE")
    page.get_by_label("Address", exact=True).fill("Hauptstr. 1")
    page.get_by_label("City").fill("Köln")
    page.get_by_label("Postal code").fill("50667")
    fill_card(page, "4000000000000002")
    assert page.get_by_label("Card number").input_value() == "4000 0000 0000 0002"
    page.get_by_role("button", name="Pay $30.00").click()
    assert page.get_by_role("alert").inner_text() == "Your card was declined."
    assert page.get_by_label("City").input_value() == "Köln"

    fill_card(page, "4000002500003155")
    page.get_by_role("button", name="Pay $30.00").click()
    assert fits(page)
    page.get_by_role("button", name="Complete authentication").click()

    page.wait_for_url(f"{shop}success?s={session.id}")
    assert receiver.types(session.id) == ["checkout.session.completed"]


def fill_card(page: Any, number: str) -> None:
    page.get_by_label("Card number").press_sequentially(number)
    page.get_by_label("Expiry").press_sequentially("1234")
    page.get_by_label("CVC").fill("123")
    page.get_by_label("Name on card").fill("Ada Lovelace")


def test_bank_debit_is_chosen_by_radio(page, box, new_session):
    session = new_session(currency="eur", success_url=f"{box.url}/")
    page.goto(session.url)
    assert not page.get_by_label("IBAN").is_visible()
    page.get_by_label("SEPA bank debit").check()
    assert not page.get_by_label("Card number").is_visible()
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("IBAN").fill("AT611904300234573201")
    page.get_by_label("Account holder").fill("Ada Lovelace")
    page.get_by_role("button", name="Pay €30.00").click()
    page.wait_for_url(f"{box.url}/")

    assert page.get_by_text("unpaid").is_visible()
    page.get_by_role("button", name="Settle debit now").click()
    page.get_by_text("The bank has answered.").wait_for()
    assert fits(page)
    assert box.stripe.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_card_is_saved_then_chosen_then_removed(page, box, new_session):
    customer = box.stripe.v1.customers.create({"email": "ada@example.com", "name": "Ada Lovelace"})
    options = {"payment_method_save": "enabled", "payment_method_remove": "enabled"}
    known = {"customer": customer.id, "saved_payment_method_options": options, "success_url": f"{box.url}/"}
    page.goto(new_session(**known).url)
    assert page.get_by_label("Name on card").input_value() == "Ada Lovelace"
    page.get_by_label("Card number").press_sequentially("5555555555554444")
    page.get_by_label("Expiry").press_sequentially("1234")
    page.get_by_label("CVC").fill("123")
    page.get_by_label("Save my card for future purchases").check()
    page.get_by_role("button", name="Pay $30.00").click()
    page.wait_for_url(f"{box.url}/")

    page.goto(new_session(**known).url)
    assert fits(page)
    assert page.get_by_label("Mastercard •••• 4444 12 / 34").is_checked()
    assert not page.get_by_label("Card number").is_visible()
    page.get_by_label("Another card").check()
    assert page.get_by_label("Save my card for future purchases").is_visible()
    page.get_by_label("Mastercard •••• 4444 12 / 34").check()
    page.get_by_role("button", name="Pay $30.00").click()
    page.wait_for_url(f"{box.url}/")

    session = new_session(**known)
    page.goto(session.url)
    page.get_by_role("button", name="Remove Mastercard ending in 4444").click()
    page.get_by_label("Card number").wait_for()
    assert page.url == session.url
    assert page.get_by_text("4444").count() == 0
    assert box.stripe.v1.customers.payment_methods.list(customer.id).data == []


def test_refund_and_dispute_from_the_panel(page, box, pay):
    intent = pay()
    page.goto(box.url)
    page.get_by_label("Amount to refund").fill("5,00")
    page.get_by_role("button", name="Refund", exact=True).click()
    page.get_by_text("$5.00 refunded, as from the Dashboard.").wait_for()
    page.get_by_label("New state of the refund").select_option("failed")
    page.get_by_role("button", name="Set", exact=True).click()
    page.get_by_text("The refund is failed.").wait_for()
    page.get_by_label("What the bank says").select_option("Only an inquiry")
    page.get_by_role("button", name="Dispute", exact=True).click()
    page.get_by_text("The bank asks about the payment.").wait_for()
    assert fits(page)
    page.get_by_role("button", name="Escalate", exact=True).click()
    page.get_by_text("The inquiry is a dispute now: the money is gone.").wait_for()
    assert page.get_by_role("button", name="Refund", exact=True).count() == 0
    page.get_by_role("button", name="Lost", exact=True).click()
    page.get_by_text("The bank has decided: lost.").wait_for()

    [refund] = box.stripe.v1.refunds.list({"payment_intent": intent.id}).data
    [dispute] = box.stripe.v1.disputes.list({"payment_intent": intent.id}).data
    assert (refund.amount, refund.status, dispute.status) == (500, "failed", "lost")


def test_panel_says_what_is_no_amount(page, box, pay):
    pay(currency="jpy", amount=500)
    page.goto(box.url)
    for typed, said in (
        ("1.5", "JPY has no such amount."),
        ("all", "The amount is not a number."),
        ("501", "Refund amount (¥501) is greater than unrefunded amount on charge (¥500)"),
    ):
        page.get_by_label("Amount to refund").fill(typed)
        page.get_by_role("button", name="Refund", exact=True).click()
        page.get_by_text(said).wait_for()
