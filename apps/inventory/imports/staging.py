"""The file's rows in a temporary table, where they are held against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from django.db import connection

from apps.inventory.imports.rows import ImportRefused, Row, read_rows

BATCH = 500
MAX_ERRORS = 50

T = TypeVar("T")

CREATE = """
    CREATE TEMPORARY TABLE import_row (
        line integer PRIMARY KEY, sku text NOT NULL, product text NOT NULL, variant text NOT NULL,
        category text NOT NULL, category_slug text NOT NULL, kind text NOT NULL,
        price bigint NOT NULL, currency text NOT NULL, stock bigint
    )
"""

# Rows of one sku differ in price and currency alone.
DIFFERENT_SKU = """
    SELECT r.line, r.sku, f.line FROM import_row r
    JOIN (SELECT sku, min(line) AS line FROM import_row GROUP BY sku) s ON s.sku = r.sku
    JOIN import_row f ON f.line = s.line
    WHERE f.product <> r.product OR f.variant <> r.variant OR f.category_slug <> r.category_slug OR f.kind <> r.kind
       OR f.stock <> r.stock OR (f.stock IS NULL) <> (r.stock IS NULL)
    ORDER BY r.line LIMIT %s
"""
DIFFERENT_PRODUCT = """
    SELECT r.line, r.product, f.line FROM import_row r
    JOIN (SELECT product, min(line) AS line FROM import_row GROUP BY product) p ON p.product = r.product
    JOIN import_row f ON f.line = p.line
    WHERE f.sku <> r.sku AND (f.category_slug <> r.category_slug OR f.kind <> r.kind)
    ORDER BY r.line LIMIT %s
"""
PRICED_TWICE = """
    SELECT r.line, r.sku, r.currency, f.line FROM import_row r
    JOIN (SELECT sku, currency, min(line) AS line FROM import_row GROUP BY sku, currency) f
      ON f.sku = r.sku AND f.currency = r.currency AND f.line < r.line
    ORDER BY r.line LIMIT %s
"""


def fill(path: Path, *, progress: Callable[[int], None]) -> None:
    """Read the file into the table. Raises ImportRefused with what is wrong, by line."""
    errors: list[tuple[int, str]] = []
    with connection.cursor() as cursor:
        cursor.execute(CREATE)
        for rows in batches(_good(read_rows(path, progress=progress), errors)):
            one = f"({', '.join(['%s'] * 10)})"
            cursor.execute(
                f"INSERT INTO import_row VALUES {', '.join([one] * len(rows))}",  # noqa: S608 - placeholders alone
                [value for row in rows for value in row],
            )
        cursor.execute("CREATE INDEX import_row_sku ON import_row (sku)")
        cursor.execute("ANALYZE import_row")
    errors += _disagreements()
    if errors:
        raise ImportRefused([f"line {line}: {problem}" for line, problem in sorted(errors)[:MAX_ERRORS]])


def drop() -> None:
    with connection.cursor() as cursor:
        for table in ("import_row", "import_sku"):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")


def batches(values: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch


def _good(found: Iterable[Row | tuple[int, str]], errors: list[tuple[int, str]]) -> Iterator[Row]:
    """The rows that are right by themselves; what is wrong with the others goes into `errors`."""
    for each in found:
        if isinstance(each, Row):
            yield each
            continue
        errors.append(each)
        if len(errors) == MAX_ERRORS:
            return


def _disagreements() -> Iterator[tuple[int, str]]:
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENT_SKU, [MAX_ERRORS])
        for line, sku, first in cursor.fetchall():
            yield line, f"{sku} differs from line {first} in more than price and currency."
        cursor.execute(DIFFERENT_PRODUCT, [MAX_ERRORS])
        for line, product, first in cursor.fetchall():
            yield line, f"{product} has another category or kind in line {first}."
        cursor.execute(PRICED_TWICE, [MAX_ERRORS])
        for line, sku, currency, first in cursor.fetchall():
            yield line, f"{sku} has a price in {currency} in line {first} already."
