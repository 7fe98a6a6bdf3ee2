"""Products, prices and stock from a CSV file: all of it or nothing.

The whole file is read and checked before the database is touched. What is applied runs in one transaction of
batched statements, so that buyers wait for it as short as can be.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Sum
from django.utils.text import slugify

from apps.catalog.models import Category, Price, Product, ProductVariant
from apps.common import money
from apps.inventory.models import StockMovement

COLUMNS = ("sku", "product", "variant", "category", "kind", "price", "currency", "stock")
LENGTHS = {"sku": 64, "product": 200, "variant": 120, "category": 120}
MAX_STOCK = 1_000_000_000
MAX_ERRORS = 50
BATCH = 500

T = TypeVar("T")


class ImportRefused(Exception):
    """Nothing of the file was applied; `errors` says why, each with its line number."""

    def __init__(self, errors: Sequence[str]) -> None:
        self.errors = list(errors)
        super().__init__(f"{len(self.errors)} errors")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file. `price` in minor units; no stock means that it is not counted."""

    line: int
    sku: str
    product: str
    variant: str
    category: str
    kind: str
    price: int
    currency: str
    stock: int | None

    @property
    def shared(self) -> tuple[Any, ...]:
        """What all rows of one sku must agree in."""
        return (self.product, self.variant, self.category, self.kind, self.stock)


@dataclass(frozen=True, slots=True)
class Imported:
    """How many skus were created, changed and found as they should be."""

    created: int
    updated: int
    unchanged: int


def import_products(
    path: Path, *, keep_stock: bool = False, progress: Callable[[int], None] = lambda lines: None
) -> Imported:
    """Apply a file. `keep_stock` leaves the stock of variants that exist alone. Raises ImportRefused."""
    rows = read_rows(path, progress=progress)
    with transaction.atomic(durable=True):
        return _Application(rows, keep_stock=keep_stock).run()


def read_rows(path: Path, *, progress: Callable[[int], None] = lambda lines: None) -> list[Row]:
    """Every row of the file, checked by itself and against the others. Raises ImportRefused."""
    errors: list[str] = []
    rows: list[Row] = []
    first: dict[str, Row] = {}
    priced: set[tuple[str, str]] = set()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            _check_header(next(reader, []))
            for cells in reader:
                progress(reader.line_num)
                if not any(cells):
                    continue
                found = _parse(reader.line_num, cells)
                problem = found if isinstance(found, str) else _disagreement(found, first, priced)
                if problem:
                    errors.append(problem)
                    if len(errors) >= MAX_ERRORS:
                        break
                elif isinstance(found, Row):
                    rows.append(found)
    except UnicodeDecodeError:
        raise ImportRefused(["The file is not UTF-8."]) from None
    except csv.Error as error:
        errors.append(f"line {reader.line_num}: {error}")
    except OSError as error:
        raise ImportRefused([f"The file cannot be read: {error.strerror}."]) from None
    if errors:
        raise ImportRefused(errors)
    return rows


def _check_header(header: list[str]) -> None:
    if tuple(name.strip().lower() for name in header) != COLUMNS:
        raise ImportRefused([f"line 1: the columns must be {','.join(COLUMNS)}."])


def _parse(line: int, cells: list[str]) -> Row | str:
    """The row, or one sentence that says what is wrong with it."""
    if len(cells) != len(COLUMNS):
        return f"line {line}: {len(cells)} cells, not {len(COLUMNS)}."
    cell = dict(zip(COLUMNS, (text.strip() for text in cells), strict=True))
    for name, longest in LENGTHS.items():
        if len(cell[name]) > longest:
            return f"line {line}: {name} is longer than {longest} characters."
        if any(ord(character) < 32 for character in cell[name]):
            return f"line {line}: {name} has a control character."
        if not cell[name] and name != "variant":
            return f"line {line}: {name} is empty."
    if not slugify(cell["category"]):
        return f"line {line}: category {cell['category']!r} has no letter or digit."
    if cell["kind"] not in Product.Kind.values:
        return f"line {line}: kind is {cell['kind']!r}; it takes physical or digital."
    currency = cell["currency"].upper()
    if currency not in money.CURRENCIES:
        return f"line {line}: {cell['currency']!r} is not a currency that Stripe supports."
    try:
        price = money.to_minor(cell["price"], currency)
    except money.InvalidAmount as reason:
        return f"line {line}: {reason}"
    if not 0 <= price <= money.MAX_AMOUNT:
        return f"line {line}: price {cell['price']} is out of range."
    stock = None
    if cell["stock"]:
        if not (cell["stock"].isascii() and cell["stock"].isdigit() and int(cell["stock"][:11]) <= MAX_STOCK):
            return f"line {line}: stock is {cell['stock']!r}; it takes a whole number up to {MAX_STOCK}, or nothing."
        stock = int(cell["stock"])
    return Row(
        line=line,
        sku=cell["sku"],
        product=cell["product"],
        variant=cell["variant"],
        category=cell["category"],
        kind=cell["kind"],
        price=price,
        currency=currency,
        stock=stock,
    )


def _disagreement(row: Row, first: dict[str, Row], priced: set[tuple[str, str]]) -> str:
    leader = first.setdefault(row.sku, row)
    if leader.shared != row.shared:
        return f"line {row.line}: {row.sku} differs from line {leader.line} in more than price and currency."
    if (row.sku, row.currency) in priced:
        return f"line {row.line}: {row.sku} has a price in {row.currency} already."
    priced.add((row.sku, row.currency))
    return ""


class _Application:
    """Writes checked rows, inside one transaction."""

    def __init__(self, rows: list[Row], *, keep_stock: bool) -> None:
        self.rows = rows
        self.keep_stock = keep_stock
        self.leaders: dict[str, Row] = {}
        for row in rows:
            self.leaders.setdefault(row.sku, row)
        self.errors: list[str] = []
        self.changed: set[str] = set()

    def run(self) -> Imported:
        existing = self._lock_existing()
        categories = self._categories()
        products = self._products(categories)
        created = self._create_variants(products, existing)
        self._update_variants(products, existing)
        if self.errors:
            raise ImportRefused(self.errors)
        self._prices(existing | created)
        changed = self.changed - created.keys()
        return Imported(len(created), len(changed), len(self.leaders) - len(created) - len(changed))

    def _lock_existing(self) -> dict[str, ProductVariant]:
        """The variants that exist, locked in pk order as everybody locks them."""
        pks: list[int] = []
        for skus in _batches(self.leaders):
            pks += ProductVariant.objects.filter(sku__in=skus).values_list("pk", flat=True)
        found: dict[str, ProductVariant] = {}
        for some in _batches(sorted(pks)):
            locked = ProductVariant.objects.select_for_update(no_key=True).filter(pk__in=some).order_by("pk")
            found |= {variant.sku: variant for variant in locked}
        return found

    def _categories(self) -> dict[str, Category]:
        names = {slugify(row.category)[:80]: row.category for row in self.leaders.values()}
        found = {category.slug: category for category in Category.objects.all()}
        new = [Category(slug=slug, name=name) for slug, name in names.items() if slug not in found]
        Category.objects.bulk_create(new, batch_size=BATCH)
        return found | {category.slug: category for category in new}

    def _products(self, categories: dict[str, Category]) -> dict[str, Product]:
        """The products of the file by name; existing ones take the file's category and kind."""
        wanted = {row.product: row for row in self.leaders.values()}
        found: dict[str, Product] = {}
        for names in _batches(wanted):
            found |= {product.name: product for product in Product.objects.filter(name__in=names)}
        moved = []
        for name, product in found.items():
            row = wanted[name]
            category = categories[slugify(row.category)[:80]]
            if (product.category_id, product.kind) != (category.pk, row.kind):
                product.category, product.kind = category, row.kind
                moved.append(product)
                self.changed |= {row.sku}
        Product.objects.bulk_update(moved, ["category", "kind"], batch_size=BATCH)
        new_names = [name for name in wanted if name not in found]
        slugs = self._free_slugs(new_names)
        new = [
            Product(
                slug=slugs[name],
                name=name,
                category=categories[slugify(wanted[name].category)[:80]],
                kind=wanted[name].kind,
            )
            for name in new_names
        ]
        Product.objects.bulk_create(new, batch_size=BATCH)
        return found | {product.name: product for product in new}

    def _free_slugs(self, names: list[str]) -> dict[str, str]:
        stems = {name: slugify(name)[:120] or "product" for name in names}
        taken: set[str] = set()
        for some in _batches(set(stems.values())):
            taken |= set(Product.objects.filter(slug__in=some).values_list("slug", flat=True))
        free: dict[str, str] = {}
        for name, stem in stems.items():
            slug, number = stem, 2
            while slug in taken or (number > 2 and Product.objects.filter(slug=slug).exists()):
                slug, number = f"{stem}-{number}", number + 1
            taken.add(slug)
            free[name] = slug
        return free

    def _create_variants(
        self, products: dict[str, Product], existing: dict[str, ProductVariant]
    ) -> dict[str, ProductVariant]:
        new = [
            ProductVariant(
                sku=row.sku,
                product=products[row.product],
                name=row.variant,
                stock=row.stock,
                opening_stock=row.stock,
            )
            for row in self.leaders.values()
            if row.sku not in existing
        ]
        ProductVariant.objects.bulk_create(new, batch_size=BATCH)
        return {variant.sku: variant for variant in new}

    def _update_variants(self, products: dict[str, Product], existing: dict[str, ProductVariant]) -> None:
        renamed, restocked, movements = [], [], []
        for sku, variant in existing.items():
            row = self.leaders[sku]
            product = products[row.product]
            if (variant.product_id, variant.name) != (product.pk, row.variant):
                variant.product, variant.name = product, row.variant
                renamed.append(variant)
                self.changed.add(sku)
            if self.keep_stock or row.stock == variant.stock:
                continue
            if self._refuses_stock(row, variant):
                continue
            self.changed.add(sku)
            if row.stock is not None and variant.stock is not None:
                movements.append(
                    StockMovement(
                        variant=variant,
                        quantity=row.stock - variant.stock,
                        kind=StockMovement.Kind.IMPORT,
                        reason=f"line {row.line}",
                    )
                )
            else:
                variant.opening_stock = row.stock
            variant.stock = row.stock
            restocked.append(variant)
        ProductVariant.objects.bulk_update(renamed, ["product", "name"], batch_size=BATCH)
        ProductVariant.objects.bulk_update(restocked, ["stock", "opening_stock"], batch_size=BATCH)
        StockMovement.objects.bulk_create(movements, batch_size=BATCH)

    def _refuses_stock(self, row: Row, variant: ProductVariant) -> bool:
        if row.stock is not None and variant.stock is not None:
            if row.stock < variant.held:
                self.errors.append(f"line {row.line}: {variant.held} of {row.sku} are held by open orders.")
                return True
            return False
        used = ProductVariant.objects.filter(pk=variant.pk, order_items__isnull=False).exists()
        moved = StockMovement.objects.filter(variant=variant).aggregate(n=Sum("quantity"))["n"]
        if used or variant.held or moved is not None:
            self.errors.append(
                f"line {row.line}: {row.sku} was ordered or moved already; whether its stock is counted stays as it is."
            )
            return True
        return False

    def _prices(self, variants: dict[str, ProductVariant]) -> None:
        present: dict[tuple[int, str], int] = {}
        for some in _batches(sorted(variant.pk for variant in variants.values())):
            for pk, currency, amount in Price.objects.filter(variant__in=some).values_list(
                "variant_id", "currency", "amount"
            ):
                present[pk, currency] = amount
        wrong = []
        for row in self.rows:
            variant = variants[row.sku]
            if present.get((variant.pk, row.currency)) != row.price:
                wrong.append(Price(variant=variant, currency=row.currency, amount=row.price))
                self.changed.add(row.sku)
        Price.objects.bulk_create(
            wrong,
            batch_size=BATCH,
            update_conflicts=True,
            unique_fields=["variant", "currency"],
            update_fields=["amount"],
        )


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, BATCH)):
        yield batch
