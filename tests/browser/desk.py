"""The shop's desk: people of every role, and what their walks through the admin have in common."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import requests

from tests.browser.shop import Shop, eventually

MUG = "MUG-GREEN"
ROLES = ("viewer", "support", "finance", "catalogue", "owner")
PASSWORD = "correct horse battery"
PEOPLE = f"""
from django.contrib.auth.models import Group
from apps.accounts.models import User
for role in {ROLES!r}:
    User.objects.create_user(f"{{role}}@desk.example", {PASSWORD!r}, is_staff=True).groups.add(
        Group.objects.get(name=role)
    )
"""
DEAD = """
from apps.payment.models import StripeWebhookEvent
StripeWebhookEvent.objects.filter(pk={}).update(state="dead", reason="its handler failed every time", attempts=12)
"""

END = """
from django.db import transaction
from apps.orders.models import Order
from apps.orders.services import lifecycle
with transaction.atomic():
    order = lifecycle.lock_order(Order.objects.get(number={!r}).pk)
    lifecycle.end_order(order, ended=Order.Ended.EXPIRED, reason="expired")
"""


@dataclass(frozen=True)
class Desk:
    """The shop with a person for each role, and a second address where a second factor is asked for.

    There the sign-ins are kept and limited too, and what is bought is reserved first and taken later.
    """

    shop: Shop
    guarded: str


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health/live/", timeout=2).ok
    except requests.ConnectionError:
        return False


def visit(page: Any, desk: Desk, path: str) -> None:
    """A page that opens, and that nothing on it makes wider than the window."""
    answer = page.goto(f"{desk.shop.url}/admin/{path}")
    assert answer.status == 200, path
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def refused(page: Any, desk: Desk, *paths: str) -> None:
    """Pages that this person does not get to see by their address either."""
    found = {path: page.context.request.get(f"{desk.shop.url}/admin/{path}").status for path in paths}
    assert {path: status for path, status in found.items() if status != 403} == {}


def buttons(page: Any) -> set[str]:
    """What the head of an object's page offers."""
    known = "Timeline|E-mails and invoices|Refund|Ship|New payment link|Cancel|Replay|Stock|Take|Note|Solve|Evidence"
    return {name for name in known.split("|") if page.get_by_role("link", name=name, exact=True).count()}


def choose(page: Any, step: str) -> None:
    """A button on the row's page; on a narrow screen it is behind the three dots."""
    more = page.get_by_text("more_horiz", exact=True)
    if more.is_visible():
        more.click()
    page.get_by_role("link", name=step, exact=True).click()


def numbers_of(shop: Shop, bought: dict[str, Any]) -> tuple[int, int]:
    """The order's and its variant's numbers in the admin's addresses."""
    sql = "SELECT o.id, i.variant_id FROM orders_order o JOIN orders_orderitem i ON i.order_id = o.id WHERE number = ?"
    [(order, variant)] = shop.rows(sql, bought["order_number"])
    return order, variant


def place(shop: Shop, url: str = "") -> dict[str, Any]:
    """An order that waits for its money."""
    [(variant,)] = shop.rows("SELECT id FROM catalog_productvariant WHERE sku = ?", MUG)
    url = url or shop.url
    cart = requests.post(f"{url}/api/cart/add/", json={"variant_id": variant, "quantity": 1}, timeout=20).json()
    headers = {"X-Cart-Token": cart["token"]}
    found: dict[str, Any] = requests.post(f"{url}/api/payment/checkout/", json={}, headers=headers, timeout=20).json()
    return found


def pay_late(shop: Shop) -> tuple[dict[str, Any], int]:
    """An order that ended while its buyer was paying, and the number of the case that its money opened."""
    bought = place(shop)
    shop.manage("shell", "-c", END.format(bought["order_number"]))
    shop.sandbox.pay(bought["session_id"], "pm_card_visa")
    sql = "SELECT c.id FROM payment_attentioncase c JOIN payment_payment p ON p.id = c.payment_id"
    [(case,)] = eventually(
        lambda: shop.rows(f"{sql} WHERE kind = 'late' AND stripe_session_id = ?", bought["session_id"])
    )
    return bought, case


def ask_back(shop: Shop, bought: dict[str, Any]) -> int:
    """The number of a refund that its buyer asks for."""
    answer = requests.post(
        f"{shop.url}/api/payment/refunds/",
        json={"payment_id": bought["payment_id"], "amount": "1.00", "description": "too green"},
        headers={"X-Order-Token": bought["order_token"]},
        timeout=20,
    )
    assert answer.status_code == 202, answer.text
    return int(answer.json()["id"])


def buy(shop: Shop, quantity: int = 1, method: str = "pm_card_visa") -> dict[str, Any]:
    """An order of mugs, paid on Stripe's page; the answer of its checkout, with the payment's number."""
    [(variant,)] = shop.rows("SELECT id FROM catalog_productvariant WHERE sku = ?", MUG)
    cart = requests.post(f"{shop.url}/api/cart/add/", json={"variant_id": variant, "quantity": quantity}, timeout=20)
    token = {"X-Cart-Token": cart.json()["token"]}
    bought = requests.post(f"{shop.url}/api/payment/checkout/", json={}, headers=token, timeout=20).json()
    shop.sandbox.pay(bought["session_id"], method)
    paid = "SELECT p.id FROM payment_payment p WHERE stripe_session_id = ? AND status = 'succeeded'"
    [(number,)] = eventually(lambda: shop.rows(paid, bought["session_id"]))
    return {**bought, "payment_id": number}


def base32(text: str) -> bytes:
    return base64.b32decode(text + "=" * (-len(text) % 8))
