"""An import that is looked at before it is made: the same code runs twice, and the first run is undone."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.accounts.models import User
from apps.audit.services import record
from apps.backoffice.models import Books
from apps.backoffice.shelves.files import catalogue_rows, skus_in
from apps.inventory.imports import COLUMNS, Imported, import_products

Image = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Change:
    """One value that an import changes; what is new was nothing before."""

    row: str
    column: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What an import would do."""

    done: Imported
    changes: list[Change]


class _OnlyLooking(Exception):
    """Ends a check, and with it the transaction that the check wrote in."""


def check(text: str, *, keep_stock: bool) -> Checked:
    """Import a file, look at what became of it, and undo all of it. Raises ImportRefused."""
    skus = skus_in(text)
    before = _image_of(skus)
    found: list[Checked] = []

    def look(done: Imported) -> None:
        found.append(Checked(done, list(_changes(before, _image_of(skus)))))
        raise _OnlyLooking

    with suppress(_OnlyLooking):
        _import(text, keep_stock=keep_stock, before_commit=look)
    return found[0]


def apply(text: str, *, keep_stock: bool, by: User, name: str, reason: str) -> Imported:
    """Import a file and keep in the trail who did it, why, and every value before and after. Raises ImportRefused."""
    skus = skus_in(text)
    before = _image_of(skus)

    def keep(done: Imported) -> None:
        told = f"{done.created} created, {done.updated} updated, {done.unchanged} unchanged."
        digest = hashlib.sha256(text.encode()).hexdigest()
        detail = f"Catalogue from {name}, SHA-256 {digest[:16]}. {told}"
        record(by, "imported", Books(pk=0), before, _image_of(skus), reason, detail=detail)

    return _import(text, keep_stock=keep_stock, before_commit=keep)


def _import(text: str, *, keep_stock: bool, before_commit: Callable[[Imported], None]) -> Imported:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalogue.csv"
        path.write_text(text, encoding="utf-8", newline="")
        return import_products(path, keep_stock=keep_stock, before_commit=before_commit)


def _image_of(skus: Iterable[str]) -> Image:
    """What the shop has of these skus, by sku and currency."""
    image: Image = {}
    for cells in catalogue_rows(skus):
        row: dict[str, Any] = dict(zip(COLUMNS, cells, strict=True))
        name = f"{row.pop('sku')} {row.pop('currency')}"
        image[name] = {column: "" if cell is None else str(cell) for column, cell in row.items()}
    return image


def _changes(before: Image, after: Image) -> Iterable[Change]:
    for name, row in after.items():
        old = before.get(name, {})
        for column, value in row.items():
            if value != old.get(column, ""):
                yield Change(name, column, old.get(column, ""), value)
