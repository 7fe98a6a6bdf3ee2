"""Order numbers: a counter per day (UTC) that is safe under concurrency."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection


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
