"""Staff at work in the admin, in a real browser: money goes back, requests are decided, a dispute is answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.browser.desk import MUG, buy
from tests.browser.shop import Shop, eventually
from tests.browser.steps import stock

pytestmark = pytest.mark.browser

EMAIL, PASSWORD = "owner@example.com", "correct horse battery"
PAYMENT = "/admin/payment"


@pytest.fixture(scope="module")
def owner(shop: Shop) -> None:
    shop.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    shop.manage("createsuperuser", "--noinput", "--email", EMAIL)


@pytest.fixture
def at_desk(shop: Shop, owner: None, new_page: Callable[..., Any]) -> Callable[..., Any]:
    """A signed-in member of staff's page."""

    def sit_down(width: int = 1280) -> Any:
        page = new_page(width)
        page.goto(f"{shop.url}/admin/")
        page.locator("[name=username]").fill(EMAIL)
        page.locator("[name=password]").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{shop.url}/admin/")
        return page

    return sit_down


def refunds_of(shop: Shop, *payments: dict[str, Any]) -> list[tuple[str, int, str]]:
    marks = ",".join("?" * len(payments))
    sql = f"SELECT status, amount, source FROM payment_refund WHERE payment_id IN ({marks}) ORDER BY id"  # noqa: S608
    return shop.rows(sql, *(payment["payment_id"] for payment in payments))


def open_selected(page: Any, shop: Shop, *payments: dict[str, Any]) -> None:
    page.goto(f"{shop.url}{PAYMENT}/payment/")
    for payment in payments:
        page.locator(f"input.action-select[value='{payment['payment_id']}']").check()
    page.locator("select[name=action]").select_option(label="Process Stripe refunds")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("heading", name="Process Stripe refunds").wait_for()


@pytest.mark.parametrize("width", [1280, 390])
def test_two_payments_go_back_from_the_list_with_a_row_each(shop: Shop, at_desk: Any, width: int) -> None:
    whole, part = buy(shop), buy(shop, 2)
    page = at_desk(width)
    open_selected(page, shop, whole, part)
    assert page.locator("output").inner_text() == "43.50"
    page.get_by_label(f"Amount for order {part['order_number']}").fill("9.90")
    assert page.locator("output").inner_text() == "24.40"
    page.get_by_label(f"Amount for order {part['order_number']}").fill("9.999")
    assert page.locator("output").inner_text() == "?"
    page.get_by_label(f"Amount for order {part['order_number']}").fill("9.90")
    page.get_by_label("Reason").select_option("duplicate")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Give the money back").click()

    page.get_by_role("status").filter(has_text="2 succeeded, 0 pending, 0 refused.").wait_for()
    rows = [" ".join(row.split()) for row in page.locator("tbody tr").all_inner_texts()]
    assert [row.split(" USD ")[0] + " USD" for row in rows] == [
        f"{part['order_number']} {part['payment_id']} 9.90 USD",
        f"{whole['order_number']} {whole['payment_id']} 14.50 USD",
    ]
    assert all("SUCCEEDED" in row.upper() for row in rows)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert sorted(refunds_of(shop, whole, part)) == [("succeeded", 990, "staff"), ("succeeded", 1450, "staff")]

    page.reload()  # the browser sends the form once more
    page.get_by_text("This page had asked for it before; nothing more went back.").first.wait_for()
    assert len(refunds_of(shop, whole, part)) == 2


def test_buyers_request_is_approved_and_its_mug_returns(shop: Shop, at_desk: Any) -> None:
    bought = buy(shop, 2)
    before = stock(shop, MUG)
    [(line,)] = shop.rows(
        "SELECT i.id FROM orders_orderitem i JOIN orders_order o ON o.id = i.order_id WHERE o.number = ?",
        bought["order_number"],
    )
    asked = requests.post(
        f"{shop.url}/api/payment/refunds/",
        json={
            "payment_id": bought["payment_id"],
            "items": [{"order_item_id": line, "quantity": 1}],
            "description": "chipped",
        },
        headers={"X-Order-Token": bought["order_token"]},
        timeout=20,
    )
    assert asked.status_code == 202, asked.text
    page = at_desk()
    page.goto(f"{shop.url}{PAYMENT}/refund/{asked.json()['id']}/change/")
    page.get_by_role("link", name="Approve").click()
    page.get_by_text("The buyer writes: chipped").wait_for()
    page.get_by_label("The goods of its lines return to stock").check()
    page.get_by_role("button", name="Approve").click()
    page.get_by_text("14.50 USD, approved. The refund's status is now: succeeded.").wait_for()
    assert page.get_by_role("link", name="Approve").count() == 0
    assert refunds_of(shop, bought) == [("succeeded", 1450, "buyer")]
    assert stock(shop, MUG) == (before[0] + 1, before[1])


def test_dispute_is_answered_with_evidence_that_was_read_again(shop: Shop, at_desk: Any) -> None:
    bought = buy(shop, method="pm_card_createDispute")
    sql = "SELECT id, stripe_dispute_id FROM payment_dispute WHERE payment_id = ?"
    [(number, stripe_id)] = eventually(lambda: shop.rows(sql, bought["payment_id"]))
    page = at_desk()
    page.goto(f"{shop.url}{PAYMENT}/dispute/")
    page.get_by_role("row").filter(has_text=bought["order_number"]).get_by_role("link").first.click()
    page.get_by_role("link", name="Evidence").click()
    assert "Compile Time Mug" in page.get_by_label("Product description").input_value()
    page.get_by_label("Shipping carrier").fill("Post")
    page.get_by_label("Uncategorized text").fill("It was delivered.\nwinning_evidence")
    page.get_by_role("button", name="Save and read before submitting").click()
    page.get_by_text("This is final.").wait_for()
    page.locator("dd").filter(has_text=re.compile("^Post$")).wait_for()
    assert shop.rows("SELECT decision FROM payment_dispute WHERE id = ?", number) == [("",)]
    page.get_by_role("button", name="Submit for good").click()
    page.get_by_text("Submitted the evidence.").wait_for()
    assert page.get_by_role("link", name="Accept").count() == 0
    at_stripe = next(row for row in shop.sandbox.objects("dispute") if row["id"] == stripe_id)
    assert at_stripe["evidence"]["shipping_carrier"] == "Post"
    assert at_stripe["evidence_details"]["submission_count"] == 1
