"""One line of the file, checked by itself."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from django.utils.text import slugify

from apps.catalog.models import Product
from apps.common import money

COLUMNS = ("sku", "product", "variant", "category", "kind", "price", "currency", "stock")
LENGTHS = {"sku": 64, "product": 200, "variant": 120, "category": 120}
SLUG_LENGTH = 80
MAX_STOCK = 1_000_000_000

# Control characters, line and paragraph separators, and marks that turn the direction of what follows.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
# A spreadsheet that opens an export of the shop would run such a cell.
FORMULA = ("=", "+", "-", "@")


class ImportRefused(Exception):
    """Nothing of the file was applied; `errors` says why, each with its line number."""

    def __init__(self, errors: Sequence[str]) -> None:
        self.errors = list(errors)
        super().__init__(" ".join(self.errors))


class BadRow(ValueError):
    """What is wrong with one line."""


class Row(NamedTuple):
    """`price` in minor units; no stock means that it is not counted."""

    line: int
    sku: str
    product: str
    variant: str
    category: str
    category_slug: str
    kind: str
    price: int
    currency: str
    stock: int | None


def read_rows(path: Path, *, progress: Callable[[int], None]) -> Iterator[Row | tuple[int, str]]:
    """Each line of the file: its row, or its number and what is wrong with it. Raises ImportRefused."""
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            if sorted(header) != sorted(COLUMNS):
                raise ImportRefused([f"line 1: the columns must be {','.join(COLUMNS)}."])
            while True:
                line = reader.line_num + 1  # where a row of several lines, or a broken one, begins
                try:
                    cells = next(reader, None)
                    if cells is None:
                        return
                    if any(cells):
                        yield parse(line, header, cells)
                except BadRow as problem:
                    yield line, str(problem)
                except csv.Error as problem:
                    yield line, f"{problem}."
                progress(reader.line_num)
    except UnicodeDecodeError:
        raise ImportRefused([f"line {line} or soon after: the file is not UTF-8."]) from None
    except OSError as problem:
        raise ImportRefused([f"The file cannot be read: {problem.strerror}."]) from None


def parse(line: int, header: list[str], cells: list[str]) -> Row:
    """The row. Raises BadRow."""
    if len(cells) != len(header):
        raise BadRow(f"{len(cells)} cells, not {len(header)}.")
    cell = dict(zip(header, (text.strip() for text in cells), strict=True))
    for name, longest in LENGTHS.items():
        _check_text(name, cell[name], longest)
    currency = cell["currency"].upper()
    if cell["kind"] not in Product.Kind.values:
        raise BadRow(f"kind is {_short(cell['kind'])}; it takes physical or digital.")
    return Row(
        line=line,
        sku=cell["sku"],
        product=cell["product"],
        variant=cell["variant"],
        category=cell["category"],
        category_slug=_category_slug(cell["category"]),
        kind=cell["kind"],
        price=_price(cell["price"], currency),
        currency=currency,
        stock=_stock(cell["stock"]),
    )


def _check_text(name: str, text: str, longest: int) -> None:
    if not text and name != "variant":
        raise BadRow(f"{name} is empty.")
    if len(text) > longest:
        raise BadRow(f"{name} is longer than {longest} characters.")
    if UNPRINTABLE.search(text):
        raise BadRow(f"{name} has a control character.")
    if text.startswith(FORMULA):
        raise BadRow(f"{name} begins with {text[0]}, as a spreadsheet's formula does.")


@lru_cache(maxsize=1000)
def _category_slug(name: str) -> str:
    """Names in scripts that ASCII cannot spell keep their letters."""
    slug = slugify(name)[:SLUG_LENGTH] or slugify(name, allow_unicode=True)[:SLUG_LENGTH]
    if not slug:
        raise BadRow(f"category {_short(name)} has no letter or digit.")
    return slug


def _price(text: str, currency: str) -> int:
    if currency not in money.CURRENCIES:
        raise BadRow(f"{_short(currency)} is not a currency that Stripe supports.")
    try:
        price = money.to_minor(text, currency)
    except money.InvalidAmount:
        raise BadRow(f"price {_short(text)} is not an amount in {currency}.") from None
    if not 0 <= price <= money.MAX_AMOUNT:
        raise BadRow(f"price {text} is out of range.")
    return price


def _stock(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > MAX_STOCK:
        raise BadRow(f"stock is {_short(text)}; it takes a whole number up to {MAX_STOCK}, or nothing.")
    return int(text)


def _short(text: str) -> str:
    """What a file says, fit for a line on a terminal."""
    return ascii(text if len(text) <= 40 else f"{text[:40]}…")
