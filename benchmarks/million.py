"""What a long history costs: lists, searches, the dashboard, an event and `verify`, beside a shop of 1,000 orders."""

from __future__ import annotations

import io
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import User
from apps.orders.models import Order
from apps.payment.models import Payment, Refund
from benchmarks.acknowledge import SHOP_APP, WEBHOOK
from benchmarks.databases import RUN, SHOP, address_of, create_database, exists
from benchmarks.ground import GUNICORN, PYTHON, Server, buy, completed, cost_here, on_database, sandbox
from benchmarks.measure import Cost, ratio, say, take_turns, told
from benchmarks.report import Row
from benchmarks.whole import sender
from tests.support.processes import environment
from tests.support.statements import counted

FEW = 1_000
PLACED = 60
"""Orders of the one who reads the API's lists, in both databases."""

SECOND = 1000.0
BUDGET = 20

Call = Callable[[], Any]


def seeded(name: str, orders: int) -> str:
    """A database with so many paid orders. One that is there already is used as it is."""
    if not exists(name):
        create_database(name)
        with on_database(name):
            call_command("migrate", verbosity=0)
        say(f"Writing {orders} orders …")
        env = environment(DATABASE_URL=address_of(name))
        command = [PYTHON, "-m", "benchmarks.seed_orders", "--orders", str(orders)]
        subprocess.run(command, env=env, check=True, capture_output=True)
    with on_database(name):
        call_command("migrate", verbosity=0)
    return name


@dataclass(frozen=True, slots=True)
class Seen:
    """One page: milliseconds of CPU and of the clock (medians), and statements."""

    cpu: float
    wall: float
    statements: int


def look(call: Call, times: int) -> Seen:
    assert call().status_code == 200, call().headers
    with CaptureQueriesContext(connection) as captured:
        assert call().status_code == 200
    every = counted(captured.captured_queries)  # now: the next request forgets them
    costs: list[Cost] = []
    walls: list[float] = []
    for _ in range(times):
        began = time.monotonic()
        costs.append(cost_here(lambda: int(call().status_code == 200)))
        walls.append((time.monotonic() - began) * 1000)
    return Seen(statistics.median(cost.all for cost in costs), statistics.median(walls), len(every))


def person() -> User:
    found = User.objects.filter(email="bench@example.com").first()
    return found or User.objects.create_superuser("bench@example.com", "correct horse battery")


def pages() -> dict[str, Call]:
    """Every list of the admin, a search or two in those that grow with the orders, and what the API lists."""
    boss = person()
    Order.objects.filter(pk__lte=PLACED).update(user=boss)
    staff = Client()
    staff.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")

    def page(path: str, **query: str) -> Call:
        return lambda: staff.get(path, query)

    found = {f"API {path}": page(f"/api/{path}/") for path in ("products", "orders", "payment/payments")}
    found["dashboard"] = page(reverse("admin:index"))
    lists = {
        model._meta.label: reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    }
    found |= {f"list {label}": page(path) for label, path in lists.items()}
    order, payment, refund = (
        Order.objects.order_by("pk")[500],
        Payment.objects.get(order_id=501),
        Refund.objects.all()[9],
    )
    intent, session = str(payment.stripe_payment_intent_id), str(payment.stripe_session_id)
    for label, texts in {
        "orders.Order": (order.number, order.email, intent, session, "4242", "nobody@example.com"),
        "payment.Payment": (order.number, order.email, intent),
        "payment.Refund": (order.number, str(refund.stripe_refund_id)),
        "payment.StripeWebhookEvent": (session, "evt_unknown"),
        "inventory.StockMovement": ("SEED-7", str(order.pk)),
    }.items():
        found |= {f"search {label} {text[:22]}": page(lists[label], q=text) for text in texts}
    payments = lists["payment.Payment"]
    for query in (
        {"amount": "25"},
        {"amount": "7.77"},
        {"method_type": "card"},
        {"method_type": "sepa_debit"},
        {"brand": "jcb"},
    ):
        found[f"payments by {' '.join(*query.items())}"] = page(payments, **query)
    found["a late page of orders"] = page(lists["orders.Order"], p="20")
    found["an order's story"] = page(f"{lists['orders.Order']}{order.pk}/timeline/")
    return found


def read(name: str, times: int) -> dict[str, Seen]:
    with on_database(name):
        return {label: look(call, times) for label, call in pages().items()}


def lists(few: str, many: str, times: int) -> Iterator[Row]:
    small, large = read(few, times), read(many, times)
    for label, one in small.items():
        other = large[label]
        growth = other.cpu / one.cpu
        text = (
            f"{one.cpu:.0f} → {other.cpu:.0f} ms CPU ({growth:.2f}), {other.wall:.0f} ms, {other.statements} statements"
        )
        is_list = label.startswith(("list", "API"))
        met = other.wall < SECOND and other.statements <= BUDGET
        met = met and (not is_list or (growth <= 1.5 and one.statements == other.statements))
        yield Row(label, text, "≤ 1.5 ×, same statements" if is_list else "< 1 s, ≤ 20 statements", met)


def growth(many: str, *, events: int, rounds: int) -> Row:
    """Events settled in the request, in an empty shop and in one with a long history."""
    with sandbox() as stripe, ExitStack() as open_now:
        senders: dict[str, Callable[[int], Cost]] = {}
        for name in (SHOP, many):
            with on_database(name):
                told_of = completed(buy(events * rounds + 16, stripe))
            server = Server([*GUNICORN, SHOP_APP], database=name, path=WEBHOOK, BENCH_WAKE="settle")
            senders[name] = sender(open_now.enter_context(server), told_of, rounds)
        found = take_turns(senders, rounds)
    share = ratio(found[many], found[SHOP])
    text = f"{share}: {told(found[SHOP])} → {told(found[many])}"
    return Row("an event in a long history, times the one in an empty shop", text, "≤ 1.1", share.median <= 1.1)


def verified(many: str) -> Row:
    with on_database(many):
        began = time.monotonic()
        cost = cost_here(lambda: len([call_command("verify", stdout=io.StringIO())]))
        seconds = time.monotonic() - began
    text = f"{seconds:.1f} s, {cost.all / 1000:.1f} s CPU"
    return Row("verify", text, "< 10 s", seconds < 10)


def run(*, orders: int, use: str, events: int, rounds: int, times: int) -> Iterator[Row]:
    few = seeded(f"{RUN}_few", FEW)
    many = seeded(use or f"{RUN}_many", orders)
    yield verified(many)
    yield from lists(few, many, times)
    yield growth(many, events=events, rounds=rounds)
