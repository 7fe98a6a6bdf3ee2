"""One demo for all journeys; a fresh browser profile for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.desk import PASSWORD, PEOPLE, Desk, answers
from tests.browser.shop import Shop, eventually, free_port


@pytest.fixture(scope="session")
def shop(browser: Any) -> Iterator[Shop]:
    with Shop() as running:
        yield running


@pytest.fixture
def new_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page of a visitor's own. Whatever a page says on the console fails the test.

    A refused call of the API is written there by the browser itself; it is the shop's business what follows.
    """
    said: list[str] = []
    contexts = []

    def listen(message: Any) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            said.append(f"{message.type}: {message.text}")

    def make(width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 844}, **options)
        context.set_default_timeout(40_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    return new_page()


@pytest.fixture(scope="session")
def desk(shop: Shop) -> Desk:
    shop.manage("shell", "-c", PEOPLE)
    port = free_port()
    before = dict(shop.environment)
    shop.environment |= {"STAFF_SECOND_FACTOR": "on", "CAPTURE_METHOD": "manual"}
    shop.environment |= {"RATE_LIMITS": "on", "OPEN_ORDERS": "100", "CHECKOUT_RATE": "1000/hour"}
    shop.start("runserver", "--noreload", str(port))
    shop.environment.clear()
    shop.environment.update(before)
    guarded = f"http://127.0.0.1:{port}"
    eventually(lambda: answers(guarded), 60)
    return Desk(shop, guarded)


@pytest.fixture
def sit_down(desk: Desk, new_page: Callable[..., Any]) -> Callable[..., Any]:
    """The signed-in page of somebody with a role."""

    def open_page(role: str, width: int = 1280, url: str = "", **options: Any) -> Any:
        page = new_page(width, **options)
        page.goto(f"{url or desk.shop.url}/admin/")
        page.locator("[name=username]").fill(f"{role}@desk.example")
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("[name=password]").press("Enter")
        page.wait_for_url(re.compile(r"/admin/(second-factor/.*)?$"))
        return page

    return open_page
