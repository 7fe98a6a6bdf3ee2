"""A Stripe that takes calls and never answers: half of a process's threads wait for it, the others serve."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import pytest
import requests

from apps.orders.models import Order
from apps.payment.models import Payment, StripeWebhookEvent
from tests.support.processes import PYTHON, Process, environment, eventually, free_port
from tests.support.shop import Stripe, make_variant, sign

pytestmark = pytest.mark.django_db(transaction=True)

BUYERS = 20
HANGING = 2
"""STRIPE_CALLS_AT_ONCE, of four threads."""


class Frontend:
    def __init__(self, port: int) -> None:
        self.api = f"http://127.0.0.1:{port}/api"
        self.http = requests.Session()
        self.http.trust_env = False

    def cart_with(self, variant: int) -> str:
        answer = requests.post(f"{self.api}/cart/add/", json={"variant_id": variant}, timeout=20)
        return str(answer.json()["token"])

    def read_cart(self, token: str) -> int:
        return self.http.get(f"{self.api}/cart/", headers={"X-Cart-Token": token}, timeout=20).status_code

    def checkout(self, token: str) -> requests.Response:
        return requests.post(f"{self.api}/payment/checkout/", headers={"X-Cart-Token": token}, timeout=60)

    def deliver(self, stripe_id: str) -> int:
        event = {"id": stripe_id, "object": "event", "type": "payment_intent.succeeded", "livemode": False}
        payload, header = sign(event | {"created": 1_700_000_000, "data": {"object": {"id": "pi_1"}}})
        headers = {"Stripe-Signature": header}
        return self.http.post(f"{self.api}/payment/webhook/", data=payload, headers=headers, timeout=20).status_code


@contextmanager
def served(**env: str) -> Iterator[Frontend]:
    port = free_port()
    env = environment(BIND=f"127.0.0.1:{port}", WEB_CONCURRENCY="1", LOG_LEVEL="ERROR", **env)
    with Process([PYTHON, "-m", "gunicorn", "proshop.wsgi"], env) as server:
        eventually(lambda: server.says("Booting worker"))
        yield Frontend(port)


def some_hang(tries: list[Future[requests.Response]]) -> bool:
    return sum(not each.done() for each in tries) == HANGING


def serves_while_stripe_hangs(frontend: Frontend, tokens: list[str]) -> tuple[bool, list[requests.Response]]:
    """Whether carts were read and events stored before the first call to Stripe was given up; and what buyers got."""
    with ThreadPoolExecutor(len(tokens)) as buyers:
        tries = [buyers.submit(frontend.checkout, token) for token in tokens]
        eventually(lambda: sum(each.done() for each in tries) >= len(tries) - HANGING)
        began = some_hang(tries)
        answers = [frontend.read_cart(token) for token in tokens[:5]] + [
            frontend.deliver(token[:40]) for token in tokens
        ]
        ended = some_hang(tries)
    assert set(answers) == {200}
    return began and ended, [each.result() for each in tries]


def test_checkouts_that_hang_leave_carts_and_webhooks_alone(stripe_sandbox: Stripe) -> None:
    mug = make_variant("MUG", stock=500)
    with served() as frontend:
        tokens = [frontend.cart_with(mug.pk) for _ in range(BUYERS)]
        stripe_sandbox.sandbox.faults("timeout_before", path="*", times=1000, seconds=30)
        for _ in range(4):  # a busy machine may take longer than the calls are waited for
            good, answers = serves_while_stripe_hangs(frontend, tokens)
            assert {answer.json().get("code") for answer in answers} == {"payment_provider_unavailable"}
            assert {answer.status_code for answer in answers} == {503}
            assert all("Retry-After" in answer.headers for answer in answers)
            if good:
                break
        assert good
        assert StripeWebhookEvent.objects.count() == BUYERS

        stripe_sandbox.sandbox.control("rules/clear")
        assert [frontend.checkout(token).status_code for token in tokens] == [201] * BUYERS
    assert Order.objects.count() == BUYERS
    assert Payment.objects.filter(status="pending").exclude(stripe_session_id=None).count() == BUYERS


@pytest.mark.thorough
def test_control_calls_without_a_bound_take_every_thread(stripe_sandbox: Stripe) -> None:
    mug = make_variant("MUG", stock=500)
    with served(STRIPE_CALLS_AT_ONCE="100") as frontend:
        tokens = [frontend.cart_with(mug.pk) for _ in range(4)]
        stripe_sandbox.sandbox.faults("timeout_before", path="*", times=1000, seconds=30)
        assert any(cart_waits_for_a_checkout(frontend, tokens) for _ in range(4))


def cart_waits_for_a_checkout(frontend: Frontend, tokens: list[str]) -> bool:
    with ThreadPoolExecutor(len(tokens) + 1) as clients:
        tries = [clients.submit(frontend.checkout, token) for token in tokens]
        time.sleep(2)
        read = clients.submit(frontend.read_cart, tokens[0])
        wait([*tries, read], return_when=FIRST_COMPLETED)
        return not read.done()
