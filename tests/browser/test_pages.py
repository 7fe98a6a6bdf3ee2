"""Every page on a phone and on a desktop: headings, labels, width, console, keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.shop import Shop
from tests.browser.steps import MUG, check_out, put_mug_into_cart

pytestmark = pytest.mark.browser
PAGES = [
    "/",
    "/?search=mug",
    "/?search=nothing-like-this",
    "/?category=coffee&ordering=-price",
    "/products/compile-time-mug/",
    "/products/no-such-thing/",
    "/cart/",
    "/checkout/success",
    "/checkout/success?session_id=cs_test_unknown",
    "/checkout/cancel",
    "/orders/",
    "/orders/ORD-20260101-00001",
    "/checkout/",
    "/payments/",
    "/payments/7",
    "/cards/",
    "/courses/",
    "/sign-in/",
    "/register/",
    "/password-reset",
    "/password-reset/#uid=MQ&token=abc",
]
# A control without a name is silence to a screen reader.
NAMELESS = """() => [...document.querySelectorAll("input, select, button, a")]
  .filter((e) => e.checkVisibility() && !(e.labels?.length || e.getAttribute("aria-label") || e.innerText?.trim()))
  .map((e) => e.outerHTML)"""
# Links inside sentences are exempt, as in WCAG 2.5.8; everything that looks like a control is not. Of radio buttons
# and boxes to tick, the label is what is pressed.
SMALL = """() => [...document.querySelectorAll(
    "button, select, input, textarea, .nav a, .chips a, .links a, a.button, .bottom a")]
  .map((e) => (["radio", "checkbox"].includes(e.type) ? e.labels[0] : e))
  .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 44)
  .map((e) => `${e.outerHTML.slice(0, 80)} ${e.getBoundingClientRect().height}`)"""

# The catalogue's heading greets; its window is called Shop.
TITLED = """() => document.title.startsWith("Shop ")
  || document.title.startsWith(document.querySelector("h1").textContent)"""


def problems(page: Any) -> dict[str, Any]:
    page.locator("[aria-busy=true]").first.wait_for(state="detached")
    return {
        "headings": page.locator("h1").count(),
        "titled": page.evaluate(TITLED),
        "nameless": page.evaluate(NAMELESS),
        "small": page.evaluate(SMALL),
        "fits": page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
    }


SOUND = {"headings": 1, "titled": True, "nameless": [], "small": [], "fits": True}


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.thorough)])
def test_every_page_is_sound(shop: Shop, new_page: Callable[..., Any], width: int) -> None:
    page = new_page(width)
    for path in PAGES:
        page.goto(f"{shop.url}{path}")
        assert (path, problems(page)) == (path, SOUND)
    put_mug_into_cart(page, shop)
    page.get_by_role("button", name="Check out").wait_for()
    assert problems(page) == SOUND
    check_out(page)
    page.get_by_role("link", name="Back").click()
    page.get_by_role("button", name="Pay now").wait_for()
    assert problems(page) == SOUND
    page.get_by_role("link", name="See the order").click()
    page.get_by_role("button", name="Cancel order").wait_for()
    assert problems(page) == SOUND
    page.get_by_role("button", name="Cancel order").click()
    page.get_by_text("Cancelled, not paid").wait_for()


def test_keyboard_reaches_the_content_first_and_buys_without_a_mouse(shop: Shop, page: Any) -> None:
    page.goto(f"{shop.url}/?search=mug")
    page.get_by_role("link", name=MUG, exact=True).wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("link", name=MUG, exact=True).focus()
    page.keyboard.press("Enter")
    add = page.get_by_role("button", name="Add to cart")
    add.focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("status").filter(has_text="is in your cart").inner_text().startswith(MUG)
    page.goto(f"{shop.url}/cart/")
    more = page.get_by_role("button", name="One more: Quantity of Compile Time Mug")
    more.focus()
    page.keyboard.press("Enter")
    page.get_by_text("Subtotal (2 items)").wait_for()
    assert more.evaluate("e => e === document.activeElement")


def test_busy_payment_page_loses_nothing(shop: Shop, page: Any) -> None:
    put_mug_into_cart(page, shop)
    page.get_by_role("button", name="Check out").wait_for()
    shop.sandbox.faults("500", times=20)
    page.get_by_role("button", name="Check out").click()
    alert = page.get_by_role("alert")
    alert.wait_for(timeout=40_000)
    shop.sandbox.control("rules/clear")
    assert "Your cart is kept and nothing was charged." in alert.inner_text()
    check_out(page)


def test_stock_that_ran_out_is_said_by_name(shop: Shop, page: Any) -> None:
    put_mug_into_cart(page, shop)
    count = page.get_by_label("Quantity of Compile Time Mug Green, 350 ml", exact=True).locator("input")
    count.fill("999")
    count.press("Enter")
    # The field itself knows how many there are, and takes the most that can be had.
    [(available,)] = shop.rows("SELECT stock - held FROM catalog_productvariant WHERE sku = 'MUG-GREEN'")
    page.get_by_text(f"Subtotal ({available} items)").wait_for()
    assert count.input_value() == str(available)
