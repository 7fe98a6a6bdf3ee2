"""Deliveries: once each, retried, given up with the reason, and never in each other's way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.common import stopping
from apps.outbox import services
from apps.outbox.models import Delivery
from tests.support.shop import in_parallel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What one subscriber heard; it fails on `{"bad": true}`."""
    told: list[Any] = []

    def hear(payload: dict[str, Any]) -> None:
        if payload.get("bad"):
            raise ValueError("this cannot be digested")
        told.append(payload["n"])

    monkeypatch.setattr(services, "_subscribers", {})
    services.subscribe("thing.happened", "ear", hear)
    yield told
    stopping.forget()


def publish(*payloads: dict[str, Any]) -> None:
    with transaction.atomic():
        for number, payload in enumerate(payloads):
            services.publish("thing.happened", str(number), payload)


def test_poison_is_dead_after_so_many_tries_with_the_traceback_and_delays_nobody(heard: list[Any]) -> None:
    publish({"bad": True}, *({"n": number} for number in range(30)))
    assert services.deliver_due() == 31
    assert heard == list(range(30)), "the rest is not kept waiting"
    for _ in range(services.MAX_ATTEMPTS - 1):
        assert Delivery.objects.get(key="0").state == "due"
        Delivery.objects.filter(key="0").update(due_at=timezone.now())
        assert services.deliver_due() == 1
    dead = Delivery.objects.get(key="0")
    assert (dead.state, dead.attempts, dead.lease_until) == ("dead", services.MAX_ATTEMPTS, None)
    assert "ValueError: this cannot be digested" in dead.last_error
    assert services.deliver_due() == 0


def test_delivery_that_kills_its_worker_every_time_is_given_up(heard: list[Any]) -> None:
    publish({"n": 1}, {"n": 2})
    killed = timezone.now() - timedelta(seconds=1)
    Delivery.objects.filter(key="0").update(attempts=services.MAX_ATTEMPTS, lease_until=killed)
    assert services.deliver_due() == 2
    assert heard == [2]
    dead = Delivery.objects.get(key="0")
    assert (dead.state, dead.last_error) == ("dead", "The process that made this delivery died every time.")


def test_asked_to_end_the_row_in_hand_is_finished_and_the_rest_given_back(heard: list[Any]) -> None:
    def hear_and_be_told(payload: dict[str, Any]) -> None:
        heard.append(payload["n"])
        stopping.ask()

    services.subscribe("thing.happened", "ear", hear_and_be_told)
    publish(*({"n": number} for number in range(5)))
    assert services.deliver_due() == 1
    assert heard == [0]
    rows = list(Delivery.objects.order_by("pk").values_list("state", "attempts", "lease_until"))
    assert rows == [("done", 1, None)] + [("due", 0, None)] * 4


def test_delivery_that_another_worker_took_over_is_not_made_here(heard: list[Any]) -> None:
    publish({"n": 1})
    mine = Delivery.objects.get()
    mine.lease_until = timezone.now() - timedelta(seconds=1)
    Delivery.objects.update(lease_until=timezone.now() + timedelta(minutes=2))
    assert services.deliver(mine) is False
    assert heard == []


@pytest.mark.race
def test_six_workers_deliver_each_row_once(heard: list[Any]) -> None:
    publish(*({"n": number} for number in range(120)))
    in_parallel([lambda: services.deliver_due()] * 6, threads=6)
    assert sorted(heard) == list(range(120))
    assert set(Delivery.objects.values_list("state", "attempts")) == {("done", 1)}
