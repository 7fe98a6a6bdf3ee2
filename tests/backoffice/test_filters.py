"""Filters and searches of long lists: an index answers, and no list looks through its table for a filter's choices."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.catalog.models import ProductVariant
from apps.inventory.models import StockMovement
from apps.orders.models import Order
from apps.outbox.models import Delivery
from apps.payment.models import Payment
from tests.backoffice.rows import Books
from tests.support.shop import make_variant
from tests.support.staff import owner

pytestmark = pytest.mark.django_db


def found(client: Client, model: Any, **query: str) -> list[int]:
    page = client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"), query)
    assert page.status_code == 200
    return [row.pk for row in page.context["cl"].result_list]


FEW = {"payment.Dispute", "payment.AttentionCase", "common.IdempotencyKey"}
"""Tables that stay small, as do those of catalogue and people."""


def test_no_list_reads_its_whole_table_for_the_choices_of_a_filter() -> None:
    client = owner()
    reading = set()
    for model in admin.site._registry:
        if model._meta.app_label in ("catalog", "accounts", "auth"):
            continue
        with CaptureQueriesContext(connection) as captured:
            found(client, model)
        choices = re.compile(rf'DISTINCT .* FROM "{model._meta.db_table}"')
        reading |= {model._meta.label for query in captured.captured_queries if choices.search(query["sql"])}
    assert reading == FEW


def test_deliveries_are_filtered_by_what_the_shop_publishes() -> None:
    now = timezone.now()
    rows = [
        Delivery.objects.create(kind=kind, key="1", subscriber=name, payload="{}", due_at=now, created_at=now)
        for kind, name in (("order.paid", "mail"), ("order.paid", "cart"), ("order.shipped", "mail"))
    ]
    client = owner()
    assert set(found(client, Delivery, kind="order.paid")) == {rows[0].pk, rows[1].pk}
    assert set(found(client, Delivery, subscriber="mail")) == {rows[0].pk, rows[2].pk}
    page = client.get(reverse("admin:outbox_delivery_changelist")).content.decode()
    assert "enrollment.withdrawn" in page


def test_payments_are_found_by_an_address_whole_or_begun() -> None:
    books = Books(0, timezone.now())
    orders = [books.order("USD", 1000, at=books.now) for _ in range(3)]
    for order, email in zip(orders, ("Ada@Example.com", "ada@example.com.au", "bob@example.com"), strict=True):
        Order.objects.filter(pk=order.pk).update(email=email)
    payments = [books.paid(order, at=books.now).pk for order in orders]
    client = owner()
    assert found(client, Payment, q="ADA@example.com") == [payments[0]]
    assert set(found(client, Payment, q="ada@")) == {payments[0], payments[1]}
    assert found(client, Payment, q="nobody@example.com") == []


def test_movements_are_found_by_sku_or_order() -> None:
    mug, seven = make_variant("MUG", stock=5), make_variant("77-SEVEN", stock=5)
    by_order = StockMovement.objects.create(variant=mug, quantity=1, kind="restock", order_id=77, reason="")
    by_sku = StockMovement.objects.create(variant=seven, quantity=1, kind="restock", reason="")
    client = owner()
    assert {by_order.pk, by_sku.pk} <= set(found(client, StockMovement, q="77"))
    assert by_sku.pk not in found(client, StockMovement, q="MUG")
    assert found(client, StockMovement, q="MUGS") == []
    for many in (30, 5000):  # Python reads no number of more than 4,300 digits
        assert found(client, StockMovement, q="9" * many) == []
    assert ProductVariant.objects.count() == 2
