"""From the staged rows to the shop, inside one transaction.

What nobody waits for (categories, products, new variants, prices) is written first. Then the variants that change
are locked in pk order, checked and written: until the commit, only buyers of those wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q
from django.utils import timezone
from django.utils.text import slugify

from apps.catalog.models import Category, Product, ProductVariant
from apps.inventory.imports.rows import ImportRefused
from apps.inventory.imports.staging import MAX_ERRORS, batches

LONGEST_STEM = 120

NEW_CATEGORIES = """
    SELECT category_slug, min(category) FROM import_row r
    WHERE NOT EXISTS (SELECT 1 FROM catalog_category c WHERE c.slug = r.category_slug)
    GROUP BY category_slug ORDER BY min(line)
"""

# One row per sku beside the variant that has it, and whether anything of it differs from the shop.
SKUS = """
    CREATE TEMPORARY TABLE import_sku AS
    SELECT r.line, r.sku, r.product, r.variant, r.kind, r.stock, c.id AS category_id,
           v.id AS variant_id, CASE WHEN p.name = r.product THEN p.id END AS product_id,
           v.id IS NOT NULL AND (
               p.name <> r.product OR p.category_id <> c.id OR p.kind <> r.kind OR v.name <> r.variant
               OR ({compare_stock} AND (v.stock <> r.stock OR (v.stock IS NULL) <> (r.stock IS NULL)))
               OR EXISTS (
                   SELECT 1 FROM import_row o
                   LEFT JOIN catalog_price a ON a.variant_id = v.id AND a.currency = o.currency
                   WHERE o.sku = r.sku AND (a.id IS NULL OR a.amount <> o.price)
               )
           ) AS changed
    FROM (SELECT min(line) AS line FROM import_row GROUP BY sku) first
    JOIN import_row r ON r.line = first.line
    JOIN catalog_category c ON c.slug = r.category_slug
    LEFT JOIN catalog_productvariant v ON v.sku = r.sku
    LEFT JOIN catalog_product p ON p.id = v.product_id
"""

# All variants of a product come under one name that no product has: it is the same product, with its address,
# description and picture.
RENAME_PRODUCTS = """
    UPDATE catalog_product SET name = renamed.name
    FROM (
        SELECT min(product_id) AS id, name
        FROM (
            SELECT v.product_id, min(s.product) AS name
            FROM catalog_productvariant v LEFT JOIN import_sku s ON s.variant_id = v.id
            WHERE v.product_id IN (
                SELECT product_id FROM catalog_productvariant
                WHERE id IN (SELECT variant_id FROM import_sku WHERE changed AND product_id IS NULL)
            )
            GROUP BY v.product_id
            HAVING count(s.variant_id) = count(*) AND min(s.product) = max(s.product)
        ) whole
        WHERE NOT EXISTS (SELECT 1 FROM catalog_product p WHERE p.name = whole.name)
        GROUP BY name
    ) renamed
    WHERE renamed.id = catalog_product.id
"""
FIND_PRODUCTS = """
    UPDATE import_sku SET product_id = p.id
    FROM (
        SELECT name, min(id) AS id FROM catalog_product
        WHERE name IN (SELECT product FROM import_sku WHERE product_id IS NULL) GROUP BY name
    ) p
    WHERE import_sku.product_id IS NULL AND p.name = import_sku.product
"""
NEW_PRODUCTS = """
    SELECT product, min(category_id), min(kind) FROM import_sku WHERE product_id IS NULL
    GROUP BY product ORDER BY min(line)
"""
MOVE_PRODUCTS = """
    UPDATE catalog_product SET category_id = s.category_id, kind = s.kind
    FROM (SELECT DISTINCT product_id, category_id, kind FROM import_sku) s
    WHERE s.product_id = catalog_product.id
      AND (catalog_product.category_id <> s.category_id OR catalog_product.kind <> s.kind)
"""
NEW_VARIANTS = """
    INSERT INTO catalog_productvariant (product_id, sku, name, active, position, stock, held, opening_stock)
    SELECT product_id, sku, variant, TRUE, 0, stock, 0, stock FROM import_sku WHERE variant_id IS NULL ORDER BY line
"""
PRICES = """
    INSERT INTO catalog_price (variant_id, currency, amount)
    SELECT v.id, r.currency, r.price FROM import_row r
    JOIN catalog_productvariant v ON v.sku = r.sku
    LEFT JOIN catalog_price a ON a.variant_id = v.id AND a.currency = r.currency
    WHERE a.id IS NULL OR a.amount <> r.price ORDER BY r.line
    ON CONFLICT (variant_id, currency) DO UPDATE SET amount = excluded.amount
"""

LOCK = """
    SELECT count(*) FROM (
        SELECT v.id FROM catalog_productvariant v
        WHERE v.id IN (SELECT variant_id FROM import_sku WHERE changed) ORDER BY v.id {for_update}
    ) locked
"""
KEEP_STOCK = """
    UPDATE import_sku SET stock = v.stock FROM catalog_productvariant v WHERE v.id = import_sku.variant_id
"""
BELOW_HELD = """
    SELECT s.line, s.sku, v.held FROM import_sku s JOIN catalog_productvariant v ON v.id = s.variant_id
    WHERE s.changed AND s.stock < v.held ORDER BY s.line LIMIT %s
"""
SWITCHED = """
    SELECT s.variant_id, s.line, s.sku FROM import_sku s JOIN catalog_productvariant v ON v.id = s.variant_id
    WHERE s.changed AND (s.stock IS NULL) <> (v.stock IS NULL)
"""
MOVEMENTS = """
    INSERT INTO inventory_stockmovement (variant_id, quantity, kind, reason, created_at)
    SELECT v.id, s.stock - v.stock, 'import', 'line ' || s.line, %s
    FROM import_sku s JOIN catalog_productvariant v ON v.id = s.variant_id
    WHERE s.changed AND s.stock <> v.stock ORDER BY v.id
"""
# Where counting begins or ends, so does the opening stock.
VARIANTS = """
    UPDATE catalog_productvariant SET
        product_id = s.product_id, name = s.variant, stock = s.stock,
        opening_stock = CASE WHEN s.stock IS NULL OR catalog_productvariant.stock IS NULL THEN s.stock
                             ELSE catalog_productvariant.opening_stock END
    FROM import_sku s
    WHERE s.changed AND s.variant_id = catalog_productvariant.id AND (
        catalog_productvariant.product_id <> s.product_id OR catalog_productvariant.name <> s.variant
        OR catalog_productvariant.stock <> s.stock OR (catalog_productvariant.stock IS NULL) <> (s.stock IS NULL)
    )
"""
COUNT = """
    SELECT count(*), coalesce(sum(CASE WHEN variant_id IS NULL THEN 1 ELSE 0 END), 0),
           coalesce(sum(CASE WHEN changed THEN 1 ELSE 0 END), 0)
    FROM import_sku
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """How many skus were created, changed and found as they should be."""

    created: int
    updated: int
    unchanged: int


def apply(*, keep_stock: bool) -> Imported:
    """Make the shop as the staged rows say. Raises ImportRefused; the caller's transaction is to be rolled back."""
    # Two imports wait for each other here, so that they do not make the same product twice.
    list(Category.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    with connection.cursor() as cursor:
        _create_categories(cursor)
        cursor.execute(SKUS.format(compare_stock="FALSE" if keep_stock else "TRUE"))
        cursor.execute("ANALYZE import_sku")
        total, created, updated = _row(cursor, COUNT)
        cursor.execute(RENAME_PRODUCTS)
        cursor.execute(FIND_PRODUCTS)
        _create_products(cursor)
        cursor.execute(FIND_PRODUCTS)
        cursor.execute(MOVE_PRODUCTS)
        cursor.execute(NEW_VARIANTS)
        cursor.execute(PRICES)
        _change_variants(cursor, keep_stock=keep_stock)
    return Imported(created, updated, total - created - updated)


def _create_categories(cursor: Any) -> None:
    for some in batches(_rows(cursor, NEW_CATEGORIES)):
        Category.objects.bulk_create(Category(slug=slug, name=name) for slug, name in some)


def _create_products(cursor: Any) -> None:
    numbers: dict[str, int] = {}
    for some in batches(_rows(cursor, NEW_PRODUCTS)):
        slugs = _free_slugs([name for name, _, _ in some], numbers)
        Product.objects.bulk_create(
            Product(slug=slugs[name], name=name, category_id=category, kind=kind) for name, category, kind in some
        )


def _free_slugs(names: list[str], numbers: dict[str, int]) -> dict[str, str]:
    """A slug for each name that no product has. `numbers` remembers how far a stem that was taken is counted."""
    stems = {name: slugify(name)[:LONGEST_STEM] or "product" for name in names}
    free: dict[str, str] = {}
    while waiting := [name for name in names if name not in free]:
        tried: dict[str, str] = {}
        for name in waiting:
            stem = stems[name]
            tried[name] = f"{stem}-{numbers[stem]}" if stem in numbers else stem
            if stem in numbers:
                numbers[stem] += 1
        taken = {*free.values(), *Product.objects.filter(slug__in=tried.values()).values_list("slug", flat=True)}
        for name, slug in tried.items():
            if slug in taken:
                numbers.setdefault(stems[name], 2)
            else:
                free[name] = slug
                taken.add(slug)
    return free


def _change_variants(cursor: Any, *, keep_stock: bool) -> None:
    locks = connection.features.has_select_for_update
    cursor.execute(LOCK.format(for_update="FOR NO KEY UPDATE OF v" if locks else ""))
    if keep_stock:
        cursor.execute(KEEP_STOCK)
    cursor.execute(BELOW_HELD, [MAX_ERRORS])
    errors = [(line, f"{held} of {sku} are held by open orders.") for line, sku, held in cursor.fetchall()]
    errors += _refused_switches(cursor)
    if errors:
        raise ImportRefused([f"line {line}: {problem}" for line, problem in sorted(errors)[:MAX_ERRORS]])
    cursor.execute(MOVEMENTS, [connection.ops.adapt_datetimefield_value(timezone.now())])
    cursor.execute(VARIANTS)


def _refused_switches(cursor: Any) -> Iterator[tuple[int, str]]:
    """Between counted and not counted only what was neither ordered nor moved may change.

    An order that was placed before would be paid without its sale, or sold without its hold.
    """
    used = Q(held__gt=0) | Q(movements__isnull=False) | Q(order_items__isnull=False)
    for some in batches(_rows(cursor, SWITCHED)):
        lines = {pk: (line, sku) for pk, line, sku in some}
        for pk in set(ProductVariant.objects.filter(used, pk__in=lines).values_list("pk", flat=True)):
            line, sku = lines[pk]
            yield line, f"{sku} was ordered or moved already; whether its stock is counted stays as it is."


def _rows(cursor: Any, statement: str) -> list[tuple[Any, ...]]:
    cursor.execute(statement)
    found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _row(cursor: Any, statement: str) -> tuple[int, int, int]:
    cursor.execute(statement)
    row: tuple[int, int, int] = cursor.fetchone()
    return row
