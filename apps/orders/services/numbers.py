"""Order numbers: a counter per day (UTC) that is safe under concurrency."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from django.db import connection

NUMBER = re.compile(r"ORD-(\d{8})-(\d{5,9})", re.ASCII)


def next_number() -> str:
    """`ORD-YYYYMMDD-NNNNN`. One statement; its row stays locked until the caller's transaction ends."""
    day = datetime.now(tz=UTC).date()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_ordercounter (day, last) VALUES (%s, 1) "
            "ON CONFLICT (day) DO UPDATE SET last = orders_ordercounter.last + 1 RETURNING last",
            [day],
        )
        last = int(cursor.fetchone()[0])
    return f"ORD-{day:%Y%m%d}-{last:05d}"


def day_of(number: str) -> date | None:
    """The day that an order number was given on, or None for what is no order number."""
    found = NUMBER.fullmatch(number)
    try:
        return datetime.strptime(found[1], "%Y%m%d").date() if found else None
    except ValueError:
        return None


def note_number(number: str) -> None:
    """Have the day's counter go on after a number that was given out and forgotten."""
    day = day_of(number)
    if day is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_ordercounter (day, last) VALUES (%s, %s) ON CONFLICT (day) DO UPDATE "
            "SET last = excluded.last WHERE orders_ordercounter.last < excluded.last",
            [day, int(number.rpartition("-")[2])],
        )
