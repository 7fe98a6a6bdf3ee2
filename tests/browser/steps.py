"""What a buyer does, step by step, and what the shop's books say afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import requests

from tests.browser.shop import Shop, eventually

MUG, MUG_SKU = "Compile Time Mug", "MUG-GREEN"
BOOK = "calm-incidents"
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


def sign_up(page: Any, shop: Shop, email: str, *, then: str = "/") -> None:
    """Makes an account in the browser and goes on to the page `then`."""
    page.goto(f"{shop.url}/register/?next={then}")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill("sunny-otter-42")
    page.get_by_role("button", name="Make the account").click()
    page.get_by_role("button", name="Sign out").wait_for()
    page.wait_for_url(f"{shop.url}{then}")


def type_card(page: Any, number: str) -> None:
    """Into Stripe's field on the shop's own page."""
    for label, value in (("Card number", number), ("Expiry", "12 / 34"), ("CVC", "123")):
        page.get_by_label(label).fill(value)


class Account:
    """What the person who is signed in on a page does by the API, where the page's own way is not what is tested."""

    def __init__(self, page: Any, shop: Shop) -> None:
        token = page.evaluate("localStorage.getItem('proshop.token')")
        self.shop, self.headers = shop, {"Authorization": f"Token {token}"}

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = requests.post(f"{self.shop.url}/api/{path}", json=body, headers=self.headers, timeout=30)
        assert answer.ok, (path, answer.status_code, answer.text)
        found: dict[str, Any] = answer.json()
        return found

    def save_card(self, payment_method: str) -> int:
        """The id of a card that was saved without a payment."""
        setup = self.post("payment/methods/setup/")
        confirmed = requests.post(
            f"{self.shop.sandbox.address}/v1/setup_intents/{setup['setup_intent_id']}/confirm",
            data={"client_secret": setup["client_secret"], "payment_method": payment_method},
            headers={"Authorization": "Bearer pk_test_proshop"},
            timeout=30,
        )
        assert confirmed.json()["status"] == "succeeded", confirmed.text
        return int(self.post("payment/methods/", setup_intent=setup["setup_intent_id"])["id"])

    def fill_cart(self, quantity: int = 1) -> None:
        """With something digital, which needs no address."""
        product = requests.get(f"{self.shop.url}/api/products/{BOOK}/", timeout=30).json()
        self.post("cart/add/", variant_id=product["variants"][0]["id"], quantity=quantity)

    def buy(self, card: int, quantity: int = 1) -> dict[str, Any]:
        """The payment of an order that is paid with a saved card; the shop has heard of it from Stripe too."""
        self.fill_cart(quantity)
        number = self.post("orders/")["number"]
        opened = self.post("payment/intents/", order_number=number, payment_method=card)
        paid = self.post(f"payment/payments/{opened['payment_id']}/confirm/")
        assert paid["payment_status"] == "paid", paid
        eventually(lambda: self.shop.rows("SELECT 1 FROM payment_payment WHERE id = ? AND last4 <> ''", paid["id"]))
        return paid


def decide_refund(shop: Shop, decision: str) -> None:
    """Staff approves or rejects the newest request."""
    code = (
        "from apps.accounts.models import User; from apps.payment.models import Refund;"
        "from apps.payment.services import refund_requests;"
        "asked, staff = Refund.objects.latest('pk'), User.objects.filter(is_staff=True).first();"
    )
    calls = {
        "approve": "refund_requests.approve(asked, by=staff)",
        "reject": "refund_requests.reject(asked, by=staff, note='')",
    }
    shop.manage("shell", "-c", code + calls[decision])
