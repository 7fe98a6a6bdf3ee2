"""Invariants of the big tables: one statement reads a table once and says of each row which of them it breaks.

Plain SQL, the same on PostgreSQL and SQLite. The ORM would ask about each invariant by itself, with a subquery per row:
at a million orders that took a minute, this takes some seconds (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from apps.orders.models import Order
from apps.orders.services.state import LEGAL_PAYMENT, LEGAL_STATUS
from apps.payment.models import Payment


@dataclass(frozen=True, slots=True)
class Sweep:
    """One read of `source`. Each check is an invariant's name, its meaning and the SQL that is true of a row that
    breaks it; `id` is how such a row is named.
    """

    source: str
    id: str
    checks: tuple[tuple[str, str, str], ...]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The id of each row that breaks something, and for each check whether it does."""
        conditions = [f"({condition})" for _, _, condition in self.checks]
        broken = ", ".join(f"coalesce({condition}, 1 = 0)" for condition in conditions)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {self.id}, {broken} FROM {self.source} WHERE {' OR '.join(conditions)}")
            while some := cursor.fetchmany(1000):
                yield from some


def _one_of(column: str, values: Iterable[str]) -> str:
    texts = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({texts})"


def _illegal(before: str, after: str, legal: Iterable[tuple[str, str]]) -> str:
    """True of a step that does not exist. The first row of a log comes from nothing."""
    ways: dict[str, list[str]] = {"": ["pending"]}
    for start, end in sorted(legal):
        ways.setdefault(start, []).append(end)
    cases = " ".join(f"WHEN '{start}' THEN NOT {_one_of(after, ends)}" for start, ends in ways.items())
    return f"({before} <> {after} AND CASE {before} {cases} ELSE 1 = 1 END)"


PAID = _one_of("o.payment_status", Order.PAID)
SETTLED = _one_of("p.status", Payment.SETTLED)

# The plus keeps SQLite from going through an index, row by row of the table.
VARIANTS = Sweep(
    source="""
        catalog_productvariant v
        LEFT JOIN (
            SELECT +variant_id AS variant_id, sum(quantity) AS n FROM inventory_stockmovement GROUP BY +variant_id
        ) m ON m.variant_id = v.id
        LEFT JOIN (
            SELECT variant_id, sum(quantity) AS n FROM inventory_stockhold WHERE state = 'active' GROUP BY variant_id
        ) h ON h.variant_id = v.id
    """,
    id="v.id",
    checks=(
        ("I1", "stock is the opening stock plus all movements", "v.stock <> v.opening_stock + coalesce(m.n, 0)"),
        ("I2", "held is the sum of active holds", "v.held <> coalesce(h.n, 0)"),
        ("I2", "never oversold: 0 <= held <= stock", "v.held < 0 OR v.stock < v.held"),
    ),
)

ORDERS = Sweep(
    source="""
        orders_order o
        LEFT JOIN payment_payment p ON p.order_id = o.id AND p.applied
        LEFT JOIN (
            SELECT
                i.order_id,
                sum(i.line_total) AS total,
                sum(CASE WHEN v.opening_stock IS NULL OR m.quantity = -i.quantity THEN 0 ELSE 1 END) AS unsold,
                sum(CASE WHEN v.opening_stock IS NULL OR m.id IS NULL THEN 0 ELSE 1 END) AS sold
            FROM orders_orderitem i
            JOIN catalog_productvariant v ON v.id = i.variant_id
            LEFT JOIN inventory_stockmovement m
                ON m.order_id = i.order_id AND m.variant_id = i.variant_id AND m.kind = 'sale'
            GROUP BY i.order_id
        ) l ON l.order_id = o.id
    """,
    id="o.id",
    checks=(
        ("I3", "each counted line of a paid order is sold once", f"{PAID} AND l.unsold > 0"),
        ("I3", "no line of an unpaid order is sold", f"NOT {PAID} AND l.sold > 0"),
        (
            "I6",
            "a paid order has one applied payment of exactly its total",
            f"{PAID} AND (p.id IS NULL OR p.amount_captured <> o.total OR p.currency <> o.currency OR NOT {SETTLED})",
        ),
        ("I6", "an applied payment belongs to a paid order", f"NOT {PAID} AND p.id IS NOT NULL"),
        ("I17", "an order has a log", "o.transitions < 1"),
        ("I8", "the subtotal is the sum of the lines", "o.subtotal <> coalesce(l.total, 0)"),
        (
            "I10",
            "a paid order says what its payment says",
            f"{PAID} AND p.status <> CASE o.payment_status WHEN 'paid' THEN 'succeeded' ELSE o.payment_status END",
        ),
    ),
)

TRANSITIONS = Sweep(
    source="orders_ordertransition l JOIN orders_order o ON o.id = l.order_id",
    id="o.id",
    checks=(
        ("I17", "an order's log counts from 1 to its number of steps", "l.seq < 1 OR l.seq > o.transitions"),
        (
            "I17",
            "the last row of an order's log is its present state",
            "l.seq = o.transitions AND (l.to_status <> o.status OR l.to_payment_status <> o.payment_status)",
        ),
        (
            "I17",
            "only legal steps are in an order's log",
            f"{_illegal('l.from_status', 'l.to_status', LEGAL_STATUS)}"
            f" OR {_illegal('l.from_payment_status', 'l.to_payment_status', LEGAL_PAYMENT)}",
        ),
    ),
)

# With every row within its order's count, and none twice (a constraint), a gap shows in the sum.
GAPS = Sweep(
    source="""
        (
            SELECT o.id, o.transitions, count(l.id) AS n
            FROM orders_order o LEFT JOIN orders_ordertransition l ON l.order_id = o.id
            WHERE (SELECT sum(transitions) FROM orders_order) <> (SELECT count(*) FROM orders_ordertransition)
            GROUP BY o.id, o.transitions
        ) counted
    """,
    id="counted.id",
    checks=(("I17", "an order's log has no gap", "counted.n <> counted.transitions"),),
)

RESTOCKED = Sweep(
    source="""
        (
            SELECT order_id, variant_id, sum(quantity) AS n
            FROM inventory_stockmovement WHERE kind = 'restock' GROUP BY order_id, variant_id
        ) r
        LEFT JOIN inventory_stockmovement m
            ON m.order_id = r.order_id AND m.variant_id = r.variant_id AND m.kind = 'sale'
    """,
    id="r.order_id",
    checks=(("I4", "no more comes back to stock than was sold, per line", "r.n > -coalesce(m.quantity, 0)"),),
)

RETURNED = "coalesce(r.returned, 0)"
LOST = "coalesce(d.lost, 0)"
PAYMENTS = Sweep(
    source="""
        payment_payment p
        LEFT JOIN (
            SELECT
                payment_id,
                sum(CASE WHEN status IN ('pending', 'succeeded') THEN amount ELSE 0 END) AS committed,
                sum(CASE WHEN status = 'succeeded' THEN amount ELSE 0 END) AS returned
            FROM payment_refund GROUP BY payment_id
        ) r ON r.payment_id = p.id
        LEFT JOIN (
            SELECT payment_id, sum(amount) AS lost FROM payment_dispute WHERE status = 'lost' GROUP BY payment_id
        ) d ON d.payment_id = p.id
    """,
    id="p.id",
    checks=(
        (
            "I7",
            "money that is not applied is on its way back or a case",
            f"{SETTLED} AND NOT p.applied AND coalesce(r.committed, 0) < p.amount_captured - p.amount_lost"
            " AND NOT EXISTS (SELECT 1 FROM payment_attentioncase c WHERE c.payment_id = p.id AND c.solved_at IS NULL)",
        ),
        ("I9", "refunds stay within what was captured", "r.committed > p.amount_captured"),
        (
            "I10",
            "a payment's sums are those of its refunds and disputes",
            f"{SETTLED} AND (p.amount_refunded <> {RETURNED} OR p.amount_lost <> {LOST})",
        ),
        (
            "I10",
            "a settled payment's status is what its refunds say",
            f"{SETTLED} AND p.status <> CASE WHEN {RETURNED} <= 0 THEN 'succeeded'"
            f" WHEN {RETURNED} >= p.amount_captured THEN 'refunded' ELSE 'partially_refunded' END",
        ),
        (
            "I21",
            "refunds and lost disputes stay within what was captured, or staff was told",
            f"p.amount_captured < {RETURNED} + {LOST} AND NOT EXISTS"
            " (SELECT 1 FROM payment_attentioncase c WHERE c.payment_id = p.id AND c.kind = 'lost_twice')",
        ),
    ),
)

SWEEPS = (VARIANTS, ORDERS, TRANSITIONS, GAPS, RESTOCKED, PAYMENTS)
