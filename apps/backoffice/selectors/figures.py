"""The shop's figures, each by a fixed number of statements. Amounts are integers in minor units.

Revenue is money that made an order paid, on the day it came. What came late, twice or in a wrong amount is a case and
no revenue; neither is its refund.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from apps.backoffice.selectors.periods import Span, aggregates, earliest
from apps.orders.models import Order
from apps.payment.models import Dispute, Payment, PaymentLog, Refund, StripeWebhookEvent

State = StripeWebhookEvent.State


@dataclass(frozen=True, slots=True)
class Sales:
    """What one currency brought in one span. Amounts are in minor units."""

    currency: str
    gross: int = 0
    refunded: int = 0
    orders: int = 0
    refunds: int = 0

    @property
    def net(self) -> int:
        return self.gross - self.refunded

    @property
    def average(self) -> int:
        """Gross by paid orders, rounded half up; 0 where there is none."""
        return (2 * self.gross + self.orders) // (2 * self.orders) if self.orders else 0


@dataclass(frozen=True, slots=True)
class Checkouts:
    """How many orders were placed in a span, and how many of them are paid by now."""

    placed: int = 0
    paid: int = 0

    @property
    def share(self) -> float | None:
        return self.paid / self.placed if self.placed else None


@dataclass(frozen=True, slots=True)
class Disputes:
    """Disputes that were opened in a span, beside the payments that came in it. Inquiries are none."""

    opened: int = 0
    payments: int = 0

    @property
    def share(self) -> float | None:
        return self.opened / self.payments if self.payments else None


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Stripe's events of a span: what came of them, how long they took, and what waits now."""

    received: int
    worked_off: int
    dead: int
    average: timedelta | None
    slowest: timedelta | None
    waiting: int
    waiting_since: datetime | None

    @property
    def share(self) -> float | None:
        return self.worked_off / self.received if self.received else None


def sales(named: Mapping[str, Span]) -> dict[str, dict[str, Sales]]:
    """By span and currency. Two statements."""
    spans = dict(named)
    money = _by_currency(
        _taken().filter(paid_at__gte=earliest(spans)),
        aggregates(spans, "paid_at", gross=partial(Sum, "amount_captured"), orders=partial(Count, "pk")),
    )
    back = _by_currency(
        _given_back().filter(succeeded_at__gte=earliest(spans)),
        aggregates(spans, "succeeded_at", refunded=partial(Sum, "amount"), refunds=partial(Count, "pk")),
    )
    found: dict[str, dict[str, Sales]] = {name: {} for name in spans}
    for currency in sorted({*money, *back}):
        sums = {**money.get(currency, {}), **back.get(currency, {})}
        for name in spans:
            values = {key: sums.get(f"{key}__{name}") or 0 for key in ("gross", "orders", "refunded", "refunds")}
            if any(values.values()):
                found[name][currency] = Sales(currency, **values)
    return found


def checkouts(named: Mapping[str, Span]) -> dict[str, Checkouts]:
    """By span. An order that a newer one of the same cart took over from is the same checkout. One statement."""
    spans = dict(named)
    orders = Order.objects.filter(created_at__gte=earliest(spans)).exclude(ended=Order.Ended.SUPERSEDED)
    sums = orders.aggregate(
        **aggregates(
            spans,
            "created_at",
            placed=partial(Count, "pk"),
            paid=_count_paid,
        )
    )
    return {name: Checkouts(sums[f"placed__{name}"], sums[f"paid__{name}"]) for name in spans}


def disputes(named: Mapping[str, Span], sold: Mapping[str, Mapping[str, Sales]]) -> dict[str, Disputes]:
    """By span, beside the payments in `sold`. One statement."""
    spans = dict(named)
    opened = Dispute.objects.filter(created_at__gte=earliest(spans)).exclude(status__startswith="warning_")
    sums = opened.aggregate(**aggregates(spans, "created_at", opened=partial(Count, "pk")))
    return {name: Disputes(sums[f"opened__{name}"], sum(each.orders for each in sold[name].values())) for name in spans}


def declines(span: Span, *, most: int = 8) -> list[tuple[str, int]]:
    """Decline codes with how often each was told, the most frequent first. One statement."""
    rows = PaymentLog.objects.filter(span.holds("at"), kind="declined").order_by().values("detail")
    counted = rows.annotate(n=Count("pk")).order_by("-n", "detail")
    return [(row["detail"] or "unknown", row["n"]) for row in counted[:most]]


def deliveries(span: Span) -> Deliveries:
    """How Stripe's events of a span fared. Two statements."""
    took = ExpressionWrapper(F("done_at") - F("created"), output_field=DurationField())
    worked_off = Q(state__in=(State.DONE, State.IGNORED))
    # Naming every state lets the database walk its index by state and time.
    received = StripeWebhookEvent.objects.filter(span.holds("received_at"), state__in=State.values)
    sums = received.aggregate(
        received=Count("pk"),
        worked_off=Count("pk", filter=worked_off),
        dead=Count("pk", filter=Q(state=State.DEAD)),
        average=Avg(took, filter=Q(state=State.DONE)),
        slowest=Max(took, filter=Q(state=State.DONE)),
    )
    waiting = StripeWebhookEvent.objects.filter(state__in=StripeWebhookEvent.WAITING)
    return Deliveries(**sums, **waiting.aggregate(waiting=Count("pk"), waiting_since=Min("waiting_since")))


@dataclass(frozen=True, slots=True)
class Day:
    """One day of one currency. Amounts are in minor units."""

    day: date
    gross: int
    refunded: int
    orders: int

    @property
    def net(self) -> int:
        return self.gross - self.refunded


def by_day(days: int, *, now: datetime | None = None) -> dict[str, list[Day]]:
    """The last days of each currency that had any business in them, without gaps. Two statements."""
    today = timezone.localtime(now).date()
    first = today - timedelta(days=days - 1)
    start = timezone.make_aware(datetime.combine(first, datetime.min.time()))
    taken = _taken().filter(paid_at__gte=start).values("currency", day=TruncDate("paid_at"))
    back = _given_back().filter(succeeded_at__gte=start).values("currency", day=TruncDate("succeeded_at"))
    sums: dict[str, dict[date, dict[str, int]]] = {}
    for row in taken.order_by().annotate(gross=Sum("amount_captured"), orders=Count("pk")):
        sums.setdefault(row["currency"], {}).setdefault(row["day"], {}).update(gross=row["gross"], orders=row["orders"])
    for given in back.order_by().annotate(refunded=Sum("amount")):
        sums.setdefault(given["currency"], {}).setdefault(given["day"], {}).update(refunded=given["refunded"])
    calendar = [first + timedelta(days=number) for number in range(days)]
    empty = {"gross": 0, "refunded": 0, "orders": 0}
    return {
        currency: [Day(day, **{**empty, **found.get(day, {})}) for day in calendar]
        for currency, found in sorted(sums.items())
    }


def _taken() -> QuerySet[Payment]:
    """Money that made an order paid. It stays that when it goes back."""
    return Payment.objects.filter(applied=True, paid_at__isnull=False)


def _given_back() -> QuerySet[Refund]:
    return Refund.objects.filter(status=Refund.Status.SUCCEEDED, succeeded_at__isnull=False, payment__applied=True)


def _count_paid(*, filter: Q) -> Count:
    return Count("pk", filter=filter & Q(payment_status__in=Order.PAID))


def _by_currency(rows: QuerySet[Any], sums: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["currency"]: row for row in rows.order_by().values("currency").annotate(**sums)}
