"""Idempotency keys."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from tests.sandbox.conftest import refusal


def test_the_same_key_gives_the_same_answer(box):
    options = {"idempotency_key": "order-1"}
    first = box.stripe.v1.products.create({"name": "Tea"}, options)

    again = box.stripe.v1.products.create({"name": "Tea"}, options)

    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        box.stripe.v1.products.create({"name": "Coffee"}, options)
    assert len(box.stripe.v1.products.list().data) == 1
    box.control("advance", seconds=25 * 3600)
    assert box.stripe.v1.products.create({"name": "Tea"}, options).id != first.id


def test_declines_are_kept_and_refused_parameters_are_not(box):
    declined = {"amount": 500, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": True}
    seen = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            box.stripe.v1.payment_intents.create(declined, {"idempotency_key": "k"})
        seen.add(caught.value.error.payment_intent.id)
    assert len(seen) == 1

    assert refusal(box.stripe.v1.products.create, {"nam": "x"}, {"idempotency_key": "p"})[0] == "parameter_unknown"
    assert box.stripe.v1.products.create({"name": "x"}, {"idempotency_key": "p"}).name == "x"


def test_calls_at_once_under_one_key_run_once(box):
    barrier = threading.Barrier(8)

    def create(number):
        barrier.wait()
        return box.raw("POST", "/v1/payment_intents", "amount=500&currency=usd", Idempotency_Key="same").status_code

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(8)))

    assert set(results) <= {200, 409}
    assert 200 in results
    assert len(box.stripe.v1.payment_intents.list().data) == 1


def test_the_order_of_parameters_does_not_matter(box):
    first = box.raw("POST", "/v1/products", "name=Tea&metadata[a]=1&metadata[b]=2", Idempotency_Key="k")
    again = box.raw("POST", "/v1/products", "metadata[b]=2&name=Tea&metadata[a]=1", Idempotency_Key="k")

    assert (first.status_code, again.text) == (200, first.text)
