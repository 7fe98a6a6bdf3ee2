"""Due rows, shared out among any number of processes.

A row is taken for a while: its `lease_until`, which nobody else ever writes with the same value, says whose it is.
A process that dies only delays what it had in hand, since another takes it over when the lease has ended.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from typing import Any, TypeVar

from django.db import connection, models, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

Row = TypeVar("Row", bound=models.Model)

LEAST_LEFT = timedelta(seconds=30)
"""A row of a batch is begun only with this much of the lease left."""


def claim(waiting: QuerySet[Row], *, lease: timedelta, limit: int) -> list[Row]:
    """Take due rows, oldest first, and count a try for each; what others hold, or are just taking, is passed over.

    The model has `due_at`, `lease_until` and `attempts`. A row whose lease ran out is taken alone: should it be what
    killed the process before, it takes no other row with it.
    """
    now = timezone.now()
    free = waiting.filter(Q(lease_until=None) | Q(lease_until__lt=now), due_at__lte=now).order_by("due_at", "pk")
    if not free.exists():
        return []  # asked first, so that an idle worker never takes SQLite's write lock
    skip = connection.features.has_select_for_update_skip_locked
    with transaction.atomic(durable=True):
        found: list[Any] = list(free.select_for_update(skip_locked=skip)[:limit])
        taken = list(takewhile(lambda row: row.lease_until is None, found)) or found[:1]
        until = now + lease
        waiting.model._default_manager.filter(pk__in=[row.pk for row in taken]).update(
            lease_until=until, attempts=F("attempts") + 1
        )
    for row in taken:
        row.lease_until = until
        row.attempts += 1
    return taken


def is_short(row: Any) -> bool:
    """Whether so little of the lease is left that the row had better go to somebody else."""
    return bool(row.lease_until - timezone.now() < LEAST_LEFT)


def give_back(rows: list[Any]) -> None:
    """Hand rows back that were taken and not begun, as if nobody had taken them."""
    for row in rows:
        held(row).update(lease_until=None, attempts=F("attempts") - 1)


def held(row: Row) -> QuerySet[Row]:
    """The row, as long as it is still ours; none once its lease ended and another took it."""
    return type(row)._default_manager.filter(**mark_of(row))


def mark_of(row: Any) -> dict[str, Any]:
    """Columns and values by which the row is ours."""
    return {"id": row.pk, "lease_until": row.lease_until}
