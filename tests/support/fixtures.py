"""Fixtures that many folders share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apps.payment.invariants import verify
from tests.support.sandbox import Sandbox
from tests.support.shop import Shop, Stripe


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def stripe_sandbox(sandbox_process: Sandbox, settings: Any) -> Stripe:
    """An empty sandbox that the shop's gateway talks to over HTTP."""
    sandbox_process.control("reset")
    sandbox_process.control("rules/clear")
    settings.STRIPE_API_BASE = sandbox_process.address
    return Stripe(sandbox_process)


@pytest.fixture
def shop(db: None) -> Shop:
    """An anonymous buyer's frontend."""
    return Shop()


@pytest.fixture
def invariants(transactional_db: None) -> Iterator[None]:
    """After the test, everything that must always be true is."""
    yield
    assert verify() == []
