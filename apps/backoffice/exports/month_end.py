"""A month by currency: what came in, what went back, what is left, and that all months together are the ledger.

Amounts are in minor units. Movements are read from payments, refunds and disputes by their times; the ledger is what
the payments themselves say has come, gone back and been lost. Both are written at the same moments by different code,
so a difference is a fault in the shop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.backoffice.exports.tables import Row
from apps.backoffice.selectors.periods import Span
from apps.common.money import Money
from apps.invoices.models import Document
from apps.payment.models import BalanceEntry, Dispute, Payment, Refund

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Month:
    """One currency in one month."""

    currency: str
    opening: int
    payments: int
    captured: int
    stray: int
    refunds: int
    refunded: int
    lost_disputes: int
    lost: int
    invoiced: int
    tax: int
    all_months: int
    ledger: int

    @property
    def net(self) -> int:
        return self.captured - self.refunded - self.lost

    @property
    def closing(self) -> int:
        return self.opening + self.net

    @property
    def difference(self) -> int:
        """By how much all months together differ from the ledger; 0 is what is wanted."""
        return self.all_months - self.ledger


@dataclass(frozen=True, slots=True)
class Booked:
    """What Stripe booked of one kind in one month, in the account's currency."""

    currency: str
    kind: str
    entries: int
    amount: int
    fee: int
    net: int


@dataclass(frozen=True, slots=True)
class Report:
    start: datetime
    months: list[Month]
    booked: list[Booked]
    opening: dict[str, int]
    """At Stripe, by the account's currency."""

    @property
    def closing(self) -> dict[str, int]:
        sums = defaultdict(int, self.opening)
        for each in self.booked:
            sums[each.currency] += each.net
        return dict(sums)


def month_of(year: int, month: int) -> Span:
    """A calendar month in the shop's time zone."""
    zone = timezone.get_current_timezone()
    start = datetime(year, month, 1, tzinfo=zone)
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    return Span(start, end)


def report(span: Span) -> Report:
    """The report of a month. A fixed number of statements."""
    settled = Payment.objects.filter(status__in=Payment.SETTLED)
    captured = _sums(settled, "paid_at", "amount_captured", span, stray=Q(applied=False))
    refunded = _sums(Refund.objects.filter(status=Refund.Status.SUCCEEDED), "succeeded_at", "amount", span)
    over = Dispute.objects.filter(status=Dispute.Status.LOST).annotate(over_at=Coalesce("closed_at", "created_at"))
    lost = _sums(over, "over_at", "amount", span)
    ledger = dict(
        settled.order_by()
        .values("currency")
        .annotate(left=Sum(F("amount_captured") - F("amount_refunded") - F("amount_lost")))
        .values_list("currency", "left")
    )
    invoiced = _invoiced(span)
    months = [
        Month(
            currency,
            opening=captured[currency]["before"] - refunded[currency]["before"] - lost[currency]["before"],
            payments=captured[currency]["count"],
            captured=captured[currency]["within"],
            stray=captured[currency]["stray"],
            refunds=refunded[currency]["count"],
            refunded=refunded[currency]["within"],
            lost_disputes=lost[currency]["count"],
            lost=lost[currency]["within"],
            invoiced=invoiced[currency]["total"],
            tax=invoiced[currency]["tax"],
            all_months=captured[currency]["all"] - refunded[currency]["all"] - lost[currency]["all"],
            ledger=ledger.get(currency, 0),
        )
        for currency in sorted({*captured, *refunded, *lost, *ledger})
    ]
    return Report(span.start, months, _booked(span), _stripe_balance(span.start))


def _sums(rows: QuerySet[Any], field: str, amount: str, span: Span, *, stray: Q | None = None) -> Counts:
    """By currency: the sums before the span, within it and at any time, and how many rows are within it."""
    within = span.holds(field)
    found = (
        rows.filter(**{f"{field}__isnull": False})
        .order_by()
        .values("currency")
        .annotate(
            before=Sum(amount, filter=Q(**{f"{field}__lt": span.start})),
            within=Sum(amount, filter=within),
            all=Sum(amount),
            count=Count("pk", filter=within),
            **({"stray": Sum(amount, filter=within & stray)} if stray is not None else {}),
        )
    )
    return _by_currency(found)


def _invoiced(span: Span) -> Counts:
    """Invoices and cancelled credit notes less credit notes."""
    back = Q(kind=Document.Kind.CREDIT_NOTE)
    rows = Document.objects.filter(span.holds("issued_at")).order_by().values("currency")
    found = rows.annotate(
        total=Coalesce(Sum("total", filter=~back), 0) - Coalesce(Sum("total", filter=back), 0),
        tax=Coalesce(Sum("tax", filter=~back), 0) - Coalesce(Sum("tax", filter=back), 0),
    )
    return _by_currency(found)


def _by_currency(rows: Iterable[Any]) -> Counts:
    sums: Counts = defaultdict(lambda: defaultdict(int))
    for row in rows:
        for name, value in row.items():
            if name != "currency":
                sums[row["currency"]][name] = value or 0
    return sums


def _booked(span: Span) -> list[Booked]:
    rows = BalanceEntry.objects.filter(span.holds("created")).order_by("currency", "kind").values("currency", "kind")
    found = rows.annotate(entries=Count("pk"), amounts=Sum("amount"), fees=Sum("fee"), nets=Sum("net"))
    return [
        Booked(row["currency"], row["kind"], row["entries"], row["amounts"], row["fees"], row["nets"]) for row in found
    ]


def _stripe_balance(at: datetime) -> dict[str, int]:
    rows = BalanceEntry.objects.filter(created__lt=at).order_by().values("currency")
    return dict(rows.annotate(sum=Sum("net")).values_list("currency", "sum"))


COLUMNS = ("part", "currency", "line", "count", "amount", "fee", "net")


def rows_of(found: Report) -> Iterable[Row]:
    """The report as one table."""
    for month in found.months:
        lines: list[tuple[str, int | None, int]] = [
            ("opening", None, month.opening),
            ("captured", month.payments, month.captured),
            ("of that not applied to its order", None, month.stray),
            ("refunded", month.refunds, -month.refunded),
            ("lost to disputes", month.lost_disputes, -month.lost),
            ("net of the month", None, month.net),
            ("closing", None, month.closing),
            ("invoiced less credited", None, month.invoiced),
            ("tax contained", None, month.tax),
            ("all months", None, month.all_months),
            ("ledger", None, month.ledger),
            ("difference", None, month.difference),
        ]
        for line, count, amount in lines:
            yield ["shop", month.currency, line, count, Money(amount, month.currency), None, None]
    closing = found.closing
    for currency in sorted(closing):
        yield ["Stripe", currency, "opening", None, None, None, Money(found.opening.get(currency, 0), currency)]
        for each in found.booked:
            if each.currency == currency:
                amounts = (Money(value, currency) for value in (each.amount, each.fee, each.net))
                yield ["Stripe", currency, each.kind, each.entries, *amounts]
        yield ["Stripe", currency, "closing", None, None, None, Money(closing[currency], currency)]
