"""Staff ships an order in the admin, in a real browser; the buyer hears of it, and the invoice is a click away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pypdfium2
import pytest

from tests.browser.desk import buy, choose
from tests.browser.shop import Shop, eventually
from tests.browser.steps import mail_about

pytestmark = pytest.mark.browser

EMAIL, PASSWORD = "shipping@example.com", "correct horse battery"


@pytest.fixture(scope="module")
def packer(shop: Shop) -> None:
    shop.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    shop.manage("createsuperuser", "--noinput", "--email", EMAIL)


@pytest.fixture
def at_desk(shop: Shop, packer: None, new_page: Callable[..., Any]) -> Callable[..., Any]:
    """A page of somebody who may ship, on their way to an address of the admin."""

    def sit_down(address: str, width: int = 1280) -> Any:
        page = new_page(width)
        page.goto(f"{shop.url}/admin/login/?next={address}")
        page.locator("[name=username]").fill(EMAIL)
        page.locator("[name=password]").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{shop.url}{address}")
        return page

    return sit_down


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.thorough), 390])
def test_order_is_shipped_from_its_page(shop: Shop, at_desk: Callable[..., Any], width: int) -> None:
    bought = buy(shop)
    number = bought["order_number"]
    sql = "SELECT id, status, tracking_number FROM orders_order WHERE number = ?"
    [(order, *_)] = shop.rows(sql, number)
    page = at_desk(f"/admin/orders/order/{order}/change/", width)
    choose(page, "Ship")
    page.get_by_text("Everything in it leaves the house, and the buyer is told.").wait_for()
    page.get_by_label("Tracking number").fill("1Z 999 AA1")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Ship", exact=True).click()
    page.get_by_text(f"{number} was shipped.").wait_for()
    assert shop.rows(sql, number) == [(order, "shipped", "1Z 999 AA1")]
    assert "1Z 999 AA1" in mail_about(shop, f"Your order {number} is on its way")

    choose(page, "Mark as delivered")
    page.get_by_text("The goods arrived, or what is digital was handed over.").wait_for()
    page.get_by_role("button", name="Mark as delivered").click()
    page.get_by_text(f"{number} was delivered.").wait_for()
    assert shop.rows(sql, number) == [(order, "delivered", "1Z 999 AA1")]


def test_invoice_is_downloaded_from_its_page(shop: Shop, at_desk: Callable[..., Any]) -> None:
    number = buy(shop)["order_number"]
    sql = "SELECT d.id, d.number FROM invoices_document d JOIN orders_order o ON o.id = d.order_id WHERE o.number = ?"
    [(document, name)] = eventually(lambda: shop.rows(sql, number))
    page = at_desk(f"/admin/invoices/document/{document}/change/")
    with page.expect_download() as started:
        page.get_by_role("link", name="Download", exact=True).click()
    assert started.value.suggested_filename == f"{name}.pdf"
    assert len(pypdfium2.PdfDocument(started.value.path().read_bytes())) == 1
