"""Fill an empty, migrated database with paid orders, a million in minutes.

`python -m benchmarks.seed_orders --orders 1000000`. The database is the one of DATABASE_URL, PostgreSQL or SQLite.
Every invariant holds for what is written: lines, holds, sales, logs, payments, events, deliveries, refunds of every
twentieth order. Rows are made inside the database from a series of numbers; columns that are not named here get their
model's default.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proshop.settings.production")
django.setup()

from django.db import connection, transaction
from django.db.models import NOT_PROVIDED, Model

from apps.accounts.models import User
from apps.catalog.models import Category, Price, Product, ProductVariant
from apps.inventory.models import StockHold, StockMovement
from apps.orders.models import Order, OrderItem, OrderTransition
from apps.outbox.models import Delivery
from apps.payment.models import Payment, PaymentLog, Refund, StripeWebhookEvent

VARIANTS, USERS = 1000, 5000
PRICE = 1250
OPENING_STOCK = 100_000_000
REFUND = 100
REFUNDED = 20
"""Every twentieth order has a part of its money back."""

POSTGRES = connection.vendor == "postgresql"
# A minute and a half between two orders: a million take three years.
AT = (
    "(timestamptz '2024-01-01 00:00:00+00' + n * interval '90 seconds')"
    if POSTGRES
    else "strftime('%Y-%m-%d %H:%M:%S', '2024-01-01', (n * 90) || ' seconds')"
)
HEX = "lpad(to_hex(n), 32, '0')" if POSTGRES else "printf('%032x', n)"
DAY = f"to_char({AT} AT TIME ZONE 'UTC', 'YYYYMMDD')" if POSTGRES else f"strftime('%Y%m%d', {AT})"
# Two lines in every second order, of different variants.
LINES = "(1 + n % 2)"
TOTAL = f"({PRICE} * (2 + n % 2))"
FIRST, SECOND = f"(1 + n % {VARIANTS})", f"(1 + (n + 1) % {VARIANTS})"
TRUE, FALSE = ("true", "false") if POSTGRES else ("1", "0")


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def insert(model: type[Model], orders: int, where: str = TRUE, **columns: str) -> None:
    """One row of a model for each order that `where` lets pass; `columns` are SQL over the order's number n."""
    named: dict[str, str] = {}
    for field in model._meta.concrete_fields:
        given = columns.pop(field.attname, None)
        if given is None and field.primary_key:
            continue
        named[field.column] = given if given is not None else literal(field)
    assert not columns, columns
    series = (
        f"generate_series(1, {orders}) AS s(n)"
        if POSTGRES
        else f"(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {orders}) SELECT n FROM s)"
    )
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({', '.join(named)}) "
            f"SELECT {', '.join(named.values())} FROM {series} WHERE {where}"
        )
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {cursor.rowcount:>9} {model._meta.label}\n")
        sys.stdout.flush()


def literal(field: Any) -> str:
    """A field's default as SQL; now for what is stamped by the model."""
    if getattr(field, "auto_now_add", False) or getattr(field, "auto_now", False):
        return AT
    if field.default is NOT_PROVIDED and field.null:
        return "NULL"
    value = field.get_default()
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict | list):
        return text(str(value).replace("'", '"'))
    return text(str(value))


def seed(orders: int) -> None:
    catalogue()
    insert(
        Order,
        orders,
        id="n",
        number=f"'ORD-' || {DAY} || '-' || n",
        public_id=HEX,
        user_id=f"CASE WHEN n % 3 = 0 THEN 1 + n % {USERS} END",
        email="'buyer' || n || '@example.com'",
        status=text("confirmed"),
        payment_status=f"CASE WHEN n % {REFUNDED} = 0 THEN 'partially_refunded' ELSE 'paid' END",
        currency=text("USD"),
        subtotal=TOTAL,
        total=TOTAL,
        transitions=f"CASE WHEN n % {REFUNDED} = 0 THEN 3 ELSE 2 END",
        created_at=AT,
        paid_at=AT,
        cart_settled_at=AT,
    )
    lines(orders)
    logs(orders)
    payments(orders)
    finish()


def catalogue() -> None:
    category = Category.objects.create(slug="seed", name="Seed")
    products = Product.objects.bulk_create(
        Product(id=n, slug=f"seed-{n}", name=f"Seed {n}", category=category) for n in range(1, VARIANTS + 1)
    )
    variants = ProductVariant.objects.bulk_create(
        ProductVariant(id=p.pk, product=p, sku=f"SEED-{p.pk}", stock=OPENING_STOCK, opening_stock=OPENING_STOCK)
        for p in products
    )
    Price.objects.bulk_create(Price(variant=v, currency="USD", amount=PRICE) for v in variants)
    User.objects.bulk_create(User(id=n, email=f"user{n}@example.com", password="!") for n in range(1, USERS + 1))


def lines(orders: int) -> None:
    """Two of the first variant, and in every second order one of the next."""
    for variant, quantity, where in ((FIRST, 2, TRUE), (SECOND, 1, "n % 2 = 1")):
        insert(
            OrderItem,
            orders,
            where,
            order_id="n",
            variant_id=variant,
            sku=f"'SEED-' || {variant}",
            name=f"'Seed ' || {variant}",
            kind=text("physical"),
            quantity=str(quantity),
            unit_price=str(PRICE),
            line_total=str(PRICE * quantity),
        )
        ended = {"order_id": "n", "variant_id": variant, "created_at": AT}
        insert(StockHold, orders, where, **ended, quantity=str(quantity), state=text("sold"), ended_at=AT)
        insert(StockMovement, orders, where, **ended, quantity=str(-quantity), kind=text("sale"))


def logs(orders: int) -> None:
    steps = (
        (1, ("", "pending"), ("", "pending"), "placed", TRUE),
        (2, ("pending", "confirmed"), ("pending", "paid"), "paid", TRUE),
        (3, ("confirmed", "confirmed"), ("paid", "partially_refunded"), "refunded", f"n % {REFUNDED} = 0"),
    )
    for seq, status, payment_status, reason, where in steps:
        insert(
            OrderTransition,
            orders,
            where,
            order_id="n",
            seq=str(seq),
            from_status=text(status[0]),
            to_status=text(status[1]),
            from_payment_status=text(payment_status[0]),
            to_payment_status=text(payment_status[1]),
            reason=text(reason),
            at=AT,
        )


def payments(orders: int) -> None:
    partial = f"n % {REFUNDED} = 0"
    insert(
        Payment,
        orders,
        id="n",
        order_id="n",
        attempt="1",
        reference=f"'pp_' || {HEX}",
        status=f"CASE WHEN {partial} THEN 'partially_refunded' ELSE 'succeeded' END",
        applied=TRUE,
        amount=TOTAL,
        amount_captured=TOTAL,
        amount_refunded=f"CASE WHEN {partial} THEN {REFUND} ELSE 0 END",
        currency=text("USD"),
        livemode=FALSE,
        idempotency_key=f"'pp_' || {HEX} || '-1'",
        request_params=text("{}"),
        stripe_session_id=f"'cs_test_' || {HEX}",
        stripe_payment_intent_id=f"'pi_' || {HEX}",
        stripe_charge_id=f"'ch_' || {HEX}",
        session_status=text("complete"),
        session_payment_status=text("paid"),
        created_at=AT,
        paid_at=AT,
    )
    steps = {"opened": "''", "session_opened": f"'cs_test_' || {HEX}", "succeeded": f"'pp_' || {HEX}"}
    for kind, object_id in steps.items():
        settled = text("succeeded" if kind == "succeeded" else "pending")
        insert(PaymentLog, orders, payment_id="n", kind=text(kind), object_id=object_id, to_status=settled, at=AT)
    insert(
        Refund,
        orders,
        partial,
        payment_id="n",
        reference=f"'pr_' || {HEX}",
        amount=str(REFUND),
        currency=text("USD"),
        status=text("succeeded"),
        reason=text("requested_by_customer"),
        idempotency_key=f"'pr_' || {HEX} || '-1'",
        stripe_refund_id=f"'re_' || {HEX}",
        stripe_status=text("succeeded"),
        created_at=AT,
        succeeded_at=AT,
    )
    insert(
        StripeWebhookEvent,
        orders,
        stripe_id=f"'evt_' || {HEX}",
        type=text("checkout.session.completed"),
        object_id=f"'cs_test_' || {HEX}",
        livemode=FALSE,
        created=AT,
        payload=text("{}"),
        sha256=HEX,
        received_at=AT,
        waiting_since=AT,
        due_at=AT,
        state=text("done"),
        done_at=AT,
    )
    insert(
        Delivery,
        orders,
        kind=text("order.paid"),
        key="CAST(n AS text)",
        subscriber=text("mail"),
        payload=text("{}"),
        state=text("done"),
        due_at=AT,
        created_at=AT,
        done_at=AT,
    )


def finish() -> None:
    """Stock as the sales left it, ids that go on after those given, and the planner's knowledge of it all."""
    moved = f"(SELECT sum(quantity) FROM {StockMovement._meta.db_table} m WHERE m.variant_id = v.id)"
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {ProductVariant._meta.db_table} AS v SET stock = opening_stock + {moved}")
        if POSTGRES:
            for model in (User, Product, ProductVariant, Order, Payment):
                table = model._meta.db_table
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seed_orders")
    parser.add_argument("--orders", type=int, default=1_000_000)
    count = parser.parse_args().orders
    if Order.objects.exists() or ProductVariant.objects.exists():
        sys.exit("This database is not empty.")
    began = time.monotonic()
    with transaction.atomic():
        seed(count)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if POSTGRES else "ANALYZE")
    sys.stdout.write(f"{time.monotonic() - began:7.1f} s  in all\n")


if __name__ == "__main__":
    main()
