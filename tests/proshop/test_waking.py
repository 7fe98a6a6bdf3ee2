"""Wake-ups: one for any number of events, none while one is on its way, and no request waits for the broker."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from kombu import Connection

from apps.payment.models import StripeWebhookEvent
from proshop import waking
from proshop.celery import EVENTS_QUEUE, app
from tests.support.shop import deliver, in_parallel

EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_intent.succeeded",
    "livemode": False,
    "created": 1_700_000_000,
    "data": {"object": {"id": "pi_1"}},
}


def until(true: Callable[[], Any]) -> None:
    """Wait for what happens in another thread, ten seconds at most."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The messages that were sent, as they are sent."""
    found: list[tuple[Any, ...]] = []
    real = waking.do.apply_async

    def send(args: tuple[Any, ...], **options: Any) -> Any:
        found.append((args, options["queue"]))
        return real(args, **options)

    monkeypatch.setattr(waking.do, "apply_async", send)
    return found


@pytest.fixture
def queue() -> Iterator[Any]:
    """The queue of wake-ups on a broker in this process's memory, empty before and after."""
    with Connection("memory://") as connection:
        bound = app.amqp.queues[EVENTS_QUEUE](connection.channel())
        bound.declare()
        bound.purge()
        yield bound
        bound.purge()


def length(queue: Any) -> int:
    return int(queue.queue_declare().message_count)


def test_a_thousand_events_at_once_send_one_wake_up(queue: Any, sent: list[Any]) -> None:
    waker = waking.Waker("memory://")
    in_parallel([waker.nudge] * 1000, threads=8)
    until(lambda: length(queue) == 1)
    time.sleep(5 * waking.GAP_SECONDS)
    assert sent == [(("events",), EVENTS_QUEUE)]


def test_none_is_sent_while_one_is_on_its_way_whoever_sent_it(queue: Any, sent: list[Any]) -> None:
    """The broker counts, so other processes' wake-ups count too."""
    one, other = waking.Waker("memory://"), waking.Waker("memory://")
    one.nudge()
    until(lambda: length(queue) == 1)
    other.nudge()
    until(lambda: not other._wanted.is_set())
    time.sleep(5 * waking.GAP_SECONDS)
    assert (len(sent), length(queue)) == (1, 1)

    queue.get(no_ack=True)  # a worker took it up; what comes from now on may be too late for it
    other.nudge()
    until(lambda: length(queue) == 1)
    assert len(sent) == 2


def test_stale_connection_is_replaced_at_once(queue: Any) -> None:
    waker = waking.Waker("memory://")
    waker.nudge()
    until(lambda: waker._producer is not None)
    queue.get(no_ack=True)
    waker._producer.channel.close()  # type: ignore[union-attr]
    waker.nudge()
    until(lambda: length(queue) == 1)


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield int(server.getsockname()[1])


@pytest.fixture(params=["amqp://guest:guest@127.0.0.1:{}//", "redis://127.0.0.1:{}/0"], ids=["amqp", "redis"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("port", ["closed_port", "silent_port"])
def test_broker_that_is_away_delays_no_webhook_and_loses_no_event(
    scheme: str, port: str, settings: Any, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CELERY_BROKER_URL = scheme.format(request.getfixturevalue(port))
    deliver(EVENT | {"id": "evt_0"})  # what is paid once in a process is paid
    with caplog.at_level(logging.WARNING, "proshop.waking"):
        start = time.monotonic()
        answers = [deliver(EVENT | {"id": f"evt_{number}"}) for number in range(1, 21)]
        seconds = time.monotonic() - start
        until(lambda: "broker_unavailable" in caplog.text)
    assert {answer.status_code for answer in answers} == {200}
    # One wait for the broker in a request would be at least a second for the silent one.
    assert seconds < 1.0 * len(answers) / 2
    assert StripeWebhookEvent.objects.filter(state="due", attempts=0).count() == 21


@pytest.mark.django_db(transaction=True)
def test_with_a_broker_the_request_leaves_the_work_to_the_workers(settings: Any, queue: Any) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    assert deliver(EVENT).status_code == 200
    until(lambda: length(queue) == 1)
    assert StripeWebhookEvent.objects.get().state == "due"


@pytest.mark.django_db
@pytest.mark.parametrize("port", ["closed_port", "silent_port"])
def test_readiness_names_a_broker_that_is_away(
    scheme: str, port: str, settings: Any, request: pytest.FixtureRequest
) -> None:
    settings.CELERY_BROKER_URL = scheme.format(request.getfixturevalue(port))
    start = time.monotonic()
    answer = Client().get("/health/ready/")
    assert time.monotonic() - start < 15
    assert (answer.status_code, answer.json()["broker"]) == (503, "fail")


@pytest.mark.django_db
def test_readiness_names_a_broker_that_answers(settings: Any) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    assert Client().get("/health/ready/").json()["broker"] == "ok"
