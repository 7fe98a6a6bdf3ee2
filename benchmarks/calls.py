"""What a buyer's calls cost: statements, whatever the cart's length, and CPU without Stripe's own time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.ground import cost_here, sandbox, shelves
from benchmarks.measure import Spread
from benchmarks.report import Row
from tests.support.shop import Shop
from tests.support.statements import counted

LINES = (1, 5, 20)
BUDGETS = {"cart add": 8, "cart read": 4, "status": 3, "checkout": 20}


def statements(call: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as found:
        call()
    return len(counted(found.captured_queries))


def filled(lines: int) -> Shop:
    buyer = Shop()
    for variant in shelves(lines):
        buyer.add(variant)
    return buyer


def checked(buyer: Shop) -> str:
    answer = buyer.checkout()
    assert answer.status_code == 201, answer.content
    return str(answer.json()["session_id"])


def counts(lines: int) -> dict[str, int]:
    """Statements of each call, by a buyer whose cart has so many lines."""
    buyer, more = filled(lines), shelves(2)
    buyer.add(more[0])
    bought: list[str] = []
    found = {
        "cart add": statements(lambda: buyer.add(more[1])),
        "cart read": statements(lambda: buyer.get("/api/cart/")),
        "checkout": statements(lambda: bought.append(checked(buyer))),
    }
    buyer.status(bought[0])
    return found | {"status": statements(lambda: buyer.status(bought[0]))}


def checkout_cost(lines: int, count: int) -> Spread:
    """Milliseconds of CPU, the shop's and the database's, of checkouts that are made one by one."""
    buyers = iter([filled(lines) for _ in range(count)])
    return Spread.of([cost_here(lambda: len([checked(next(buyers))])).all for _ in range(count)])


def run(*, count: int) -> list[Row]:
    """`count` checkouts are timed for each length of a cart."""
    with sandbox():
        found = {lines: counts(lines) for lines in LINES}
        costs = {lines: checkout_cost(lines, count) for lines in LINES}
    table = []
    for name, budget in BUDGETS.items():
        each = [found[lines][name] for lines in LINES]
        told = f"{' / '.join(str(n) for n in each)} statements"
        table.append(Row(f"{name}, carts of {LINES} lines", told, f"≤ {budget}", max(each) <= budget))
    for lines, spread in costs.items():
        table.append(Row(f"checkout of {lines} lines, ms of CPU", str(spread), "≤ 20", spread.median <= 20))
    return table
