"""A deploy under load: servers are told to end one after the other, and no request fails."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from apps.payment.models import StripeWebhookEvent
from tests.support.processes import PYTHON, Process, environment, eventually
from tests.support.shop import make_variant, sign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.race]

CLIENTS = 6


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """The socket that outlives every server, as systemd's socket units keep one."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(256)
        yield server


class Clients:
    """Read the catalogue and deliver events without a pause, on new connections and on kept ones."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: list[Any] = []
        self.delivered: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Clients:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def run(self, number: int) -> None:
        session = requests.Session()
        session.trust_env = False
        if number % 2:
            session.headers["Connection"] = "close"
        turn = 0
        while not self.over.is_set():
            turn += 1
            try:
                if number < CLIENTS // 2:
                    self.answers.append(session.get(f"{self.url}/api/products/", timeout=20).status_code)
                else:
                    self.answers.append(self.deliver(session, f"evt_{number}_{turn}"))
            except requests.RequestException as failure:
                self.answers.append(repr(failure))

    def deliver(self, session: requests.Session, stripe_id: str) -> int:
        event = {"id": stripe_id, "object": "event", "type": "payment_intent.succeeded", "livemode": False}
        payload, header = sign(event | {"created": 1_700_000_000, "data": {"object": {"id": "pi_1"}}})
        answer = session.post(
            f"{self.url}/api/payment/webhook/", data=payload, headers={"Stripe-Signature": header}, timeout=20
        )
        self.delivered.append(stripe_id)
        return answer.status_code


def serve(listener: socket.socket) -> Process:
    listener.set_inheritable(True)
    env = environment(BIND=f"fd://{listener.fileno()}", WEB_CONCURRENCY="1", LOG_LEVEL="ERROR")
    server = Process([PYTHON, "-m", "gunicorn", "proshop.wsgi"], env, pass_fds=(listener.fileno(),))
    eventually(lambda: server.says("Booting worker"))
    return server


def answered_more(clients: Clients, count: int = 30) -> None:
    before = len(clients.answers)
    eventually(lambda: len(clients.answers) >= before + count)


def test_no_request_fails_while_servers_end_and_begin(listener: socket.socket) -> None:
    make_variant()
    with serve(listener) as first, Clients(listener.getsockname()[1]) as clients:
        answered_more(clients)
        with serve(listener) as second:
            answered_more(clients)
            first.ask_to_end()
            assert first.end() == 0, first.log
            answered_more(clients)
            second.popen.send_signal(signal.SIGHUP)  # new workers, the old ones finish what is in hand
            eventually(lambda: second.log.count("Booting worker") == 2)
            answered_more(clients)
            time.sleep(1)
            answered_more(clients)
            clients.__exit__()
            second.ask_to_end()
            assert second.end() == 0, second.log
    assert set(clients.answers) == {200}
    stored = set(StripeWebhookEvent.objects.values_list("stripe_id", flat=True))
    assert stored == set(clients.delivered), "each answered event is stored, and no other"


@pytest.mark.thorough
def test_control_a_server_that_is_killed_fails_requests(listener: socket.socket) -> None:
    make_variant()
    with serve(listener) as only, Clients(listener.getsockname()[1]) as clients:
        answered_more(clients)
        only.kill()
        listener.close()
        time.sleep(0.5)
    assert set(clients.answers) != {200}
