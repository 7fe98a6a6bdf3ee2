"""Products, prices and stock from a CSV file: all of it or nothing.

The file is read once, row by row, into a temporary table (`staging`), where the rows are held against each other.
What is applied (`applying`) runs in one transaction of set-based statements: memory does not grow with the file, and
buyers wait only while the variants that change are locked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.db import IntegrityError, connection, transaction

from apps.inventory.imports import applying, staging
from apps.inventory.imports.applying import Imported
from apps.inventory.imports.rows import COLUMNS, ImportRefused

__all__ = ["COLUMNS", "ImportRefused", "Imported", "import_products"]


def import_products(
    path: Path,
    *,
    keep_stock: bool = False,
    progress: Callable[[int], None] = lambda line: None,
    before_commit: Callable[[Imported], None] = lambda done: None,
) -> Imported:
    """Apply a file. `keep_stock` leaves the stock of variants that exist alone. Raises ImportRefused.

    `progress` hears of each line that was read. `before_commit` runs when all is applied and not yet committed; what
    it raises undoes the import.
    """
    try:
        if connection.vendor == "postgresql":
            # A pooler may give every transaction another session, and temporary tables belong to a session. No row
            # of the shop is locked while the file is read.
            with transaction.atomic(durable=True):
                staging.fill(path, progress=progress)
                done = applying.apply(keep_stock=keep_stock)
                before_commit(done)
                staging.drop()
            return done
        # SQLite takes its one write lock at BEGIN. Temporary tables are filled without it.
        staging.drop()
        staging.fill(path, progress=progress)
        with transaction.atomic(durable=True):
            done = applying.apply(keep_stock=keep_stock)
            before_commit(done)
        staging.drop()
    except IntegrityError:
        raise ImportRefused(["The catalogue was changed by someone else at the same time. Import again."]) from None
    return done
