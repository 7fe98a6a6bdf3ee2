"""What can be exported: for each table its columns and how its rows are read, some hundred at a time.

A cell is a text, a number, a time or an amount of money; how it is written down is the file's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet

from apps.backoffice.selectors.periods import Span
from apps.common.money import Money
from apps.invoices.models import Document
from apps.orders.models import Order
from apps.payment.models import BalanceEntry, Payment, Refund

Cell = str | int | Decimal | datetime | Money | None
Row = list[Cell]

BATCH = 500


@dataclass(frozen=True, slots=True)
class Table:
    """A table by its name, with the rows whose time is in a span, oldest first."""

    name: str
    title: str
    meaning: str
    columns: tuple[str, ...]
    rows: Callable[[Span], Iterator[Row]]


def batches(rows: QuerySet[Any], field: str, span: Span) -> Iterator[list[Any]]:
    """The rows of a span in the order of their time, a batch at a time.

    Each batch begins after the last row of the one before, so that none is skipped or told twice however many rows
    share a moment, and no cursor stays open.
    """
    found = rows.filter(span.holds(field)).order_by(field, "pk")
    after = Q()
    while batch := list(found.filter(after)[:BATCH]):
        yield batch
        at, pk = getattr(batch[-1], field), batch[-1].pk
        # The first condition says no more than the second, and lets the index begin where it should.
        after = Q(**{f"{field}__gte": at}) & (Q(**{f"{field}__gt": at}) | Q(pk__gt=pk))


def _orders(span: Span) -> Iterator[Row]:
    for batch in batches(Order.objects.all(), "created_at", span):
        applied = Payment.objects.filter(order__in=batch, applied=True)
        refunded = dict(applied.values_list("order_id", "amount_refunded"))
        for order in batch:
            amounts = (order.subtotal, order.discount, order.shipping, order.tax, order.total)
            yield [
                order.number,
                order.created_at,
                order.paid_at,
                order.status,
                order.payment_status,
                "yes" if order.disputed else "no",
                order.currency,
                *(Money(amount, order.currency) for amount in amounts),
                Money(refunded.get(order.pk, 0), order.currency),
                order.email,
                (order.shipping_address or {}).get("country", ""),
                order.tracking_number,
            ]


def _payments(span: Span) -> Iterator[Row]:
    rows = Payment.objects.select_related("order").prefetch_related("balance_entries")
    for batch in batches(rows, "paid_at", span):
        for payment in batch:
            amounts = (
                payment.amount_captured,
                payment.amount_refunded,
                payment.amount_lost,
                payment.amount_captured - payment.amount_refunded - payment.amount_lost,
            )
            yield [
                payment.pk,
                payment.order.number,
                payment.paid_at,
                payment.status,
                "yes" if payment.applied else "no",
                payment.problem,
                payment.currency,
                *(Money(amount, payment.currency) for amount in amounts),
                payment.method_type,
                payment.brand,
                payment.last4,
                *_booked(list(payment.balance_entries.all())),
                payment.stripe_session_id,
                payment.stripe_payment_intent_id,
                payment.stripe_charge_id,
            ]


def _booked(entries: list[BalanceEntry]) -> Row:
    """Settlement currency, fee, net and payouts of a payment with all that followed; empty until Stripe booked it."""
    if not entries:
        return [None, None, None, None]
    currency = entries[0].currency
    same = [entry for entry in entries if entry.currency == currency]
    payouts = sorted({entry.payout_id for entry in entries if entry.payout_id})
    return [
        currency,
        Money(sum(entry.fee for entry in same), currency),
        Money(sum(entry.net for entry in same), currency),
        " ".join(payouts),
    ]


def _refunds(span: Span) -> Iterator[Row]:
    rows = Refund.objects.select_related("payment__order", "decided_by")
    for batch in batches(rows, "created_at", span):
        for refund in batch:
            yield [
                refund.pk,
                refund.payment.order.number,
                refund.payment_id,
                refund.created_at,
                refund.succeeded_at,
                refund.status,
                refund.currency,
                refund.money,
                refund.reason,
                refund.source,
                refund.description,
                str(refund.decided_by or ""),
                refund.stripe_refund_id,
                refund.failure_code,
            ]


def _taxes(span: Span) -> Iterator[Row]:
    """A document has one rate and so one line of tax; a credit note takes back what its invoice told."""
    rows = Document.objects.select_related("order", "corrects")
    for batch in batches(rows, "issued_at", span):
        for document in batch:
            sign = -1 if document.kind == Document.Kind.CREDIT_NOTE else 1
            yield [
                document.number,
                document.kind,
                document.issued_at,
                document.order.number,
                document.corrects.number if document.corrects else "",
                document.currency,
                document.rate,
                Money(sign * (document.total - document.tax), document.currency),
                Money(sign * document.tax, document.currency),
                Money(sign * document.total, document.currency),
            ]


def _balance(span: Span) -> Iterator[Row]:
    rows = BalanceEntry.objects.select_related("payment__order")
    for batch in batches(rows, "created", span):
        for entry in batch:
            yield [
                entry.stripe_id,
                entry.created,
                entry.available_on,
                entry.kind,
                entry.category,
                entry.source_id,
                entry.payment.order.number if entry.payment else "",
                entry.payment_id,
                entry.currency,
                *(Money(amount, entry.currency) for amount in (entry.amount, entry.fee, entry.net)),
                entry.payout_id,
            ]


def _columns(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _tables() -> Iterable[Table]:
    yield Table(
        "orders",
        "Orders",
        "Every order that was placed in the period.",
        _columns(
            "number, placed, paid, status, payment status, disputed, currency, subtotal, discount, shipping, tax, "
            "total, refunded, email, country, tracking number"
        ),
        _orders,
    )
    yield Table(
        "payments",
        "Payments",
        "Money that came in the period, with what went back of it, Stripe's fee, the net and its payout.",
        _columns(
            "payment, order, paid, status, applied, problem, currency, captured, refunded, lost, left, method, brand, "
            "last4, settled in, fee, net, payout, session, intent, charge"
        ),
        _payments,
    )
    yield Table(
        "refunds",
        "Refunds",
        "Refunds that were begun in the period, whatever became of them.",
        _columns(
            "refund, order, payment, created, succeeded, status, currency, amount, reason, begun by, description, "
            "decided by, stripe refund, failure"
        ),
        _refunds,
    )
    yield Table(
        "taxes",
        "Tax lines",
        "Invoices, credit notes and their cancellations of the period; what goes back is negative.",
        _columns("document, kind, issued, order, corrects, currency, rate, net, tax, gross"),
        _taxes,
    )
    yield Table(
        "balance",
        "Stripe's balance",
        "What Stripe booked in the period: charges, refunds, disputes, fees and payouts, in the account's currency.",
        _columns(
            "entry, booked, available, kind, category, source, order, payment, currency, amount, fee, net, payout"
        ),
        _balance,
    )


TABLES: dict[str, Table] = {table.name: table for table in _tables()}
