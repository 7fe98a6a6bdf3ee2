"""How long records are kept, and how old ones are let go.

The database refuses to delete what is to be kept: audit entries, invoices and credit notes. Its triggers make way for
`letting_go` alone, and even there for no row that is younger than the moment it names, or than 364 days.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

OPEN = {
    "postgresql": "SELECT set_config('proshop.purge', %s, true)",
    "sqlite": "INSERT INTO common_purge (before) VALUES (%s)",
}
CLOSE = {
    "postgresql": "SELECT set_config('proshop.purge', '', true)",
    "sqlite": "DELETE FROM common_purge",
}


def kept_since() -> datetime:
    """RETENTION_YEARS ago: whatever came to its end before then may go."""
    now = timezone.now()
    day = 28 if (now.month, now.day) == (2, 29) else now.day
    return now.replace(year=now.year - settings.RETENTION_YEARS, day=day)


def drop_old(model: type[Model], column: str, *, before: datetime, limit: int = 1000) -> int:
    """Delete the oldest rows of a table that only grows, as far as `column` is before that moment. Returns how many.

    Read by the primary key, so that it costs nothing while there is nothing to do.
    """
    rows: Any = model._default_manager.order_by("pk").values_list("pk", column)[:limit]
    old = []
    for key, at in rows:
        if at >= before:
            break
        old.append(key)
    if old:
        model._default_manager.filter(pk__in=old).delete()
    return len(old)


@contextmanager
def letting_go(before: datetime) -> Iterator[None]:
    """A transaction in which the database lets rows go that are older than that moment, and no younger ones."""
    moment = before.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(OPEN[connection.vendor], [moment + "+00" if connection.vendor == "postgresql" else moment])
        yield
        cursor.execute(CLOSE[connection.vendor])


def delete_rows(rows: QuerySet[Any]) -> int:
    """One DELETE, which loads nothing and looks for nothing that hangs on the rows. Returns how many there were.

    The caller deletes that first. What it forgets, the database's foreign keys do not: they refuse.
    """
    return int(rows.order_by()._raw_delete(rows.db) or 0)  # None where the query cannot match anything


def older_than(model: type[Model], column: str, before: datetime) -> QuerySet[Any]:
    """The rows of a table that only grows whose `column` is before that moment.

    Those behind the first younger one are not looked at, so that it costs what there is to do.
    """
    rows = model._default_manager.all()
    first = rows.filter(**{f"{column}__gte": before}).order_by("pk").values_list("pk", flat=True).first()
    return rows.filter(**{f"{column}__lt": before}, **({} if first is None else {"pk__lt": first}))
