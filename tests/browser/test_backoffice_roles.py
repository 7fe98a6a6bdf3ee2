"""What each role finds on the pages of the day's work, what it is refused there, and the tasks of few."""

from __future__ import annotations

import csv
import io
import re
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.desk import (
    DEAD,
    PASSWORD,
    ROLES,
    Desk,
    ask_back,
    buy,
    choose,
    numbers_of,
    pay_late,
    place,
    refused,
    visit,
)
from tests.browser.shop import eventually
from tests.browser.test_admin_payments import refunds_of

pytestmark = [pytest.mark.browser, pytest.mark.thorough]

SELLS = {"viewer", "support", "finance", "owner"}
CASES = {"support", "finance", "owner"}
MONEY = {"finance", "owner"}
HELP = {"support", "owner"}
SHELVES = {"catalogue", "owner"}

OFFERED: dict[str, tuple[set[str], dict[str, set[str]]]] = {
    # Page: who sees it, and whom its head offers what.
    "orders/order/{paid}/change/": (
        SELLS,
        {"Timeline": SELLS, "E-mails and invoices": CASES, "Refund": MONEY, "Ship": HELP},
    ),
    "orders/order/{waiting}/change/": (
        SELLS,
        {"Timeline": SELLS, "E-mails and invoices": CASES, "New payment link": HELP, "Cancel": HELP},
    ),
    "payment/payment/{payment}/change/": (SELLS, {"Refund": MONEY}),
    "payment/payment/{reserved}/change/": (SELLS, {"Take the money": MONEY, "Give the reservation up": MONEY}),
    "payment/refund/{asked}/change/": (SELLS, {"Approve": MONEY, "Reject": MONEY}),
    "payment/dispute/{dispute}/change/": (SELLS, {"Evidence": MONEY, "Accept": MONEY}),
    "payment/attentioncase/{case}/change/": (SELLS, {"Take": CASES, "Note": CASES, "Solve": CASES}),
    "payment/stripewebhookevent/{event}/change/": (SELLS, {"Replay": MONEY}),
    "catalog/productvariant/{variant}/change/": (SELLS | SHELVES, {"Stock": SHELVES}),
}
TASKS: dict[str, set[str]] = {
    "orders/order/{paid}/timeline/": SELLS,
    "orders/order/{paid}/papers/": CASES,
    "orders/order/{paid}/ship/": HELP,
    "orders/order/{paid}/refund/": MONEY,
    "orders/order/{waiting}/cancel/": HELP,
    "orders/order/{waiting}/pay-link/": HELP,
    "payment/payment/{payment}/refund/": MONEY,
    "payment/payment/{reserved}/capture/": MONEY,
    "payment/payment/{reserved}/release/": MONEY,
    "payment/refund/{asked}/approve/": MONEY,
    "payment/refund/{asked}/reject/": MONEY,
    "payment/dispute/{dispute}/evidence/": MONEY,
    "payment/dispute/{dispute}/accept/": MONEY,
    "payment/attentioncase/{case}/take/": CASES,
    "payment/attentioncase/{case}/note/": CASES,
    "payment/attentioncase/{case}/solve/": CASES,
    "payment/stripewebhookevent/{event}/replay/": MONEY,
    "catalog/productvariant/{variant}/stock/": SHELVES,
    "shelves/": SHELVES,
    "exports/": MONEY,
    "exports/month-end/": MONEY,
    "accounts/erasure/ask/": {"owner"},
    "accounts/user/add/": {"owner"},
}
READ: dict[str, set[str]] = {
    "endpoint/": SELLS,
    "checks/": SELLS,
    "audit/auditentry/": {"owner"},
    "axes/accesslog/": {"owner"},
    "axes/accessfailurelog/": {"owner"},
    "otp_totp/totpdevice/": {"owner"},
    "auth/group/": {"owner"},
    "accounts/user/": HELP,
    "notifications/mail/": HELP,
    "invoices/document/": CASES,
}
MENU = {
    "viewer": ["Dashboard", "Checks", "Webhook endpoint"],
    "support": ["Dashboard", "Checks", "Webhook endpoint"],
    "finance": ["Dashboard", "Exports", "Checks", "Webhook endpoint"],
    "catalogue": ["Dashboard", "Import and export"],
    "owner": ["Dashboard", "Exports", "Import and export", "Checks", "Webhook endpoint"],
}


@pytest.fixture(scope="module")
def things(desk: Desk) -> dict[str, int]:
    """One of each thing that a page is about, in a state in which there is something to do."""
    shop = desk.shop
    bought, disputed = buy(shop), buy(shop, method="pm_card_createDispute")
    held = place(shop, desk.guarded)
    shop.sandbox.pay(held["session_id"])

    def number(sql: str, value: Any) -> int:
        return int(eventually(lambda: shop.rows(sql, value))[0][0])

    paid, variant = numbers_of(shop, bought)
    case = number("SELECT id FROM payment_attentioncase WHERE payment_id = ?", disputed["payment_id"])
    [(event,)] = shop.rows("SELECT max(id) FROM payment_stripewebhookevent WHERE state = 'done'")
    shop.manage("shell", "-c", DEAD.format(event))
    return {
        "paid": paid,
        "variant": variant,
        "waiting": numbers_of(shop, place(shop))[0],
        "payment": bought["payment_id"],
        "reserved": number(
            "SELECT id FROM payment_payment WHERE stripe_session_id = ? AND intent_status = 'requires_capture'",
            held["session_id"],
        ),
        "asked": ask_back(shop, bought),
        "dispute": number("SELECT id FROM payment_dispute WHERE payment_id = ?", disputed["payment_id"]),
        "case": case,
        "event": event,
    }


@pytest.mark.parametrize("role", ROLES)
def test_role_is_offered_its_tasks_and_refused_the_rest(
    desk: Desk, things: dict[str, int], sit_down: Callable[..., Any], role: str
) -> None:
    page = sit_down(role)
    assert page.locator("#nav-sidebar-apps ol").first.locator("a > span:not([class])").all_inner_texts() == MENU[role]
    names = {name for _, offers in OFFERED.values() for name in offers}
    for path, (readers, offers) in OFFERED.items():
        address = path.format(**things)
        if role not in readers:
            refused(page, desk, address)
            continue
        visit(page, desk, address)
        found = {name for name in names if page.get_by_role("link", name=name, exact=True).count()}
        assert found == {name for name, roles in offers.items() if role in roles}, path

    ask = page.context.request
    tasks = TASKS | READ
    seen = {path: ask.get(f"{desk.shop.url}/admin/{path.format(**things)}").status for path in tasks}
    assert seen == {path: 200 if role in roles else 403 for path, roles in tasks.items()}
    # Sending the form without having seen the page helps nobody either; the token that goes with it is good.
    [token] = [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "csrftoken"]
    send = {"form": {"confirm": "1", "note": "x", "reason": "x"}, "headers": {"X-CSRFToken": token}}
    assert ask.post(f"{desk.shop.url}/admin/password_change/", **send).status == 200
    others = {path for path, roles in TASKS.items() if role not in roles}
    sent = {path: ask.post(f"{desk.shop.url}/admin/{path.format(**things)}", **send).status for path in others}
    assert sent == dict.fromkeys(others, 403)
    if role != "owner":
        page.goto(f"{desk.shop.url}/admin/accounts/erasure/ask/")
        page.get_by_text("Your roles do not include this page. Nothing was changed.").wait_for()
    if role not in MONEY:
        assert ask.post(f"{desk.shop.url}/admin/endpoint/", **send).status == 403


def test_finance_approves_a_request_and_answers_a_dispute(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    bought, disputed = buy(shop), buy(shop, method="pm_card_createDispute")
    asked = ask_back(shop, bought)
    [(dispute,)] = eventually(
        lambda: shop.rows("SELECT id FROM payment_dispute WHERE payment_id = ?", disputed["payment_id"])
    )
    page = sit_down("finance")
    visit(page, desk, f"payment/refund/{asked}/change/")
    choose(page, "Approve")
    page.get_by_role("button", name="Approve").click()
    page.get_by_text("1.00 USD, approved. The refund's status is now: succeeded.").wait_for()
    assert refunds_of(shop, bought) == [("succeeded", 100, "buyer")]

    visit(page, desk, f"payment/dispute/{dispute}/change/")
    choose(page, "Evidence")
    page.get_by_label("Shipping carrier").fill("Post")
    page.get_by_role("button", name="Save draft").click()
    page.get_by_text("draft", exact=False).first.wait_for()
    assert shop.rows("SELECT decision FROM payment_dispute WHERE id = ?", dispute) == [("",)]
    visit(page, desk, f"payment/dispute/{dispute}/change/")
    choose(page, "Submit")
    page.get_by_role("button", name="Submit for good").click()
    page.get_by_text("Submitted the evidence.").wait_for()


def test_finance_takes_the_month_and_the_payments_away(desk: Desk, sit_down: Any) -> None:
    buy(desk.shop)
    page = sit_down("finance")
    visit(page, desk, f"exports/month-end/?month={time.strftime('%Y-%m', time.gmtime())}")
    with page.expect_download() as started:
        page.get_by_role("button", name="Export this month").click()
    rows = list(csv.reader(io.StringIO(started.value.path().read_text(encoding="utf-8-sig"))))
    assert ["difference"] in [[cell for cell in row if cell == "difference"] for row in rows]
    visit(page, desk, "exports/")
    page.get_by_label("Table", exact=True).select_option(label="Payments")
    page.get_by_label("Format", exact=True).select_option("xlsx")
    with page.expect_download() as started:
        page.get_by_role("button", name="Export").click()
    assert "xl/workbook.xml" in zipfile.ZipFile(started.value.path()).namelist()


def test_owner_forgets_a_person_after_a_look(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    shop.manage("shell", "-c", "from apps.accounts.models import User; User.objects.create_user('gone@desk.example')")
    page = sit_down("owner")
    visit(page, desk, "accounts/erasure/")
    choose(page, "Forget a person")
    page.get_by_label("E-mail address").fill("gone@desk.example")
    page.get_by_role("button", name="Look what is held").click()
    page.get_by_text("What is held of gone@desk.example").wait_for()
    page.get_by_label("The same address again").fill("other@desk.example")
    page.get_by_label("Why").fill("request 17")
    page.get_by_role("button", name="Forget this person").click()
    page.get_by_text("This is another address.").wait_for()
    assert shop.rows("SELECT 1 FROM accounts_user WHERE email = 'gone@desk.example'") == [(1,)]
    page.get_by_label("The same address again").fill("gone@desk.example")
    page.get_by_role("button", name="Forget this person").click()
    page.get_by_text("stands for this person from now on").wait_for()
    eventually(lambda: not shop.rows("SELECT 1 FROM accounts_user WHERE email = 'gone@desk.example'"))


def test_sign_ins_are_kept_for_the_owner_alone(desk: Desk, new_page: Any, sit_down: Any) -> None:
    visitor = new_page()
    visitor.goto(f"{desk.guarded}/admin/")
    for password in ("not my password", PASSWORD):
        visitor.locator("[name=username]").fill("viewer@desk.example")
        visitor.locator("[name=password]").fill(password)
        visitor.locator("[name=password]").press("Enter")
        expected = "Please enter the correct" if password != PASSWORD else "Scan this with"
        visitor.get_by_text(re.compile(expected)).first.wait_for()
    page = sit_down("owner")
    for path in ("axes/accesslog/", "axes/accessfailurelog/"):
        visit(page, desk, f"{path}?q=viewer@desk.example")
        row = page.get_by_role("row").filter(has_text="viewer@desk.example").first
        assert "127.0.0.1" in row.inner_text()
        row.get_by_role("link").first.click()
        page.get_by_text("User Agent", exact=False).first.wait_for()
        assert page.get_by_role("button", name="Save", exact=True).count() == 0
    [(kept, wrong)] = desk.shop.rows(
        "SELECT (SELECT count(*) FROM axes_accesslog WHERE username = 'viewer@desk.example'),"
        " (SELECT count(*) FROM axes_accessfailurelog WHERE username = 'viewer@desk.example')"
    )
    assert (kept, wrong) == (1, 1)
    support = sit_down("support")
    refused(support, desk, "axes/accesslog/", "axes/accessfailurelog/", "axes/accessattempt/")


def test_late_money_is_applied_by_finance_and_not_by_support(desk: Desk, sit_down: Any) -> None:
    bought, case = pay_late(desk.shop)
    page = sit_down("support")
    visit(page, desk, f"payment/attentioncase/{case}/change/")
    assert page.get_by_role("link", name="Apply", exact=True).count() == 0
    refused(page, desk, f"payment/attentioncase/{case}/apply/")

    page = sit_down("finance", 390)
    visit(page, desk, f"payment/attentioncase/{case}/change/")
    choose(page, "Apply")
    page.get_by_text("is paid and confirmed, and its goods are sold.").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Why").fill("the goods are on the shelf")
    page.get_by_role("button", name="Apply 14.50 USD").click()
    page.get_by_text(f"14.50 USD is applied: order {bought['order_number']} is paid.").wait_for()
    paid = "SELECT 1 FROM orders_order WHERE number = ? AND (status, payment_status) = ('confirmed', 'paid')"
    assert desk.shop.rows(paid, bought["order_number"])
    assert page.get_by_role("link", name="Apply", exact=True).count() == 0


def test_finance_says_which_lines_a_refund_of_the_dashboard_was_for(desk: Desk, sit_down: Any) -> None:
    shop = desk.shop
    bought = buy(shop, 2)
    [(intent,)] = shop.rows("SELECT stripe_payment_intent_id FROM payment_payment WHERE id = ?", bought["payment_id"])
    shop.sandbox.control("refund", payment_intent=intent, amount=1450)
    sql = "SELECT id FROM payment_refund WHERE payment_id = ? AND status = 'succeeded'"
    [(refund,)] = eventually(lambda: shop.rows(sql, bought["payment_id"]))
    page = sit_down("finance", 390)
    visit(page, desk, f"payment/refund/{refund}/change/")
    choose(page, "Assign lines")
    page.get_by_label(re.compile("^Quantity")).fill("1")
    page.get_by_role("button", name="Assign").click()
    page.get_by_text("The lines are assigned.").wait_for()
    assert shop.rows("SELECT quantity FROM payment_refunditem WHERE refund_id = ?", refund) == [(1,)]
    refused(sit_down("support"), desk, f"payment/refund/{refund}/assign/")
