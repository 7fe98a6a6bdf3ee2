"""The desk without a mouse: every task below is done with Tab, Enter, Space, arrows and Escape alone."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django_otp.oath import totp

from tests.browser.desk import DEAD, MUG, PASSWORD, Desk, base32, buy, numbers_of
from tests.browser.keys import Keyboard
from tests.browser.shop import eventually
from tests.browser.steps import stock

pytestmark = [pytest.mark.browser, pytest.mark.thorough]


def focused(page: Any) -> str:
    name: str = page.evaluate("document.activeElement.id || document.activeElement.innerText.trim()")
    return name


def test_signs_in_with_a_second_factor(desk: Desk, new_page: Any) -> None:
    page = new_page()
    keys = Keyboard(page)
    page.goto(f"{desk.guarded}/admin/")
    eventually(lambda: focused(page) == "id_username")
    page.keyboard.type("catalogue@desk.example")
    keys.write(re.compile("Password"), PASSWORD)
    keys.go(re.compile("^Log in"))
    page.get_by_text("Scan this with an authenticator app").wait_for()
    key = base32(page.locator("p code").inner_text().replace(" ", ""))
    eventually(lambda: focused(page) == "id_code")
    page.keyboard.type(f"{totp(key):06}")
    keys.go("Set up", "Space")
    page.get_by_text("Keep these recovery codes").wait_for()
    keys.go("I have kept them, go on")
    page.get_by_role("heading", name="Needs attention").wait_for()
    keys.go(re.compile("catalogue@desk.example"), "Space")
    keys.go(re.compile("^Log out"))
    page.wait_for_url(re.compile("/admin/log(in|out)/"))


def test_a_case_is_taken_noted_and_closed_from_the_dashboard(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    bought = buy(shop, method="pm_card_createDispute")
    sql = "SELECT id FROM payment_attentioncase WHERE payment_id = ? AND kind = 'dispute'"
    [(case,)] = eventually(lambda: shop.rows(sql, bought["payment_id"]))
    page = sit_down("support")
    keys = Keyboard(page)
    keys.into_the_page()
    keys.reaches_everything()
    keys.go(f"Open the case: Dispute: order {bought['order_number']}")
    page.get_by_text("What can be done").first.wait_for()
    keys.go("Take")
    page.get_by_role("heading", name=re.compile("^Take the case")).wait_for()
    keys.write("Note", "I know this buyer")
    assert keys.go("Take it") == ["Back to the case", "Take it"]
    page.get_by_text("You look after this case now.").wait_for()
    keys.go("Note")
    page.get_by_role("heading", name=re.compile("^Note something")).wait_for()
    keys.write("Note", "she never ordered it")
    keys.go("Keep the note")
    page.get_by_text("Noted: she never ordered it").wait_for()
    keys.go("Solve")
    page.get_by_role("heading", name=re.compile("^Solve: dispute")).wait_for()
    keys.write("Note", "answered in Stripe's Dashboard")
    keys.go("Solve", "Space")
    page.get_by_text("The case is solved.").wait_for()
    assert shop.rows("SELECT note FROM payment_attentioncase WHERE id = ?", case) == [
        ("answered in Stripe's Dashboard",)
    ]


def test_an_order_is_found_shipped_and_given_back_by_lines(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    bought = buy(shop, 2)
    order, _ = numbers_of(shop, bought)
    before = stock(shop, MUG)
    page = sit_down("owner")
    keys = Keyboard(page)
    keys.go("receipt_long Orders")
    page.wait_for_url(re.compile("/orders/order/$"))
    keys.reaches_everything()
    keys.into_the_page()
    keys.write(re.compile("^q$|Search"), bought["order_number"])
    keys.press("Enter")
    page.wait_for_url(re.compile("[?]q="))
    keys.into_the_page()
    keys.go(bought["order_number"])
    page.get_by_text("Payment status", exact=True).first.wait_for()
    keys.reaches_everything()

    keys.go("Ship")
    page.get_by_text("Everything in it leaves the house").wait_for()
    eventually(lambda: focused(page) == "id_tracking_number")
    keys.press("Escape")
    page.get_by_text("Everything in it leaves the house").wait_for(state="hidden")
    assert focused(page) == "Ship"
    keys.press("Enter")
    eventually(lambda: focused(page) == "id_tracking_number")
    page.keyboard.type("1Z KEYS")
    keys.go(re.compile("Ship$"))
    page.get_by_text("was shipped.").wait_for()
    assert shop.rows("SELECT tracking_number FROM orders_order WHERE id = ?", order) == [("1Z KEYS",)]

    keys.go("Refund")
    page.get_by_text("What goes back").wait_for()
    keys.into_the_page()
    keys.tab_to("All that is left")
    keys.press("ArrowDown", "ArrowDown")
    assert page.get_by_label("Lines of the order").is_checked()
    order_of_fields = keys.write(re.compile("^Quantity"), "1")
    assert order_of_fields[0].startswith("Amount in")
    keys.tab_to(re.compile("stock", re.IGNORECASE))
    keys.press("Space")
    keys.tab_to("Reason")
    keys.press("ArrowDown", "ArrowUp")
    assert keys.go("Preview") == ["Description", "Back to the payment", "Preview"]
    page.get_by_text("counts as refunded and returns to stock").wait_for()
    keys.reaches_everything()
    keys.go(re.compile("^Give 14.50 USD back"))
    page.get_by_text("14.50 USD: The money is on its way to the buyer.").wait_for()
    assert stock(shop, MUG) == (before[0] + 1, before[1])


def test_events_are_filtered_and_a_selection_is_replayed(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    buy(shop)
    sql = "SELECT id FROM payment_stripewebhookevent WHERE state = 'done' ORDER BY id DESC LIMIT 2"
    eventually(lambda: len(shop.rows(sql)) == 2)
    events = [event for (event,) in shop.rows(sql)]
    for event in events:
        shop.manage("shell", "-c", DEAD.format(event))
    page = sit_down("finance")
    keys = Keyboard(page)
    page.goto(f"{desk.shop.url}/admin/payment/stripewebhookevent/")
    keys.into_the_page()
    keys.go(re.compile("^Filters"))
    page.locator("#changelist-filter").wait_for()
    eventually(lambda: page.evaluate("!!document.activeElement.closest('#changelist-filter')"))
    keys.press("Escape")
    page.locator("#changelist-filter").wait_for(state="hidden")
    assert focused(page).startswith("Filters")
    keys.press("Enter")
    eventually(lambda: page.evaluate("!!document.activeElement.closest('#changelist-filter')"))
    keys.reaches_everything()
    keys.go(re.compile("^dead"))
    page.wait_for_url(re.compile("state__exact=dead"))

    keys.into_the_page()
    for event in events:
        keys.tab_to(re.compile("_selected_action|Select"), tag="input")
        while page.evaluate("document.activeElement.value") != str(event):
            keys.tab_to(re.compile("_selected_action|Select"), tag="input")
        keys.press("Space")
    page.locator("select[name=action]").wait_for()
    keys.tab_to("Select action to run")
    page.keyboard.type("Replay")
    keys.go("Run")
    page.get_by_text("2 events are due again; those that were done stay done.").wait_for()
    mark = "SELECT count(*) FROM payment_stripewebhookevent WHERE id IN (?, ?) AND state = 'done'"
    eventually(lambda: shop.rows(mark, *events) == [(2,)])


def test_a_file_is_checked_and_imported(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    sku = "KEYS-1"
    text = f"sku,product,variant,category,kind,price,currency,stock\n{sku},Keys,,Things,physical,9.50,USD,2\n"
    page = sit_down("catalogue")
    keys = Keyboard(page)
    keys.go("swap_vert Import and export")
    page.get_by_role("heading", name="Import", exact=True).wait_for()
    keys.reaches_everything()
    keys.into_the_page()
    assert keys.tab_to(re.compile("^CSV or XLSX file"))[:2] == ["Format", "Export"]
    with page.expect_file_chooser() as chosen:
        keys.press("Space")
    chosen.value.set_files({"name": "keys.csv", "mimeType": "text/csv", "buffer": text.encode()})
    keys.tab_to("Set the stock as well")
    keys.go("Check the file")
    page.get_by_text("1 to create, 0 to update").wait_for()
    keys.into_the_page()
    keys.write("Why", "new for people with keyboards")
    assert keys.go("Import it") == ["Choose another file", "Import it"]
    page.get_by_text("Imported: 1 created").wait_for()
    assert stock(shop, sku) == (2, 0)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_for_the_mouse_alone(desk: Desk, sit_down: Any, width: int) -> None:
    shop = desk.shop
    order, variant = numbers_of(shop, buy(shop))
    page = sit_down("owner", width)
    keys = Keyboard(page)
    month = time.strftime("%Y-%m", time.gmtime())
    for path in (
        f"orders/order/{order}/timeline/",
        f"orders/order/{order}/papers/",
        f"exports/month-end/?month={month}",
        f"catalog/productvariant/{variant}/change/",
        f"catalog/productvariant/{variant}/stock/",
        "accounts/user/add/",
        "payment/payment/",
        "endpoint/",
        "checks/",
    ):
        page.goto(f"{shop.url}/admin/{path}")
        keys.reaches_everything()
    page.goto(f"{shop.url}/admin/")
    keys.go("Menu of pages")  # it is folded away at the left on a phone, and can be on a desk
    if width == 390:
        eventually(lambda: page.evaluate("!!document.activeElement.closest('#nav-sidebar')"))
        keys.press("Escape")
    page.locator("#nav-sidebar").wait_for(state="hidden")
