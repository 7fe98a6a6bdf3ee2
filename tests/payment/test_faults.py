"""Stripe fails in every way it can: nothing is lost, nothing is made twice."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.orders.models import Order
from apps.payment import gateway
from apps.payment.gateway import calls
from apps.payment.models import Payment
from apps.payment.services.provider import finish_unanswered
from tests.support.shop import Shop, Stripe, make_variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once, and a silent Stripe is given up after a second."""
    monkeypatch.setattr(calls.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(calls, "READ_SECONDS", 1.0)
    calls._client.cache_clear()


@pytest.fixture
def filled(shop: Shop, stripe_sandbox: Stripe) -> Shop:
    shop.add(make_variant("ONE", stock=1, price=1000))
    return shop


def sessions(stripe_sandbox: Stripe) -> list[dict[str, Any]]:
    return stripe_sandbox.sandbox.get("/v1/checkout/sessions", limit=100)["data"]


@pytest.mark.parametrize("kind", ["429", "500", "reset", "html", "timeout_before"])
def test_one_fault_is_overcome_by_the_next_try(filled: Shop, stripe_sandbox: Stripe, kind: str) -> None:
    stripe_sandbox.sandbox.faults(kind, seconds=2)
    answer = filled.checkout()
    assert answer.status_code == 201, answer.content
    assert len(sessions(stripe_sandbox)) == 1


@pytest.mark.parametrize("kind", ["429", "500", "reset", "html"])
def test_lasting_fault_answers_503_and_leaves_the_cart(filled: Shop, stripe_sandbox: Stripe, kind: str) -> None:
    stripe_sandbox.sandbox.faults(kind, times=20)
    answer = filled.checkout()
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_provider_unavailable")
    assert int(answer["Retry-After"]) >= 1
    assert filled.get("/api/cart/").json()["items_count"] == 1
    assert Order.objects.get().status == "pending"

    stripe_sandbox.sandbox.control("rules/clear")
    again = filled.checkout()
    assert again.status_code == 201, again.content
    assert Order.objects.count() == Payment.objects.count() == len(sessions(stripe_sandbox)) == 1


def test_lost_answer_gives_the_same_session_on_the_next_try(filled: Shop, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("timeout_after", seconds=2)
    answer = filled.checkout()
    assert answer.status_code == 201, answer.content
    assert [found["id"] for found in sessions(stripe_sandbox)] == [answer.json()["session_id"]]


def test_crash_between_row_and_answer_is_finished_by_work(
    filled: Shop, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gateway.create_checkout_session

    class Killed(BaseException):
        pass

    def dies_after_the_call(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(gateway, "create_checkout_session", dies_after_the_call)
    with pytest.raises(Killed):
        filled.checkout()
    monkeypatch.setattr(gateway, "create_checkout_session", real)
    assert Payment.objects.get().stripe_session_id is None

    Payment.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    assert finish_unanswered() == 1
    assert Payment.objects.get().stripe_session_id == sessions(stripe_sandbox)[0]["id"]
    assert filled.checkout().json()["session_id"] == sessions(stripe_sandbox)[0]["id"]
    assert len(sessions(stripe_sandbox)) == 1


def test_attempt_that_stripe_never_made_is_closed_and_a_new_one_opened(filled: Shop, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("reset", times=20)
    assert filled.checkout().status_code == 503
    stripe_sandbox.sandbox.control("rules/clear")
    payment = Payment.objects.get()
    params = json.loads(payment.request_params)
    params["expires_at"] -= 120  # as two minutes later: Stripe wants 30 minutes and they are no longer left
    Payment.objects.update(request_params=json.dumps(params))

    assert filled.checkout().status_code == 201
    assert sorted(Payment.objects.values_list("attempt", "status")) == [(1, "failed"), (2, "pending")]
    assert Order.objects.count() == len(sessions(stripe_sandbox)) == 1


def test_refusal_ends_the_order_and_keeps_the_cart(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("CHEAP", stock=3, price=10))
    answer = shop.checkout()
    assert (answer.status_code, answer.json()["code"]) == (400, "amount_too_small")
    order = Order.objects.get()
    assert (order.status, order.ended) == ("cancelled", "refused")
    assert order.items.get().variant.held == 0
    assert shop.get("/api/cart/").json()["items_count"] == 1


def test_gateway_refuses_to_call_inside_a_transaction(stripe_sandbox: Stripe) -> None:
    with transaction.atomic(), pytest.raises(gateway.CalledInsideTransaction):
        gateway.retrieve_checkout_session("cs_test_1")


def test_too_many_waiting_calls_turn_the_next_away(
    filled: Shop, stripe_sandbox: Stripe, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STRIPE_CALLS_AT_ONCE = 1
    calls._waiting.cache_clear()
    try:
        with calls._one_of_few():
            answer = filled.checkout()
        assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    finally:
        calls._waiting.cache_clear()


def test_status_answers_what_is_stored_when_stripe_is_away(filled: Shop, stripe_sandbox: Stripe) -> None:
    session_id = filled.checkout().json()["session_id"]
    stripe_sandbox.sandbox.faults("500", times=20)
    assert filled.status(session_id)["stripe_status"] == "open"


def test_status_asks_stripe_at_most_once_in_five_seconds(filled: Shop, stripe_sandbox: Stripe) -> None:
    session_id = filled.checkout().json()["session_id"]
    filled.status(session_id)
    stripe_sandbox.pay(session_id)
    assert filled.status(session_id)["stripe_status"] == "open"
    Payment.objects.update(asked_at=timezone.now() - timedelta(seconds=6))
    assert filled.status(session_id)["stripe_status"] == "paid"


def test_unfinished_attempts_are_not_counted_while_stripe_is_away(filled: Shop, stripe_sandbox: Stripe) -> None:
    """`work --once` goes on as long as something was done; it must end when nothing can be."""
    filled.checkout()
    Payment.objects.update(closing=True)
    stripe_sandbox.sandbox.faults("500", times=20)
    assert finish_unanswered() == 0
    stripe_sandbox.sandbox.control("rules/clear")
    assert finish_unanswered() == 1
    assert finish_unanswered() == 0
