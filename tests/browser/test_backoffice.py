"""A day at the shop's desk: every role does its tasks in a real browser, and is refused those of the others."""

from __future__ import annotations

import csv
import io
import re
import time
from typing import Any

import pytest

from tests.browser.desk import (
    DEAD,
    MUG,
    Desk,
    ask_back,
    buttons,
    buy,
    choose,
    numbers_of,
    place,
    refused,
    visit,
)
from tests.browser.shop import eventually
from tests.browser.steps import mail_about, stock

pytestmark = pytest.mark.browser


@pytest.mark.thorough
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_viewer_reads_the_shop_and_does_nothing(desk: Desk, sit_down: Any, width: int, scheme: str) -> None:
    shop = desk.shop
    bought = buy(shop)
    order, variant = numbers_of(shop, bought)
    payment = bought["payment_id"]
    sql = "SELECT id FROM payment_stripewebhookevent WHERE type = 'checkout.session.completed' ORDER BY id DESC LIMIT 1"
    [(event,)] = eventually(lambda: shop.rows(sql))
    page = sit_down("viewer", width, color_scheme=scheme)
    page.get_by_role("heading", name="Needs attention").wait_for()
    page.get_by_role("heading", name="Sales in USD").wait_for()
    visit(page, desk, f"orders/order/?q={bought['order_number']}")
    page.get_by_role("link", name=bought["order_number"]).click()
    page.get_by_text("Payment status", exact=True).first.wait_for()
    if width == 1280:
        assert buttons(page) == {"Timeline"}
    choose(page, "Timeline")
    page.get_by_text("Attempt 1: succeeded").wait_for()
    assert page.get_by_text("E-mail:").count() == 0
    visit(page, desk, f"payment/stripewebhookevent/{event}/change/")
    page.get_by_text('"object": "checkout.session"').wait_for()
    assert "buyer@example.com" not in page.content()
    lists = (
        "payment/payment/",
        "payment/refund/",
        "payment/dispute/",
        "payment/attentioncase/",
        "checks/",
        "endpoint/",
    )
    for path in (*lists, "catalog/product/", "inventory/stockhold/", "enrollment/enrollment/"):
        visit(page, desk, path)
    visit(page, desk, "enrollment/enrollment/?q=nobody@nowhere.example")
    page.get_by_role("heading", name="Nothing matches").wait_for()
    page.get_by_role("link", name="Show everything").click()
    orders = [f"orders/order/{order}/{step}/" for step in ("papers", "refund", "ship", "deliver", "cancel", "pay-link")]
    payments = [f"payment/payment/{payment}/{step}/" for step in ("refund", "capture", "release")]
    refused(page, desk, *orders, *payments, f"payment/stripewebhookevent/{event}/replay/")
    refused(page, desk, f"catalog/productvariant/{variant}/stock/", "shelves/", "exports/", "exports/month-end/")
    refused(page, desk, "accounts/user/", "auth/group/", "audit/auditentry/", "axes/accesslog/", "outbox/delivery/")


def test_support_helps_a_buyer_and_moves_no_money(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    bought, waiting, given_up = buy(shop), place(shop), place(shop)
    order, variant = numbers_of(shop, bought)
    page = sit_down("support")
    visit(page, desk, f"orders/order/?q={bought['order_number']}")
    page.get_by_role("link", name=bought["order_number"]).click()
    page.get_by_text("Payment status", exact=True).first.wait_for()
    assert buttons(page) == {"Timeline", "E-mails and invoices", "Ship"}
    choose(page, "Ship")
    page.get_by_label("Tracking number").fill("1Z DESK")
    page.get_by_role("button", name="Ship").click()
    page.get_by_text("was shipped.").wait_for()
    choose(page, "Mark as delivered")
    page.get_by_role("button", name="Mark as delivered").click()
    page.get_by_text("was delivered.").wait_for()
    mail_about(shop, f"Your order {bought['order_number']} is on its way")

    choose(page, "E-mails and invoices")
    page.get_by_role("button", name="Send again: order shipped").click()
    page.get_by_text("is on its way to buyer@example.com again.").wait_for()
    subject = f"Subject: Your order {bought['order_number']} is on its way"
    eventually(lambda: len([mail for mail in shop.mails() if subject in mail]) == 2)
    with page.expect_download() as started:
        page.get_by_role("link", name=re.compile("^Download INV-")).click()
    assert started.value.suggested_filename.endswith(".pdf")
    choose_back = page.get_by_role("link", name="Back to the order")
    choose_back.click()
    choose(page, "Timeline")
    page.get_by_text("Sent again: order shipped").wait_for()

    waits, _ = numbers_of(shop, waiting)
    visit(page, desk, f"orders/order/{waits}/change/")
    assert buttons(page) == {"Timeline", "E-mails and invoices", "New payment link", "Cancel"}
    choose(page, "New payment link")
    page.get_by_role("button", name="Make the link").click()
    link = page.locator(".desk-note a").get_attribute("href")
    assert link.startswith(shop.sandbox.address)
    [(session,)] = shop.rows(
        "SELECT stripe_session_id FROM payment_payment WHERE order_id = ? ORDER BY id DESC LIMIT 1", waits
    )
    assert session != waiting["session_id"]
    assert session in link
    shop.sandbox.pay(session, "pm_card_visa")
    eventually(lambda: shop.rows("SELECT 1 FROM orders_order WHERE id = ? AND payment_status = 'paid'", waits))

    ended, _ = numbers_of(shop, given_up)
    visit(page, desk, f"orders/order/{ended}/cancel/")
    page.get_by_label("Note").fill("the buyer changed her mind")
    page.get_by_role("button", name="Cancel the order").click()
    page.get_by_text(f"{given_up['order_number']} is cancelled.").wait_for()
    refused(page, desk, f"payment/payment/{bought['payment_id']}/refund/", f"orders/order/{order}/refund/", "exports/")
    refused(page, desk, f"catalog/productvariant/{variant}/stock/", "shelves/", "audit/auditentry/", "auth/group/")


def test_finance_gives_back_decides_and_answers(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    bought, disputed = buy(shop, 2), buy(shop, method="pm_card_createDispute")
    asked = ask_back(shop, bought)
    order, variant = numbers_of(shop, bought)
    before = stock(shop, MUG)
    page = sit_down("finance", 390)
    visit(page, desk, "payment/payment/")
    page.get_by_text("Filters").first.click()
    page.get_by_label(re.compile("By amount")).fill("28-30")
    page.get_by_role("button", name="Apply Filters").click()
    page.wait_for_url(re.compile("amount=28-30"))
    page.get_by_text(bought["order_number"]).first.wait_for()
    assert page.get_by_text(disputed["order_number"]).count() == 0

    visit(page, desk, f"orders/order/{order}/change/")
    choose(page, "Refund")
    page.get_by_label("Lines of the order").check()
    page.get_by_label(re.compile("^Quantity")).fill("1")
    page.get_by_label(re.compile("^Return to stock|stock$", re.IGNORECASE)).first.check()
    page.get_by_role("button", name="Preview").click()
    page.get_by_text("counts as refunded and returns to stock").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Give 14.50 USD back").click()
    page.get_by_text("14.50 USD: The money is on its way to the buyer.").wait_for()
    assert stock(shop, MUG) == (before[0] + 1, before[1])

    visit(page, desk, f"payment/refund/{asked}/change/")
    choose(page, "Reject")
    page.get_by_label("Note").fill("it is green in the picture")
    page.get_by_role("button", name="Reject").click()
    page.get_by_text("The request for 1.00 USD is rejected.").wait_for()

    [(case,)] = eventually(
        lambda: shop.rows(
            "SELECT id FROM payment_attentioncase WHERE payment_id = ? AND kind = 'dispute'", disputed["payment_id"]
        )
    )
    visit(page, desk, f"payment/attentioncase/{case}/change/")
    choose(page, "Take")
    page.get_by_role("button", name="Take it").click()
    page.get_by_text("You look after this case now.").wait_for()
    choose(page, "Note")
    page.get_by_label("Note").fill("the buyer does not answer")
    page.get_by_role("button", name="Keep the note").click()
    page.get_by_text("Noted: the buyer does not answer").wait_for()
    [(dispute,)] = shop.rows("SELECT id FROM payment_dispute WHERE payment_id = ?", disputed["payment_id"])
    visit(page, desk, f"payment/dispute/{dispute}/accept/")
    page.get_by_role("button", name="Accept for good").click()
    eventually(lambda: shop.rows("SELECT 1 FROM payment_dispute WHERE id = ? AND status = 'lost'", dispute))
    eventually(lambda: shop.rows("SELECT 1 FROM payment_attentioncase WHERE id = ? AND solved_at IS NOT NULL", case))
    refused(page, desk, f"orders/order/{order}/ship/", f"orders/order/{order}/cancel/", "shelves/", "accounts/user/")
    refused(
        page, desk, f"catalog/productvariant/{variant}/stock/", "audit/auditentry/", f"orders/order/{order}/pay-link/"
    )


@pytest.mark.thorough
def test_finance_takes_reserved_money_replays_an_event_and_closes_the_month(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    reserved = []
    for _ in range(2):
        bought = place(shop, desk.guarded)
        shop.sandbox.pay(bought["session_id"], "pm_card_visa")
        sql = "SELECT id FROM payment_payment WHERE stripe_session_id = ? AND intent_status = 'requires_capture'"
        reserved.append(eventually(lambda: shop.rows(sql, bought["session_id"]))[0][0])  # noqa: B023 - called at once
    page = sit_down("finance")
    for payment, step, button, state in (
        (reserved[0], "Take the money", "Take 14.50 USD", "succeeded"),
        (reserved[1], "Give the reservation up", re.compile("^Give"), "cancelled"),
    ):
        visit(page, desk, f"payment/payment/{payment}/change/")
        choose(page, step)
        page.get_by_role("button", name=button).click()
        eventually(lambda: shop.rows("SELECT 1 FROM payment_payment WHERE id = ? AND status = ?", payment, state))  # noqa: B023

    [(event,)] = shop.rows("SELECT id FROM payment_stripewebhookevent WHERE state = 'done' ORDER BY id DESC LIMIT 1")
    shop.manage("shell", "-c", DEAD.format(event))
    visit(page, desk, "")
    page.get_by_role("link", name=re.compile("^See the events")).click()
    page.get_by_text("its handler failed every time").first.wait_for()
    visit(page, desk, f"payment/stripewebhookevent/{event}/change/")
    choose(page, "Replay")
    page.get_by_role("button", name="Replay it").click()
    page.get_by_text("The event is due again").wait_for()
    eventually(lambda: shop.rows("SELECT 1 FROM payment_stripewebhookevent WHERE id = ? AND state = 'done'", event))

    visit(page, desk, "endpoint/")
    page.get_by_role("button", name="Ask Stripe now").click()
    page.get_by_text("Not delivered in 30 days").wait_for()
    page.get_by_role("heading", name="Secrets").wait_for()
    visit(page, desk, "exports/")
    with page.expect_download() as started:
        page.get_by_role("button", name="Export").click()
    rows = list(csv.DictReader(io.StringIO(started.value.path().read_text(encoding="utf-8-sig"))))
    assert len(rows) == shop.rows("SELECT count(*) FROM orders_order")[0][0]
    visit(page, desk, f"exports/month-end/?month={time.strftime('%Y-%m', time.gmtime())}")
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="difference", exact=True))
    assert row.first.get_by_role("cell").last.inner_text() == "0.00"


@pytest.mark.thorough
@pytest.mark.parametrize("width", [1280, 390])
def test_catalogue_fills_the_shelves_and_sees_no_buyer(desk: Desk, sit_down: Any, width: int) -> None:
    shop = desk.shop
    bought = buy(shop)
    order, variant = numbers_of(shop, bought)
    before = stock(shop, MUG)
    sku = f"DESK-{width}"
    page = sit_down("catalogue", width)
    visit(page, desk, f"catalog/productvariant/{variant}/change/")
    choose(page, "Stock")
    page.get_by_role("heading", name="Last movements").wait_for()
    page.get_by_label("Units").focus()
    page.keyboard.type("-1")
    page.keyboard.press("Tab")
    page.keyboard.type("one is chipped")
    page.keyboard.press("Enter")
    page.get_by_text("MUG-GREEN: -1 in stock.").wait_for()
    assert stock(shop, MUG) == (before[0] - 1, before[1])

    visit(page, desk, "shelves/")
    header = "sku,product,variant,category,kind,price,currency,stock"
    wrong = f"{header}\n{sku},Desk,,Things,physical,1.005,USD,3\n".encode()
    right = f"{header}\n{sku},Desk {width},,Things,physical,12.50,USD,3\n".encode()
    page.locator("input[type=file]").set_input_files({"name": "new.csv", "mimeType": "text/csv", "buffer": wrong})
    page.get_by_role("button", name="Check the file").click()
    page.get_by_text("line 2: price '1.005' is not an amount in USD.").wait_for()
    page.locator("input[type=file]").set_input_files({"name": "new.csv", "mimeType": "text/csv", "buffer": right})
    page.get_by_role("button", name="Check the file").click()
    page.get_by_text("1 to create, 0 to update").wait_for()
    assert shop.rows("SELECT 1 FROM catalog_productvariant WHERE sku = ?", sku) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Why").fill("new for spring")
    page.get_by_role("button", name="Import it").click()
    page.get_by_text("Imported: 1 created, 0 updated, 0 as they were.").wait_for()
    assert stock(shop, sku) == (3, 0)

    [(product,)] = shop.rows("SELECT product_id FROM catalog_productvariant WHERE sku = ?", sku)
    visit(page, desk, f"catalog/product/{product}/change/")
    page.get_by_label("Image url").fill("/static/storefront/pictures/mug.svg")
    page.get_by_label("Reason", exact=True).fill("it has a picture now")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was changed successfully").wait_for()
    with page.expect_download() as started:
        visit(page, desk, "shelves/")
        page.get_by_role("button", name="Export").click()
    assert sku in started.value.path().read_text(encoding="utf-8-sig")
    refused(page, desk, "orders/order/", f"orders/order/{order}/timeline/", "payment/payment/", "exports/")
    refused(
        page, desk, f"payment/payment/{bought['payment_id']}/refund/", "accounts/user/", "audit/auditentry/", "checks/"
    )


@pytest.mark.thorough
def test_owner_gives_rights_and_reads_who_did_what(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    page = sit_down("owner")
    visit(page, desk, "accounts/user/?q=viewer@desk.example")
    page.get_by_role("link", name="viewer@desk.example").click()
    page.get_by_label("Name").first.fill("Vera")
    page.get_by_label("Reason", exact=True).fill("she told us her name")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was changed successfully").wait_for()
    visit(page, desk, "audit/auditentry/?q=viewer@desk.example")
    page.get_by_text("she told us her name").wait_for()
    page.locator("#result_list tbody a").first.click()
    page.locator(".audit-changes").get_by_text("Vera").wait_for()
    assert page.get_by_role("button", name="Save", exact=True).count() == 0
    [(entry,)] = shop.rows("SELECT max(id) FROM audit_auditentry")
    refused(page, desk, f"audit/auditentry/{entry}/delete/", "audit/auditentry/add/", "payment/payment/add/")
    visit(page, desk, "auth/group/")
    page.get_by_text("Moves money: reads what a viewer does").wait_for()
    visit(page, desk, "axes/accesslog/")
    visit(page, desk, "otp_totp/totpdevice/")
    visit(page, desk, "outbox/delivery/")
