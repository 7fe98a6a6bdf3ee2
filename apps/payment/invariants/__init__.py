"""What must be true at any moment, each as a query that returns no row.

`manage.py verify` runs them; so does every race and crash test. Small tables, and what an index finds, are asked by the
ORM (`queries.py`); the big ones are read once each, by one statement for several invariants (`sweeps.py`). Amounts are
in minor units.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db.models import QuerySet

from apps.payment.invariants.queries import Check, queries
from apps.payment.invariants.sweeps import SWEEPS, Sweep

SHOWN = 20
"""How many offending ids are named; the count is told in full."""

also: list[Callable[[], Iterator[Check]]] = []
"""Invariants of apps that this one does not know; the composition root hands them over."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that does not hold, and the rows that break it."""

    name: str
    meaning: str
    count: int
    ids: list[Any]


@dataclass(slots=True)
class Verification:
    """A look at everything: what does not hold, how many invariants were asked about, and how long that took."""

    broken: list[Broken] = field(default_factory=list)
    checked: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.broken

    def as_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "checked": self.checked,
            "seconds": round(self.seconds, 2),
            "broken": [asdict(each) for each in self.broken],
        }


def verify() -> list[Broken]:
    """Every invariant that does not hold now; an empty list is what is wanted."""
    return look().broken


def look() -> Verification:
    """Ask about every invariant. Each statement sees one moment; nothing is locked, and nobody waits."""
    began = time.monotonic()
    found = Verification()
    for sweep in SWEEPS:
        found.broken += _sweep(sweep)
        found.checked += len(sweep.checks)
    for checks in (queries, *also):
        for name, meaning, rows in checks():
            found.broken += _ask(name, meaning, rows)
            found.checked += 1
    found.seconds = time.monotonic() - began
    return found


def _sweep(sweep: Sweep) -> Iterator[Broken]:
    broken: list[list[Any]] = [[] for _ in sweep.checks]
    for row_id, *breaks in sweep.rows():
        for ids, is_broken in zip(broken, breaks, strict=True):
            if is_broken:
                ids.append(row_id)
    for (name, meaning, _), ids in zip(sweep.checks, broken, strict=True):
        if ids:
            yield Broken(name, meaning, len(ids), ids[:SHOWN])


def _ask(name: str, meaning: str, rows: QuerySet[Any]) -> Iterator[Broken]:
    rows = rows.order_by()  # an order would cost a look at every row
    ids = list(rows.values_list("pk", flat=True)[:SHOWN])
    if ids:
        yield Broken(name, meaning, rows.count(), ids)
