"""Staff's second factor in a real browser: set up, asked for, recovered."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django_otp.oath import totp

from tests.browser.desk import Desk, base32, refused, visit

pytestmark = [pytest.mark.browser, pytest.mark.thorough]


@pytest.mark.parametrize("width", [390])
def test_second_factor_is_set_up_asked_for_and_recovered(desk: Desk, sit_down: Any, width: int) -> None:
    def fits(page: Any) -> bool:
        found: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        return found

    page = sit_down("support", width, desk.guarded)
    page.get_by_text("Scan this with an authenticator app").wait_for()
    assert fits(page)
    assert page.locator(".desk-picture svg").bounding_box()["width"] > 150
    assert page.locator(".desk-picture svg").evaluate(WHOLE), "an app has to see all three of its corners"
    secret = page.locator("p code").inner_text().replace(" ", "")
    key = base32(secret)
    page.goto(f"{desk.guarded}/admin/orders/order/")
    page.get_by_text("Scan this with an authenticator app").wait_for()
    page.get_by_role("textbox", name="Code").fill(f"{totp(key):06}")
    page.get_by_role("textbox", name="Code").press("Enter")
    page.get_by_text("Keep these recovery codes").wait_for()
    assert fits(page)
    codes = page.locator(".desk-codes code").all_inner_texts()
    assert len(set(codes)) == 10
    page.get_by_role("link", name="I have kept them, go on").click()
    page.wait_for_url(f"{desk.guarded}/admin/orders/order/")

    again = sit_down("support", width, desk.guarded)
    again.get_by_text("Enter the six digits").wait_for()
    assert fits(again)
    again.goto(f"{desk.guarded}/admin/payment/payment/")
    again.get_by_text("Enter the six digits").wait_for()
    # The app's next code: this half minute's was used to set it up.
    again.get_by_role("textbox", name="Code").fill(f"{totp(key, t0=-30):06}")
    again.get_by_role("button", name="Go on").click()
    again.wait_for_url(f"{desk.guarded}/admin/payment/payment/")
    again.goto(f"{desk.guarded}/admin/second-factor/")
    again.get_by_role("button", name="Sign out").click()
    again.wait_for_url(re.compile("/admin/login/"))

    without_phone = sit_down("support", width, desk.guarded)
    without_phone.get_by_role("textbox", name="Code").fill(codes[0])
    without_phone.get_by_role("button", name="Go on").click()
    without_phone.wait_for_url(f"{desk.guarded}/admin/")
    without_phone.get_by_role("heading", name="Needs attention").wait_for()
    last = sit_down("support", width, desk.guarded)
    last.get_by_role("textbox", name="Code").fill(codes[0])
    last.get_by_role("button", name="Go on").click()
    last.get_by_text("This is not right, or was used before.").wait_for()


def test_owner_takes_a_lost_second_factor_away(desk: Desk, sit_down: Any) -> None:
    page = sit_down("viewer", url=desk.guarded)
    key = base32(page.locator("p code").inner_text().replace(" ", ""))
    page.get_by_role("textbox", name="Code").fill(f"{totp(key):06}")
    page.get_by_role("textbox", name="Code").press("Enter")
    page.get_by_text("Keep these recovery codes").wait_for()
    sql = "SELECT d.id FROM otp_totp_totpdevice d JOIN accounts_user u ON u.id = d.user_id WHERE email = ?"
    [(device,)] = desk.shop.rows(sql, "viewer@desk.example")
    delete = f"otp_totp/totpdevice/{device}/delete/"
    refused(sit_down("support"), desk, delete)

    owner = sit_down("owner")
    visit(owner, desk, delete)
    owner.get_by_label("Why").fill("The phone is lost.")
    owner.get_by_role("button", name=re.compile("Yes, I.m sure")).click()
    owner.get_by_text("was deleted successfully").wait_for()
    assert desk.shop.rows(sql, "viewer@desk.example") == []
    again = sit_down("viewer", url=desk.guarded)
    again.get_by_text("Scan this with an authenticator app").wait_for()


WHOLE = """svg => {
    const [all, shown] = [svg.querySelector("path[stroke]"), svg].map(each => each.getBoundingClientRect());
    return all.width > 100 && all.right <= shown.right && all.bottom <= shown.bottom;
}"""
"""Nothing that is drawn lies outside of the picture."""
