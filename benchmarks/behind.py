"""What an event costs: acknowledged by gunicorn, then settled, delivered and mailed by the loop behind.

    TEST_DATABASE_URL=postgres://… python -m benchmarks.behind [--events 2000] [--orders 100] [--broker redis://…]

Prints CPU milliseconds per event of the shop's processes and of PostgreSQL's backends, which other load on the machine
hardly changes, and the rate of this run, which it does. The database is a test's: made for the run and dropped.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proshop.settings.test")

import django

django.setup()

import requests
from django.conf import settings
from django.db import connection
from django.test.utils import setup_databases, setup_test_environment, teardown_databases

from apps.notifications.services import send_due
from apps.outbox.services import deliver_due
from apps.payment.models import StripeWebhookEvent
from apps.payment.webhooks import inbox
from benchmarks.measure import cost_of, family_of, say
from tests.support.processes import PYTHON, Process, environment, eventually, free_port
from tests.support.sandbox import Sandbox
from tests.support.shop import Shop, Stripe, make_variant, sign

CLIENTS = 4


def backends() -> list[int]:
    """The processes with which PostgreSQL serves this database; none on SQLite."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        return [row[0] for row in cursor.fetchall()]


def cpu_while(shop: Callable[[], list[int]], job: Callable[[], int]) -> str:
    """CPU of the shop's processes and of the database's per piece of the job, and pieces a second."""
    cost = cost_of(shop, backends, job)
    return f"{cost.shop:.1f} + {cost.database:.1f} ms CPU (shop + database), {cost.rate:.0f}/s"


def signed(number: int) -> tuple[bytes, str]:
    event = {"id": f"evt_bench_{number}", "object": "event", "type": "payment_intent.succeeded", "livemode": False}
    filler = {f"field_{each}": "x" * 60 for each in range(55)}  # some 4 KB, as a session's event has
    return sign(event | {"created": int(time.time()), "data": {"object": {"id": "pi_1", **filler}}})


def acknowledge(count: int, broker: str) -> None:
    port = free_port()
    env = environment(BIND=f"127.0.0.1:{port}", WEB_CONCURRENCY="2", LOG_LEVEL="ERROR", DEBUG="off")
    env |= {"ALLOWED_HOSTS": "127.0.0.1", "CELERY_BROKER_URL": broker, "CELERY_QUEUE_PREFIX": f"bench-{os.getpid()}"}
    with Process([PYTHON, "-m", "gunicorn", "proshop.wsgi"], env) as server:
        url = f"http://127.0.0.1:{port}/api/payment/webhook/"
        eventually(lambda: server.log.count("Booting worker") == 2)
        sessions = [requests.Session() for _ in range(CLIENTS)]

        def send(client: int, numbers: range) -> None:
            for number in numbers:
                body, header = bodies[number]
                answer = sessions[client].post(url, data=body, headers={"Stripe-Signature": header}, timeout=30)
                assert answer.status_code == 200, answer.text

        bodies = [signed(number) for number in range(count + 200)]

        def storm(first: int, last: int) -> int:
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(lambda c: send(c, range(first + c, last, CLIENTS)), range(CLIENTS)))
            return last - first

        eventually(lambda: _answers(url))
        storm(0, 200)  # imports and connections are paid by now
        workers = family_of(server.popen.pid)
        told = cpu_while(lambda: workers, lambda: storm(200, count + 200))
        say(f"acknowledged{' and workers woken' if broker else ', worked on in the request'}: {told}")


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 405
    except requests.RequestException:
        return False


def buy(orders: int, stripe: Stripe) -> list[dict[str, Any]]:
    """Orders of two lines each, paid at the sandbox; the events that tell of it, not delivered yet."""
    variants = [make_variant("ONE", stock=orders * 2), make_variant("TWO", stock=orders * 2)]
    for _ in range(orders):
        buyer = Shop()
        for variant in variants:
            buyer.add(variant)
        stripe.pay(buyer.checkout().json()["session_id"])
    return stripe.new_events()


def settle(orders: int) -> None:
    with Sandbox() as sandbox:
        settings.STRIPE_API_BASE = sandbox.address
        for event in buy(orders, Stripe(sandbox)):
            inbox.store(event, sha256="0" * 64)
        done = StripeWebhookEvent.objects.filter(type="checkout.session.completed", state="done")
        here = [os.getpid()]

        def all_of(job: Callable[[], int]) -> int:
            return sum(iter(job, 0))

        def settle_all() -> int:
            all_of(inbox.process_due)
            return done.count()

        say(f"settled, all of an order's events: {cpu_while(lambda: here, settle_all)}")
        say(f"delivered by the outbox: {cpu_while(lambda: here, lambda: all_of(deliver_due))}")
        say(f"mailed, with the invoice: {cpu_while(lambda: here, lambda: all_of(send_due))}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What an event costs.")
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--broker", default="", help="wake workers on this broker instead of working in the request")
    options = parser.parse_args()
    setup_test_environment()
    made = setup_databases(verbosity=0, interactive=False)
    try:
        python, load = sys.version.split()[0], os.getloadavg()[0]
        say(f"{connection.vendor}, Python {python}, {os.cpu_count()} cores, load {load:.1f}")
        settle(options.orders)
        StripeWebhookEvent.objects.all().delete()
        acknowledge(options.events, options.broker)
    finally:
        teardown_databases(made, verbosity=0)


if __name__ == "__main__":
    main()
