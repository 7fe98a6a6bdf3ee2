"""What every payment writes carries no index that nobody needs. See docs/adr/0015-statements-made-once.md."""

from __future__ import annotations

import pytest
from django.db import connection

from apps.catalog.models import ProductVariant
from apps.inventory.models import StockMovement
from apps.orders.models import Order, OrderTransition
from apps.outbox.models import Delivery
from apps.payment.models import Payment, PaymentLog, StripeWebhookEvent

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

BUSY = [
    model._meta.db_table
    for model in (
        *(Order, OrderTransition, Payment, PaymentLog, StripeWebhookEvent),
        *(Delivery, ProductVariant, StockMovement),
    )
]

INDEXES = """
    SELECT c.relname, t.relname, i.indpred IS NULL AND i.indexprs IS NULL AS whole,
        ARRAY(SELECT a.attname FROM unnest(i.indkey) WITH ORDINALITY k(n, place)
            JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.n ORDER BY k.place) AS columns,
        coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS condition,
        pg_get_indexdef(c.oid) LIKE '%%_pattern_ops%%' AS for_prefixes
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relname = ANY(%s) ORDER BY c.relname
"""


def indexes() -> list[dict[str, object]]:
    with connection.cursor() as cursor:
        cursor.execute(INDEXES, [BUSY])
        names = ("name", "table", "whole", "columns", "condition", "for_prefixes")
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_only_order_numbers_are_looked_for_by_a_prefix() -> None:
    found = [(each["table"], each["columns"]) for each in indexes() if each["for_prefixes"]]
    assert found == [("orders_order", ["number"])]


def test_no_index_begins_as_another_one_does() -> None:
    whole = [each for each in indexes() if each["whole"] and not each["for_prefixes"]]
    assert len(whole) > 20
    covered = [
        (one["name"], other["name"])
        for one in whole
        for other in whole
        if one is not other
        and one["table"] == other["table"]
        and list(other["columns"])[: len(list(one["columns"]))] == one["columns"]
    ]
    assert covered == []


def test_a_sale_changes_no_index_of_its_variant() -> None:
    """A column that an index or its condition names would, and stock and held change with every sale."""
    own = [each for each in indexes() if each["table"] == "catalog_productvariant"]
    assert own
    assert not [
        each for each in own if any(word in f"{each['columns']} {each['condition']}" for word in ("stock", "held"))
    ]
