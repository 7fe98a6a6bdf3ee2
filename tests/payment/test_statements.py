"""What the busy calls cost in statements, whatever the number of lines. docs/performance.md has the budgets."""

from __future__ import annotations

from typing import Any

import pytest

from apps.payment.models import Payment
from apps.payment.services import webhook_secrets
from apps.payment.webhooks import inbox
from tests.support.shop import Shop, Stripe, deliver, make_user, make_variant
from tests.support.statements import statements

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[1, 20], ids=["one line", "twenty lines"])
def filled(request: Any, shop: Shop, stripe_sandbox: Stripe) -> Shop:
    for number in range(request.param):
        shop.add(make_variant(f"S-{number}", stock=50))
    return shop


def test_cart_add(filled: Shop) -> None:
    variant = make_variant("MORE", stock=50)
    with statements() as count:
        assert filled.add(variant).status_code == 201
    assert count() == 8


def test_cart_read(filled: Shop) -> None:
    with statements() as count:
        filled.get("/api/cart/")
    assert count() == 3


def test_checkout(filled: Shop) -> None:
    with statements() as count:
        assert filled.checkout().status_code == 201
    assert count() == 20


@pytest.mark.parametrize(("path", "budget"), [("orders", 5), ("payment/payments", 3), ("payment/refunds", 4)])
def test_lists(stripe_sandbox: Stripe, path: str, budget: int) -> None:
    """The page, its count and what its rows need, for one row as for six."""
    buyer = Shop(make_user())
    variant = make_variant("MUG", stock=50)

    def read(rows: int) -> int:
        with statements() as count:
            answer = buyer.get(f"/api/{path}/")
        assert len(answer.json()["results"]) == rows
        return count()

    for rows in (1, 6):
        while Payment.objects.count() < rows:
            buyer.add(variant)
            buyer.buy(stripe_sandbox)
            refund = {"payment_id": Payment.objects.latest("pk").pk, "reason": "other", "description": "Broken."}
            assert buyer.post("/api/payment/refunds/", refund).status_code == 202
        assert read(rows) == budget


def test_status(filled: Shop, stripe_sandbox: Stripe) -> None:
    session_id = filled.checkout().json()["session_id"]
    filled.status(session_id)
    with statements() as count:
        filled.status(session_id)
    assert count() == 2


def test_acknowledging_an_event(filled: Shop, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch) -> None:
    stripe_sandbox.pay(filled.checkout().json()["session_id"])
    monkeypatch.setattr(inbox, "_wake", None)
    monkeypatch.setattr(webhook_secrets, "_noted", {})
    first, *others = stripe_sandbox.new_events()
    with statements() as count:
        deliver(first)
    assert count() == 2, "once a minute, the secret that verified is noted"
    assert len(others) > 2
    for event in others:
        with statements() as count:
            deliver(event)
        assert count() == 1


def test_settling_an_event(filled: Shop, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch) -> None:
    stripe_sandbox.pay(filled.checkout().json()["session_id"])
    monkeypatch.setattr(inbox, "_wake", inbox.try_at_once)
    events = {event["type"]: event for event in stripe_sandbox.new_events()}
    deliver(events["payment_intent.created"])  # by now the secret is noted for this minute
    with statements() as count:
        deliver(events["checkout.session.completed"])
    assert Payment.objects.get().applied
    assert count() == 16
