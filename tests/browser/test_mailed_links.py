"""What an e-mail leads to: paying again as a guest, the invoice, and mails that read well on any screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from email import message_from_string, policy
from email.message import EmailMessage
from typing import Any

import pypdfium2
import pytest

from tests.browser.shop import Shop, eventually
from tests.browser.steps import (
    FAILING_IBAN,
    books,
    check_out,
    fill_contact,
    mail_about,
    pay_by_card,
    pay_by_debit,
    put_mug_into_cart,
    thanked,
)

pytestmark = pytest.mark.browser


def read(shop: Shop, subject: str) -> EmailMessage:
    raw = mail_about(shop, subject)
    message = message_from_string(raw.split("\n-----", 1)[0], policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def link_in(message: EmailMessage) -> str:
    [link] = re.findall(r"\S+#token=\w+", body(message, "plain"))
    assert f'href="{link}"' in body(message, "html")
    return str(link)


@pytest.mark.thorough
def test_guest_whose_debit_failed_pays_by_card_from_the_mail(shop: Shop, new_page: Callable[..., Any]) -> None:
    page = new_page()
    page.goto(f"{shop.url}/")
    page.get_by_role("combobox", name="Prices in").select_option("EUR")
    page.get_by_text("€").first.wait_for()
    put_mug_into_cart(page, shop)
    check_out(page)
    fill_contact(page, "retry@example.com")
    pay_by_debit(page, FAILING_IBAN)
    page.get_by_role("heading", name="The bank did not pay").wait_for(timeout=30_000)
    number = page.locator(".facts strong").inner_text()
    message = read(shop, f"The payment of your order {number} failed")
    assert message["To"] == "retry@example.com"

    elsewhere = new_page(390)
    elsewhere.goto(link_in(message))
    elsewhere.get_by_role("button", name="Pay now").click()
    elsewhere.get_by_role("heading", name="Your order", exact=True).wait_for()
    pay_by_card(elsewhere, "4242424242424242")
    assert thanked(elsewhere) == number
    found = books(shop, number)
    assert (found.status, found.payment_status) == ("confirmed", "paid")
    assert found.attempts == [("failed", 0), ("succeeded", 1)]


def test_invoice_comes_with_the_mail_and_from_the_orders_page(shop: Shop, new_page: Callable[..., Any]) -> None:
    page = new_page(locale="de-DE")
    put_mug_into_cart(page, shop)
    check_out(page)
    fill_contact(page, "papier@example.com")
    pay_by_card(page, "4242424242424242")
    number = thanked(page)
    message = read(shop, f"Ihre Bestellung {number}")
    [attached] = message.iter_attachments()
    content = attached.get_content()

    guest = new_page()
    guest.goto(link_in(message))
    with guest.expect_download() as started:
        guest.get_by_role("button", name=re.compile(r"^Invoice INV-\d{4}-\d{5}$")).click()
    assert started.value.suggested_filename == attached.get_filename()
    assert started.value.path().read_bytes() == content
    text = pypdfium2.PdfDocument(content)[0].get_textpage().get_text_range()
    assert "Rechnung" in text
    assert "50667 Köln" in text
    assert number in text


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.thorough), 390])
def test_mail_fits_its_window(shop: Shop, new_page: Callable[..., Any], width: int) -> None:
    found = eventually(lambda: [mail for mail in shop.mails() if "Subject: " in mail])
    page = new_page(width)
    for raw in found:
        message = message_from_string(raw.split("\n-----", 1)[0], policy=policy.default)
        page.set_content(body(message, "html"))
        assert page.evaluate("document.documentElement.scrollWidth") <= width, message["Subject"]
        assert page.evaluate("document.documentElement.lang") in ("en", "de")
        assert page.get_by_role("heading", level=1).count() == 1
