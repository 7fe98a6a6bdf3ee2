"""What a buyer does, step by step, and what the shop's books say afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.browser.shop import Shop, eventually

MUG, MUG_SKU = "Compile Time Mug", "MUG-GREEN"
GOOD_IBAN, FAILING_IBAN = "AT611904300234573201", "AT861904300235473202"


@dataclass(frozen=True)
class Books:
    """One order as the database has it."""

    status: str
    payment_status: str
    email: str
    attempts: list[tuple[str, int]]
    log: list[tuple[str, str]]


def stock(shop: Shop, sku: str = MUG_SKU) -> tuple[int, int]:
    """Units in the house, and how many of them are held."""
    [row] = shop.rows("SELECT stock, held FROM catalog_productvariant WHERE sku = ?", sku)
    return row[0], row[1]


def books(shop: Shop, number: str) -> Books:
    [row] = shop.rows("SELECT status, payment_status, email, id FROM orders_order WHERE number = ?", number)
    attempts = shop.rows("SELECT status, applied FROM payment_payment WHERE order_id = ? ORDER BY id", row[3])
    log = shop.rows(
        "SELECT to_status, to_payment_status FROM orders_ordertransition WHERE order_id = ? ORDER BY seq", row[3]
    )
    return Books(*row[:3], attempts=attempts, log=log)


def put_mug_into_cart(page: Any, shop: Shop) -> None:
    page.goto(f"{shop.url}/")
    page.get_by_role("searchbox", name="Search the shop").fill("compile mug")
    page.get_by_role("searchbox", name="Search the shop").press("Enter")
    page.get_by_role("link", name=MUG, exact=True).click()
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="View cart").click()
    page.get_by_role("button", name="Check out").wait_for()


def check_out(page: Any) -> None:
    page.get_by_role("button", name="Check out").click()
    page.get_by_role("heading", name="Your order", exact=True).wait_for()


def fill_contact(page: Any, email: str) -> None:
    page.get_by_role("heading", name="Your order", exact=True).wait_for()
    if page.get_by_label("Email").count():  # a signed-in buyer's is known
        page.get_by_label("Email").fill(email)
    page.get_by_label("Full name").fill("Ada Lovelace")
    page.get_by_label("Country or region").select_option("DE")
    page.get_by_label("Address", exact=True).fill("Hauptstr. 1")
    page.get_by_label("City").fill("Köln")
    page.get_by_label("Postal code").fill("50667")


def pay_by_card(page: Any, number: str) -> None:
    for label, value in (("Card number", number), ("Expiry", "12 / 34"), ("CVC", "123"), ("Name on card", "Ada")):
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name=re.compile("^Pay ")).click()


def pay_by_debit(page: Any, iban: str) -> None:
    page.get_by_label("SEPA bank debit").check()
    page.get_by_label("IBAN").fill(iban)
    page.get_by_label("Account holder").fill("Ada Lovelace")
    page.get_by_role("button", name=re.compile("^Pay ")).click()


def thanked(page: Any) -> str:
    """Waits for the thanks; the order's number."""
    page.get_by_role("heading", name="Thank you, it is paid").wait_for(timeout=30_000)
    number: str = page.locator(".facts strong").inner_text()
    return number


def mail_about(shop: Shop, subject: str) -> str:
    """The one e-mail with this subject."""
    found: list[str] = eventually(lambda: [mail for mail in shop.mails() if f"Subject: {subject}" in mail])
    assert len(found) == 1
    return found[0]


def session_of(shop: Shop, number: str) -> str:
    """The newest payment page of an order."""
    sql = "SELECT stripe_session_id FROM payment_payment JOIN orders_order o ON o.id = order_id WHERE o.number = ?"
    found: str = shop.rows(f"{sql} ORDER BY payment_payment.id DESC LIMIT 1", number)[0][0]
    return found
