"""The same key does its work once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.common import idempotency
from apps.common.models import IdempotencyKey
from apps.orders.models import Order
from tests.support.shop import Shop, Stripe, in_parallel, make_user, make_variant

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/payment/checkout/"


@pytest.fixture
def buyer(shop: Shop, stripe_sandbox: Stripe) -> Shop:
    shop.add(make_variant(stock=5))
    return shop


def keyed(shop: Shop, key: str = "k-1", **body: Any) -> Any:
    return shop.post(PATH, body, **{"Idempotency-Key": key})


def test_replay_gives_the_same_answer_and_says_so(buyer: Shop) -> None:
    first, second = keyed(buyer), keyed(buyer)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert (first.get("Idempotent-Replayed"), second["Idempotent-Replayed"]) == (None, "true")
    row = IdempotencyKey.objects.get()
    assert row.lease_until is None
    assert first.json()["order_token"] not in str(IdempotencyKey.objects.values())


def test_other_request_under_the_key_is_422(buyer: Shop) -> None:
    keyed(buyer)
    answer = keyed(buyer, email="other@example.com")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_key_of_nobody_is_refused(db: None) -> None:
    answer = keyed(Shop())
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_needs_caller")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_odd_keys_are_refused(buyer: Shop, key: str) -> None:
    assert keyed(buyer, key).status_code == 400


def test_the_same_key_of_another_caller_is_another_key(buyer: Shop) -> None:
    keyed(buyer)
    other = Shop()
    other.add(make_variant("CUP"))
    assert keyed(other).status_code == 201
    assert Order.objects.count() == 2


def test_refusal_after_work_began_is_kept(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant(stock=1, price=10))
    first, second = keyed(shop), keyed(shop)
    assert (first.status_code, second.status_code) == (400, 400)
    assert second.json()["code"] == first.json()["code"] == "amount_too_small"
    assert second["Idempotent-Replayed"] == "true"
    assert Order.objects.count() == 1


def test_failure_that_may_pass_is_not_kept(buyer: Shop, stripe_sandbox: Stripe, monkeypatch: Any) -> None:
    monkeypatch.setattr("apps.payment.gateway.calls.time.sleep", lambda seconds: None)
    stripe_sandbox.sandbox.faults("500", times=20)
    assert keyed(buyer).status_code == 503
    assert IdempotencyKey.objects.count() == 0
    stripe_sandbox.sandbox.control("rules/clear")
    assert keyed(buyer).status_code == 201


def test_first_run_still_at_work_is_409_and_a_dead_one_is_taken_over(buyer: Shop) -> None:
    keyed(buyer)
    IdempotencyKey.objects.update(lease_until=timezone.now() + timedelta(seconds=30), status=None)
    answer = keyed(buyer)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_use")
    IdempotencyKey.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert keyed(buyer).status_code == 201
    assert Order.objects.count() == 1


def test_key_is_free_again_after_a_day(buyer: Shop) -> None:
    keyed(buyer)
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert idempotency.forget_expired() == 1


@pytest.mark.race
def test_key_used_twenty_times_at_once_makes_one_order(stripe_sandbox: Stripe) -> None:
    user = make_user()
    mug = make_variant(stock=50)
    Shop(user).add(mug)
    answers = in_parallel([lambda: keyed(Shop(user)) for _ in range(20)], threads=8)
    codes = sorted({answer.status_code for answer in answers})
    assert set(codes) <= {201, 409}
    assert 201 in codes
    assert Order.objects.count() == 1
