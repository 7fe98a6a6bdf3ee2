"""A word that stands in every field a person fills in, and where it is found afterwards."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.db.models import Count, Sum

from apps.accounts.privacy.holders import Subject, holders
from apps.common.logs import json_formatter
from apps.inventory.models import StockMovement
from apps.invoices.models import Document
from apps.orders.models import Order, OrderItem, OrderTransition
from apps.payment.models import Dispute, Payment, PaymentLog, Refund, RefundItem, StripeWebhookEvent

WORD = "zqxcanary"
EMAIL = f"{WORD}.person@example.com"


def canary(field: str) -> str:
    """What a person types into a field."""
    return f"{WORD.capitalize()} {field}"


def found_in_database() -> dict[str, list[str]]:
    """The columns of each table in which the word stands, whatever the table is for."""
    found: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names of our own tables
            names = [column[0] for column in cursor.description]
            columns = {
                name for row in cursor.fetchall() for name, value in zip(names, row, strict=True) if _has_word(value)
            }
            if columns:
                found[table] = sorted(columns)
    return found


def _has_word(value: Any) -> bool:
    if isinstance(value, bytes | memoryview):
        value = bytes(value).decode("latin-1")
    text = str(value)
    if ":" in text and len(text) < 10_000:
        text += json.dumps(SessionStore().decode(text), default=str)  # a session is packed and signed
    return WORD in text.lower()


@contextmanager
def logs() -> Iterator[io.StringIO]:
    """Everything from INFO on, as a shop in production writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(json_formatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def books() -> dict[str, Any]:
    """Counts and sums of everything that is about money."""
    sums = {
        Order: ("subtotal", "discount", "shipping", "tax", "total"),
        OrderItem: ("quantity", "unit_price", "line_total", "refunded_quantity"),
        Payment: ("amount", "amount_captured", "amount_refunded", "amount_lost"),
        Refund: ("amount",),
        Dispute: ("amount", "net_moved"),
        Document: ("total", "tax"),
        StockMovement: ("quantity",),
    }
    counted = {
        model._meta.label: model._default_manager.aggregate(rows=Count("pk"), **{name: Sum(name) for name in names})
        for model, names in sums.items()
    }
    plain = (OrderTransition, PaymentLog, RefundItem, StripeWebhookEvent)
    return counted | {model._meta.label: model._default_manager.count() for model in plain}


@contextmanager
def erasing_otherwise(name: str, erase: Callable[[Subject], None]) -> Iterator[None]:
    """The app of this name does something else when a person is to be forgotten."""
    place = next(number for number, holder in enumerate(holders) if holder.name == name)
    whole, holders[place] = holders[place], replace(holders[place], erase=erase)
    try:
        yield
    finally:
        holders[place] = whole
