"""The catalogue as a file of the import's columns, and files of people as the text that the import reads."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from openpyxl import load_workbook

from apps.backoffice.exports.tables import Row
from apps.catalog.models import ProductVariant
from apps.common.money import Money
from apps.inventory.imports import COLUMNS, ImportRefused

BATCH = 500
MOST_ROWS = 5000
"""Of one file on the page. `manage.py import_products` takes files of any length."""

MOST_BYTES = 1_000_000
MOST_UNPACKED = 50_000_000
"""What a workbook may come to once it is unpacked: a small file can be made to fill the memory."""

TOO_LONG = (
    f"The file is too long for this page: {MOST_ROWS} rows and 1 MB at most. `manage.py import_products` takes it."
)


def catalogue_rows(variants: Iterable[str] | None = None) -> Iterator[Row]:
    """A row for each variant and currency, of all variants or of those with these skus; a batch at a time."""
    found = ProductVariant.objects.select_related("product__category").prefetch_related("prices").order_by("pk")
    if variants is not None:
        skus = sorted(set(variants))
        for start in range(0, len(skus), BATCH):
            yield from _rows_of(found.filter(sku__in=skus[start : start + BATCH]))
        return
    last = 0
    while batch := list(found.filter(pk__gt=last)[:BATCH]):
        yield from _rows_of(batch)
        last = batch[-1].pk


def _rows_of(variants: Iterable[ProductVariant]) -> Iterator[Row]:
    for variant in variants:
        product = variant.product
        for price in sorted(variant.prices.all(), key=lambda price: price.currency):
            money = Money(price.amount, price.currency)
            yield [
                variant.sku,
                product.name,
                variant.name,
                product.category.name,
                product.kind,
                money,
                price.currency,
                variant.stock,
            ]


def text_of(upload: UploadedFile[Any]) -> str:
    """A CSV or XLSX file as the text of a CSV file. Raises ImportRefused for what is neither, or too long."""
    if (upload.size or 0) > MOST_BYTES:
        raise ImportRefused([TOO_LONG])
    data = upload.read()
    text = _from_workbook(data) if data[:4] == b"PK\x03\x04" else _from_text(data)
    if text.count("\n") > MOST_ROWS + 1 or len(text.encode()) > MOST_BYTES:
        raise ImportRefused([TOO_LONG])
    return text


def skus_in(text: str) -> set[str]:
    """The skus that a file speaks of, as far as it can be read."""
    try:
        rows = csv.DictReader(io.StringIO(text))
        rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or ()]
        return {sku.strip() for row in rows if (sku := row.get("sku"))}
    except csv.Error:
        return set()


def _from_text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ImportRefused(["The file is neither XLSX nor CSV in UTF-8."]) from None


def _from_workbook(data: bytes) -> str:
    """The first sheet. An empty row stays one, so that lines keep the numbers that people see."""
    line = io.StringIO()
    writer = csv.writer(line)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_UNPACKED:
                raise ImportRefused([TOO_LONG])
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for number, row in enumerate(book.worksheets[0].iter_rows(values_only=True)):
            if number > MOST_ROWS:
                raise ImportRefused([TOO_LONG])
            # Empty cells at the end of a row are not in the file.
            cells = [_cell(value) for value in row[: len(COLUMNS)]]
            writer.writerow([*cells, *[""] * (len(COLUMNS) - len(cells))])
    except ImportRefused:
        raise
    except Exception:  # the library fails in as many ways as a file can be broken
        raise ImportRefused(["The file cannot be read as XLSX. Save it as CSV in UTF-8."]) from None
    return line.getvalue()


def _cell(value: Any) -> str:
    """A cell as it would stand in a CSV file; a line break in it becomes a sign that the import refuses."""
    if value is None:
        return ""
    if isinstance(value, bool | datetime):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value).replace("\r", " ").replace("\n", "\u2028")
