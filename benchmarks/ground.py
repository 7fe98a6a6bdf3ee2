"""What every measurement stands on: the sandbox, servers and a client that costs little.

Django has to be set up before this is imported: `python -m benchmarks` does so on a database of its own.
"""

from __future__ import annotations

import http.client
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from apps.catalog.models import ProductVariant
from benchmarks.databases import address_of, backends
from benchmarks.measure import Cost, cost_of, family_of
from tests.support.processes import PYTHON, Process, environment, eventually, free_port
from tests.support.sandbox import Sandbox
from tests.support.shop import Shop, Stripe, make_variant, sign

CLIENTS = 4
SECRET_KEY = "sk_test_" + "Bench0123456789" * 2
"""In the form of Stripe's own, which dj-stripe insists on."""
GUNICORN = [PYTHON, "-m", "gunicorn"]


def migrate() -> None:
    call_command("migrate", verbosity=0)


@contextmanager
def on_database(name: str) -> Iterator[None]:
    """This process's own connection leads to another database for a while."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def here() -> list[int]:
    return [os.getpid()]


def cost_here(job: Callable[[], int]) -> Cost:
    """What a job of this process costs, with the backend behind its connection."""
    return cost_of(here, lambda: backends().of(connection.settings_dict["NAME"]), job)


class Server:
    """A web server on a free port, and its costs. Gone at the end of the `with`."""

    def __init__(self, command: Sequence[str], *, database: str, path: str, **env: str) -> None:
        self.port, self.database, self.path = free_port(), database, path
        more = {"BIND": f"127.0.0.1:{self.port}", "DEBUG": "off", "ALLOWED_HOSTS": "127.0.0.1"}
        more |= {
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "WEB_CONCURRENCY": "2",
            "WEB_THREADS": "4",
            "DATABASE_URL": address_of(database),
        }
        words = [word.replace("{port}", str(self.port)) for word in command]
        self.process = Process(words, environment(**(more | env)))

    def __enter__(self) -> Server:
        try:
            eventually(self._answers)
        except BaseException:
            self.process.kill()
            sys.stdout.write(self.process.log[-4000:])
            raise
        return self

    def __exit__(self, *args: Any) -> None:
        self.process.__exit__(args[0], args[1], args[2])

    def _answers(self) -> bool:
        assert self.process.runs, self.process.log[-4000:]
        try:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            link.request("GET", self.path)
            link.getresponse().read()
        except OSError:
            return False
        return True

    def send(self, events: Sequence[dict[str, Any]]) -> Cost:
        """What it costs to have these events, signed now, answered by 200."""
        signed = [sign(event) for event in events]

        def send_some(first: int) -> None:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            for body, signature in signed[first::CLIENTS]:
                headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
                link.request("POST", self.path, body, headers)
                answer = link.getresponse()
                told = answer.read()
                assert answer.status == 200, (answer.status, told[:500], self.process.log[-4000:])
            link.close()

        def send_all() -> int:
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(send_some, range(CLIENTS)))
            return len(signed)

        pids = family_of(self.process.popen.pid)
        return cost_of(lambda: pids, lambda: backends().of(self.database), send_all)


@contextmanager
def sandbox() -> Iterator[Stripe]:
    """Stripe's stand-in, which this process's shop talks to as well."""
    with (
        Sandbox(secret_key=SECRET_KEY) as started,
        override_settings(STRIPE_API_BASE=started.address, STRIPE_SECRET_KEY=SECRET_KEY),
    ):
        yield Stripe(started)


def shelves(count: int) -> list[ProductVariant]:
    """Variants with more in stock than anybody buys here."""
    mark = f"{time.time_ns():x}"
    return [make_variant(f"BENCH-{mark}-{number}", stock=1_000_000) for number in range(count)]


def buy(orders: int, stripe: Stripe) -> list[dict[str, Any]]:
    """Paid orders of two lines each; what Stripe tells of them, not delivered yet."""
    variants = shelves(max(2, min(orders, 100)))
    for number in range(orders):
        buyer = Shop()
        buyer.add(variants[number % len(variants)])
        buyer.add(variants[(number + 1) % len(variants)], 2)
        answer = buyer.checkout()
        assert answer.status_code == 201, answer.content
        stripe.pay(answer.json()["session_id"])
    return stripe.new_events()


def completed(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of them that tell that a session was paid: one per order."""
    return [event for event in events if event["type"] == "checkout.session.completed"]


def foreign(number: int) -> dict[str, Any]:
    """A session's event of some 4 KB that is nobody's."""
    mark = f"{os.getpid()}_{time.time_ns():x}_{number}"
    filler = {f"field_{each}": "x" * 60 for each in range(50)}
    told = {"id": f"cs_test_{mark}", "object": "checkout.session", "client_reference_id": None, **filler}
    event = {"id": f"evt_{mark}", "object": "event", "type": "checkout.session.completed", "livemode": False}
    return event | {"created": int(time.time()), "data": {"object": told}}
