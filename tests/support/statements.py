"""Counting statements as the budgets do: without transaction control, limits, idempotency keys and sign-in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from django.db import connection
from django.test.utils import CaptureQueriesContext

FREE = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "PRAGMA", "SET ", "RESET ")
FREE_TABLES = ("common_limitcount", "common_idempotencykey", "django_session")


def counted(captured: Iterable[Mapping[str, str]]) -> list[str]:
    """Those of the captured statements that a budget counts."""
    return [
        query["sql"]
        for query in captured
        if not query["sql"].upper().startswith(FREE) and not any(table in query["sql"] for table in FREE_TABLES)
    ]


@contextmanager
def statements() -> Iterator[Callable[[], int]]:
    """`with statements() as count:`, and `count()` afterwards."""
    with CaptureQueriesContext(connection) as captured:
        yield lambda: len(counted(captured.captured_queries))
