"""`manage.py reconcile` against the sandbox: orders of which no event came, and the same ones when all is well."""

from __future__ import annotations

import io
import json
import time
from typing import Any

from django.core.management import call_command

from apps.orders.models import Order
from benchmarks.ground import buy, cost_here, sandbox
from benchmarks.measure import Cost, say
from benchmarks.report import Row

WANTED, SECONDS = 10_000, 60


def reconcile(orders: int) -> tuple[float, Cost, dict[str, Any]]:
    output = io.StringIO()
    began = time.monotonic()

    def job() -> int:
        call_command("reconcile", "--json", stdout=output, stderr=io.StringIO())
        return orders

    cost = cost_here(job)
    return time.monotonic() - began, cost, json.loads(output.getvalue())


def run(*, orders: int) -> list[Row]:
    with sandbox() as stripe:
        say(f"Buying {orders} orders at the sandbox …")
        paid = Order.objects.filter(payment_status="paid")
        before = paid.count()
        buy(orders, stripe)
        lost, again = reconcile(orders), reconcile(orders)
        assert paid.count() == before + orders
    table = []
    for label, (seconds, cost, _) in (("whose events were all lost", lost), ("with nothing to mend", again)):
        computed = seconds / orders * WANTED
        text = (
            f"{seconds:.1f} s, {cost.shop:.1f} + {cost.database:.1f} ms CPU each; {WANTED}: {computed:.0f} s computed"
        )
        table.append(Row(f"reconcile {orders} orders {label}", text, f"{WANTED} in {SECONDS} s", computed <= SECONDS))
    return table
