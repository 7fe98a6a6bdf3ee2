"""One demo for all journeys; a fresh browser profile for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.shop import Shop


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
