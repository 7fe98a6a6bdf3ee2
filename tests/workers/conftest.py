"""Real workers on real brokers: TEST_BROKER_URLS names them, by comma. Without it these tests are left out."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.processes import Process, environment, eventually

URLS = [url for url in os.environ.get("TEST_BROKER_URLS", "").split(",") if url]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "broker" in metafunc.fixturenames:
        none = pytest.param("none", marks=pytest.mark.skip(reason="needs brokers: TEST_BROKER_URLS=amqp://…,redis://…"))
        brokers = [pytest.param(url, id=url.partition(":")[0]) for url in URLS] or [none]
        metafunc.parametrize("broker", brokers, indirect=True)


@pytest.fixture
def broker(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A broker's address, with queues of this test's own; the shop in this process uses it too."""
    from kombu import Connection, Exchange, Queue

    from proshop import celery, waking

    prefix = "proshop-test-" + secrets.token_hex(4)
    exchange = Exchange(prefix, "direct")
    queues = [Queue(f"{prefix}.{name}", exchange, routing_key=f"{prefix}.{name}") for name in ("events", "work")]
    for module in (celery, waking):
        monkeypatch.setattr(module, "EVENTS_QUEUE", queues[0].name)
    monkeypatch.setattr(celery, "WORK_QUEUE", queues[1].name)
    settings.CELERY_BROKER_URL, settings.CELERY_QUEUE_PREFIX = request.param, prefix
    known = celery.app.amqp.queues
    for queue in queues:
        known.add(queue)
    yield request.param
    with Connection(request.param) as connection:
        channel = connection.channel()
        for queue in queues:
            known.pop(queue.name)
            queue(channel).delete()
        exchange(channel).delete()
        if request.param.startswith("redis"):
            client = channel.client
            client.delete(*client.keys(f"*{prefix}*"))


Start = Callable[..., Process]


@pytest.fixture
def start_worker(broker: str, transactional_db: None, settings: Any) -> Iterator[Start]:
    """Starts workers, with beat inside unless told otherwise, and waits until they are ready."""
    started: list[Process] = []

    def start(*options: str, beat: bool = True, **more: str) -> Process:
        env = environment(CELERY_BROKER_URL=broker, CELERY_QUEUE_PREFIX=settings.CELERY_QUEUE_PREFIX, **more)
        command = [sys.executable, "-m", "celery", "-A", "proshop", "worker", "--loglevel", "INFO"]
        command += ["--hostname", f"w{len(started)}@test", "--concurrency", "2", "--without-gossip", "--without-mingle"]
        worker = Process([*command, *(["--beat"] if beat else []), *options], env)
        started.append(worker)
        eventually(lambda: worker.says("ready."))
        return worker

    yield start
    for worker in started:
        worker.__exit__(None, None, None)
