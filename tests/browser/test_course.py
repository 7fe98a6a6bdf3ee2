"""A course in a real browser: bought, worked through, and gone when its money goes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.browser.shop import Shop, eventually
from tests.browser.steps import check_out, pay_by_card, put_mug_into_cart, sign_up, thanked
from tests.browser.test_pages import SOUND, problems

pytestmark = pytest.mark.browser
VISA = "4242424242424242"
DP, FSD = "Data Professional", "Full-Stack Developer"
STAFF = ("admin@example.com", "quiet-heron-77")


def status(shop: Shop, email: str) -> list[tuple[str, str]]:
    """Track and status of every enrollment of a person."""
    sql = (
        "SELECT t.code, e.status FROM enrollment_enrollment e JOIN enrollment_track t ON t.id = e.track_id"
        " JOIN accounts_user u ON u.id = e.user_id WHERE u.email = ? ORDER BY t.code"
    )
    return shop.rows(sql, email)


def give_back(shop: Shop, number: str) -> None:
    """Staff refunds a whole order over the API."""
    code = "from apps.accounts.models import User; u = User.objects.get(email='{}'); u.set_password('{}'); u.save()"
    shop.manage("shell", "-c", code.format(*STAFF))
    signed_in = requests.post(
        f"{shop.url}/api/auth/login/", json=dict(zip(("email", "password"), STAFF, strict=True)), timeout=30
    ).json()
    [(payment,)] = shop.rows(
        "SELECT p.id FROM payment_payment p JOIN orders_order o ON o.id = p.order_id WHERE o.number = ? AND applied",
        number,
    )
    answer = requests.post(
        f"{shop.url}/api/payment/refunds/",
        json={"payment_id": payment},
        headers={"Authorization": f"Token {signed_in['token']}"},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text


def project(page: Any, title: str) -> Any:
    return page.locator(".project").filter(has=page.get_by_role("heading", name=title))


def test_guest_is_told_to_sign_in_then_buys_learns_and_is_refunded(shop: Shop, new_page: Callable[..., Any]) -> None:
    page = new_page()
    email = "learner@example.com"
    page.goto(f"{shop.url}/?category=courses")
    page.get_by_role("link", name=DP, exact=True).click()
    page.get_by_text("It belongs to an account: sign in before you check out.").wait_for()
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="View cart").click()
    page.get_by_role("button", name="Check out").click()
    told = page.get_by_role("alert")
    told.wait_for()
    assert told.inner_text() == f"Sign in first: {DP} belongs to an account. Sign in"
    told.get_by_role("link", name="Sign in").click()
    page.get_by_role("link", name="Make an account").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill("sunny-otter-42")
    page.get_by_role("button", name="Make the account").click()
    page.wait_for_url(f"{shop.url}/cart/")
    check_out(page)
    pay_by_card(page, VISA)
    number = thanked(page)
    eventually(lambda: status(shop, email) == [("DP", "enrolled")])

    page.get_by_role("link", name="Courses").click()
    page.get_by_role("heading", name=DP).wait_for()
    page.get_by_text("0 of 10 steps done").wait_for()
    assert [badge.inner_text() for badge in page.locator("#courses .badge").all()] == [
        "Enrolled",
        "0 of 3",
        "Locked",
        "Locked",
    ]
    first, second = project(page, "1. Clean a year of ride data"), project(page, "2. Answer three questions with SQL")
    assert second.get_by_role("button").count() == 0
    for left in (3, 2, 1):
        buttons = first.get_by_role("button", name="Mark as done")
        assert buttons.count() == left
        buttons.first.click()
        page.get_by_text(f"{4 - left} of 10 steps done").wait_for()
    page.get_by_role("status").get_by_text("Project 2 is open: Answer three questions with SQL.").wait_for()
    assert first.locator(".badge").inner_text() == "Finished"
    assert second.get_by_role("button", name="Mark as done").count() == 4
    on = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert on == "Mark as done: Draw the tables and how they belong together"
    assert problems(page) == SOUND
    phone = new_page(390)
    phone.context.add_cookies(page.context.cookies())
    phone.goto(shop.url)
    for key in ("proshop.token", "proshop.user"):
        value = page.evaluate("key => localStorage.getItem(key)", key)
        phone.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, value])
    phone.goto(f"{shop.url}/courses/")
    phone.get_by_text("3 of 10 steps done").wait_for()
    assert problems(phone) == SOUND

    give_back(shop, number)
    eventually(lambda: status(shop, email) == [("DP", "withdrawn")])
    second.get_by_role("button", name="Mark as done").first.click()
    assert page.get_by_role("alert").inner_text() == "Your enrollment is withdrawn."
    page.reload()
    page.get_by_text("The payment for this course went back, so it has ended.").wait_for()
    page.get_by_text("3 of 10 steps done").wait_for()
    assert page.get_by_role("button", name="Mark as done").count() == 0
    assert page.get_by_role("button", name=f"Buy again: {DP}").is_visible()
    assert problems(page) == SOUND


def test_course_is_bought_from_its_page_and_the_cart_stays(shop: Shop, page: Any) -> None:
    email = "second@example.com"
    sign_up(page, shop, email)
    put_mug_into_cart(page, shop)
    page.goto(f"{shop.url}/courses/")
    page.get_by_role("heading", name="No course yet").wait_for()
    page.get_by_role("button", name=f"Buy this course: {FSD}").click()
    page.get_by_role("heading", name="Your order", exact=True).wait_for()
    pay_by_card(page, VISA)
    thanked(page)
    eventually(lambda: status(shop, email) == [("FSD", "enrolled")])
    page.get_by_role("link", name="Courses").click()
    page.get_by_role("heading", name=FSD).wait_for()
    assert page.get_by_role("button", name=f"Buy this course: {FSD}").count() == 0
    assert page.get_by_role("button", name=f"Buy this course: {DP}").count() == 1
    page.goto(f"{shop.url}/cart/")
    page.get_by_text("Subtotal (1 item)").wait_for()


def test_bought_in_another_tab_is_said_and_shown(shop: Shop, page: Any) -> None:
    """The page was open before the course was bought elsewhere."""
    email = "third@example.com"
    sign_up(page, shop, email, then="/courses/")
    page.get_by_role("heading", name="No course yet").wait_for()
    other = page.context.new_page()
    other.goto(f"{shop.url}/courses/")
    other.get_by_role("button", name=f"Buy this course: {DP}").click()
    other.get_by_role("heading", name="Your order", exact=True).wait_for()
    pay_by_card(other, VISA)
    thanked(other)
    eventually(lambda: status(shop, email) == [("DP", "enrolled")])
    page.get_by_role("button", name=f"Buy this course: {DP}").click()
    assert page.get_by_role("alert").inner_text() == "You are enrolled in this track already."
    page.get_by_text("0 of 10 steps done").wait_for()
