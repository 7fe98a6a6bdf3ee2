"""Let orders go whose time is over, with all that hangs on them. docs/adr/0013 says what goes and what stays.

A batch of orders is one transaction: a process that dies in it has done nothing, and two at once share the orders out,
since each passes over what the other has locked. Whether an order may go is asked twice, the second time when it and
its payments are locked: what came in between, such as a refund, keeps it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.common import stopping
from apps.common.retention import delete_rows, kept_since, letting_go
from apps.orders.models import Order
from apps.orders.purging import Ids, shares
from apps.payment.models import CheckRun
from apps.payment.services import check_runs

BATCH = 200
EVERY = timedelta(days=1)
AT_MOST_SECONDS = 60.0
"""How long housekeeping does nothing else; the rest is for its next round."""

BUSY = "somebody is at work on it"


@dataclass(slots=True)
class Purged:
    """What a run let go: how many orders, and rows of each kind; and why orders stayed that are old enough."""

    before: datetime
    orders: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    stays: Counter[str] = field(default_factory=Counter)
    whole: bool = True

    def as_dict(self) -> dict[str, Any]:
        return {
            "before": self.before.isoformat(),
            "orders": self.orders,
            "rows": dict(+self.rows),
            "stays": dict(+self.stays),
            "whole": self.whole,
        }


def look_at_old() -> Purged:
    """What `purge` would let go at this moment. Nothing is changed or locked."""
    found = Purged(kept_since())
    for batch in _batches(found.before):
        going = set(batch) - _stay(batch, found)
        found.orders += len(going)
        for share in shares:
            _each(share.rows(going, found.before), found.rows, lambda rows: rows.count())
    for share in shares:
        _each(share.aged(found.before), found.rows, lambda rows: rows.count())
    return found


def purge(*, seconds: float | None = None) -> Purged:
    """Let go what is older than records are kept, for so long. Any number of processes may do so at once.

    Running it again goes on where it was cut off. Raises AlreadyRunning while another run shows signs of life.
    """
    run = check_runs.begin(CheckRun.Kind.PURGE)
    found, until = Purged(kept_since()), None if seconds is None else time.monotonic() + seconds

    def goes_on() -> bool:
        check_runs.show_alive(run)
        found.whole = not stopping.asked() and (until is None or time.monotonic() < until)
        return found.whole

    try:
        _purge(found, goes_on)
    except BaseException as error:
        summary = {**found.as_dict(), "whole": False, "cut_off": f"It failed: {type(error).__name__}."}
        check_runs.finish(run, ok=False, summary=summary)
        raise
    check_runs.finish(run, ok=True, summary=found.as_dict())
    if found.orders:
        record(None, "purged", run, after=found.as_dict(), source=AuditEntry.Source.COMMAND)
    return found


def purge_if_due() -> int:
    """Once a day, and again soon where a run had not the time for all. Returns how many orders went."""
    last = check_runs.last_run(CheckRun.Kind.PURGE)
    unfinished = last is not None and not last.summary.get("whole", True)
    if not check_runs.is_due(CheckRun.Kind.PURGE, every=timedelta(0) if unfinished else EVERY):
        return 0
    try:
        return purge(seconds=AT_MOST_SECONDS).orders
    except check_runs.AlreadyRunning:
        return 0


def _purge(found: Purged, goes_on: Callable[[], bool]) -> None:
    for batch in _batches(found.before):
        if not goes_on():
            return
        going = set(batch) - _stay(batch, found)
        if going:
            _let_go(going, found)
    for share in shares:
        for what, rows in share.aged(found.before):
            while goes_on():
                some = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
                found.rows[what] += delete_rows(rows.filter(pk__in=some))
                if len(some) < BATCH:
                    break


def _batches(before: datetime) -> Iterator[list[int]]:
    """Orders that were placed before then, oldest first, also while some of them are deleted."""
    old = Order.objects.filter(created_at__lt=before).order_by("created_at", "pk").values_list("created_at", "pk")
    rest = old
    while batch := list(rest[:BATCH]):
        yield [pk for _, pk in batch]
        at, pk = batch[-1]
        rest = old.filter(Q(created_at__gt=at) | Q(created_at=at, pk__gt=pk))


def _let_go(ids: Ids, found: Purged) -> None:
    rows: Counter[str] = Counter()
    with letting_go(found.before):
        free = set(ids)
        for share in shares:
            free &= set(share.lock(free))
        found.stays[BUSY] += len(ids) - len(free)
        free -= _stay(free, found)
        for share in shares:
            share.settle(free)
        for share in shares:
            _each(share.rows(free, found.before), rows, delete_rows)
    found.rows += rows
    found.orders += len(free)


def _stay(ids: Ids, found: Purged) -> set[int]:
    """Those of these orders that stay. What is on its way in the outbox is asked first: what it writes is seen then."""
    staying: set[int] = set()
    for share in reversed(shares):
        for reason, which in share.stays(ids, found.before).items():
            those = set(which) - staying
            found.stays[reason] += len(those)
            staying |= those
    return staying


def _each(named: Any, counts: Counter[str], count: Callable[[QuerySet[Any]], int]) -> None:
    for what, rows in named:
        counts[what] += count(rows)
