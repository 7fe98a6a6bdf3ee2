"""The figures, right to the cent against a brute force over every row, and by a fixed number of statements."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.backoffice.charts import HEIGHT, chart_of
from apps.backoffice.dashboard import dashboard
from apps.backoffice.selectors import figures
from apps.backoffice.selectors.periods import Span, periods, spans
from apps.orders.models import Order
from apps.payment.models import AttentionCase, Dispute, Payment, PaymentLog, Refund, StripeWebhookEvent
from tests.backoffice.rows import Books
from tests.support.staff import owner

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 18, 14, 30, tzinfo=UTC)  # a Wednesday; the month before is shorter


def brute_sales(span: Span) -> dict[str, tuple[int, int, int, int]]:
    """Gross, refunded, orders and refunds by currency, one row after the other."""
    found: dict[str, list[int]] = {}
    for payment in Payment.objects.all():
        if payment.applied and payment.paid_at and span.start <= payment.paid_at < span.end:
            sums = found.setdefault(payment.currency, [0, 0, 0, 0])
            sums[0] += payment.amount_captured
            sums[2] += 1
    for refund in Refund.objects.select_related("payment"):
        at = refund.succeeded_at
        if refund.payment.applied and refund.status == "succeeded" and at and span.start <= at < span.end:
            sums = found.setdefault(refund.currency, [0, 0, 0, 0])
            sums[1] += refund.amount
            sums[3] += 1
    return {currency: tuple(sums) for currency, sums in found.items()}  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(3))
def test_sales_checkouts_and_disputes_are_those_of_a_brute_force(seed: int) -> None:
    Books(seed, NOW).fill(orders=160)
    named = spans(periods(NOW))
    sold = figures.sales(named)
    placed, disputed = figures.checkouts(named), figures.disputes(named, sold)
    for name, span in named.items():
        told = {c: (each.gross, each.refunded, each.orders, each.refunds) for c, each in sold[name].items()}
        assert told == brute_sales(span), (seed, name)
        orders = [
            order
            for order in Order.objects.all()
            if span.start <= order.created_at < span.end and order.ended != "superseded"
        ]
        assert placed[name].placed == len(orders)
        assert placed[name].paid == sum(order.is_paid for order in orders)
        opened = [d for d in Dispute.objects.all() if span.start <= d.created_at < span.end]
        assert disputed[name].opened == sum(not d.status.startswith("warning_") for d in opened)
        assert disputed[name].payments == sum(row[2] for row in brute_sales(span).values())
    assert sum(each.gross for each in sold["month"].values()) > 0
    assert sum(each.refunded for each in sold["month"].values()) > 0
    assert sum(each.opened for each in disputed.values()) > 0


@pytest.mark.parametrize("seed", range(3))
def test_days_are_those_of_a_brute_force_and_sum_to_the_whole(seed: int) -> None:
    Books(seed, NOW).fill(orders=120)
    days = figures.by_day(30, now=NOW)
    assert days
    for currency, row in days.items():
        assert len(row) == 30
        assert [each.day for each in row] == [NOW.date() - timedelta(days=29 - n) for n in range(30)]
        for each in row:
            start = datetime.combine(each.day, datetime.min.time(), tzinfo=UTC)
            told = brute_sales(Span(start, start + timedelta(days=1))).get(currency, (0, 0, 0, 0))
            assert (each.gross, each.refunded, each.orders) == told[:3]
    start = datetime.combine(NOW.date() - timedelta(days=29), datetime.min.time(), tzinfo=UTC)
    whole = brute_sales(Span(start, start + timedelta(days=30)))
    assert {c: sum(each.net for each in row) for c, row in days.items()} == {c: s[0] - s[1] for c, s in whole.items()}


def test_average_order_is_rounded_half_up() -> None:
    for gross, orders in [(10, 4), (5, 2), (7, 2), (1, 3), (2, 3), (0, 5), (0, 0), (99999999, 7)]:
        exact = (Decimal(gross) / orders).quantize(Decimal(1), ROUND_HALF_UP) if orders else Decimal(0)
        assert figures.Sales("USD", gross=gross, orders=orders).average == exact


def test_money_that_paid_for_nothing_is_no_revenue() -> None:
    books = Books(0, NOW)
    for number, (applied, problem) in enumerate([(True, ""), (False, "late"), (False, "amount_mismatch")]):
        payment = books.paid(
            books.order("USD", 1000 + number, at=NOW - timedelta(hours=1)), at=NOW - timedelta(hours=1)
        )
        Payment.objects.filter(pk=payment.pk).update(applied=applied, problem=problem)
        books.refund(payment, 100, at=NOW - timedelta(minutes=1))
    sold = figures.sales(spans(periods(NOW)))["today"]["USD"]
    assert (sold.gross, sold.refunded, sold.net, sold.orders, sold.refunds) == (1000, 100, 900, 1, 1)


def test_refund_that_failed_after_all_gives_the_revenue_back() -> None:
    books = Books(0, NOW)
    payment = books.paid(books.order("USD", 1000, at=NOW - timedelta(hours=1)), at=NOW - timedelta(hours=1))
    refund = books.refund(payment, 400, at=NOW - timedelta(minutes=1))
    assert figures.sales(spans(periods(NOW)))["today"]["USD"].net == 600
    Refund.objects.filter(pk=refund.pk).update(status="failed")
    assert figures.sales(spans(periods(NOW)))["today"]["USD"].net == 1000


@pytest.mark.parametrize(
    ("now", "month_before"),
    [
        (
            datetime(2026, 3, 18, 14, 30, tzinfo=UTC),
            (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 18, 14, 30, tzinfo=UTC)),
        ),
        (
            datetime(2026, 3, 31, 23, 0, tzinfo=UTC),
            (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        ),
        (
            datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
            (datetime(2025, 12, 1, tzinfo=UTC), datetime(2025, 12, 1, 0, 0, 1, tzinfo=UTC)),
        ),
    ],
)
def test_periods_begin_where_people_expect_them(now: datetime, month_before: tuple[datetime, datetime]) -> None:
    today, week, month = periods(now)
    midnight = now.replace(hour=0, minute=0, second=0)
    assert (today.now.start, today.now.end) == (midnight, now)
    assert (today.before.start, today.before.end) == (midnight - timedelta(days=1), now - timedelta(days=1))
    assert week.now.start.weekday() == 0
    assert timedelta(0) <= now - week.now.start < timedelta(days=7)
    assert week.before.end == now - timedelta(days=7)
    assert (month.now.start, month.now.end) == (midnight.replace(day=1), now)
    assert (month.before.start, month.before.end) == month_before


def test_declines_are_counted_by_code_the_most_frequent_first() -> None:
    books = Books(0, NOW)
    payment = books.paid(books.order("USD", 1000, at=NOW), at=NOW)
    told = [("insufficient_funds", 3, 1), ("generic_decline", 5, 1), ("lost_card", 2, 40), ("", 1, 2)]
    for code, times, days in told:
        for _ in range(times):
            PaymentLog.objects.create(
                payment=payment, kind="declined", to_status="pending", detail=code, at=NOW - timedelta(days=days)
            )
    PaymentLog.objects.create(
        payment=payment, kind="succeeded", to_status="succeeded", detail="generic_decline", at=NOW
    )
    span = Span(NOW - timedelta(days=30), NOW + timedelta(seconds=1))
    assert figures.declines(span) == [("generic_decline", 5), ("insufficient_funds", 3), ("unknown", 1)]
    assert figures.declines(span, most=1) == [("generic_decline", 5)]


def test_events_are_counted_with_how_long_they_took() -> None:
    def event(
        number: int, state: str, *, took: int | None = None, received: datetime = NOW - timedelta(hours=1)
    ) -> None:
        StripeWebhookEvent.objects.create(
            stripe_id=f"evt_{number}",
            type="charge.failed",
            livemode=False,
            created=received - timedelta(seconds=2),
            received_at=received,
            waiting_since=received,
            due_at=received,
            payload="{}",
            sha256="",
            state=state,
            reason="r",
            done_at=None if took is None else received + timedelta(seconds=took),
        )

    event(1, "done", took=2)
    event(2, "done", took=8)
    event(3, "ignored", took=0)
    event(4, "dead")
    event(5, "due", received=NOW - timedelta(minutes=3))
    event(6, "parked", received=NOW - timedelta(days=9))
    event(7, "done", took=900, received=NOW - timedelta(days=8))
    found = figures.deliveries(Span(NOW - timedelta(days=7), NOW))
    assert (found.received, found.worked_off, found.dead, found.waiting) == (5, 3, 1, 2)
    assert found.waiting_since == NOW - timedelta(days=9)
    assert (found.average, found.slowest) == (timedelta(seconds=7), timedelta(seconds=10))
    assert found.share == 0.6


def test_empty_shop_has_no_figures_and_no_shares() -> None:
    named = spans(periods(NOW))
    sold = figures.sales(named)
    assert sold == {name: {} for name in named}
    assert {each.share for each in figures.checkouts(named).values()} == {None}
    assert {each.share for each in figures.disputes(named, sold).values()} == {None}
    assert figures.by_day(30, now=NOW) == {}
    found = figures.deliveries(Span(NOW - timedelta(days=7), NOW))
    assert (found.received, found.share, found.average, found.waiting, found.waiting_since) == (0, None, None, 0, None)


def test_bars_stand_on_the_axis_and_hang_below_it() -> None:
    day = NOW.date()
    days = [
        figures.Day(day - timedelta(days=3), 3000, 0, 2),
        figures.Day(day - timedelta(days=2), 0, 0, 0),
        figures.Day(day - timedelta(days=1), 0, 1000, 0),
        figures.Day(day, 1500, 0, 1),
    ]
    chart = chart_of("USD", days)
    assert chart.axis == HEIGHT * 0.75
    assert [(bar.y, bar.height, bar.below) for bar in chart.bars] == [(0, 90, False), (90, 30, True), (45, 45, False)]
    assert [bar.x for bar in chart.bars] == [0, 300, 450]
    assert (str(chart.total), str(chart.highest)) == ("35.00 USD", "30.00 USD")
    assert [row[1:] for row in chart.rows] == [("15.00 USD", 1), ("-10.00 USD", 0), ("30.00 USD", 2)]
    flat = chart_of("USD", [figures.Day(day, 0, 0, 0)])
    assert (flat.bars, flat.axis) == ([], 0)


def test_page_shows_the_same_figures(settings: Any) -> None:
    books = Books(0, NOW)
    at = NOW - timedelta(hours=2)
    payment = books.paid(books.order("USD", 123456, at=at), at=at)
    books.paid(books.order("USD", 50000, at=at - timedelta(days=1)), at=at - timedelta(days=1))
    books.refund(payment, 3456, at=NOW - timedelta(hours=1))
    books.order("USD", 999, at=at)
    with time_machine.travel(NOW, tick=False):
        page = " ".join(owner().get("/admin/").content.decode().split())
    assert "$1,200.00" in page
    assert "+140%" in page
    assert "50.0% (1 of 2)" in page
    assert "Sales in USD" in page


def test_page_takes_the_same_statements_for_any_number_of_rows() -> None:
    client = owner()

    def statements() -> int:
        with CaptureQueriesContext(connection) as found, time_machine.travel(NOW, tick=False):
            assert client.get("/admin/").status_code == 200
        return len(found)

    books = Books(0, NOW)
    books.fill(orders=8)
    statements()
    few = statements()
    Books(1, NOW).fill(orders=60)
    assert statements() == few


def test_dashboard_itself_takes_this_many_statements() -> None:
    user = User.objects.create_superuser("owner@example.com", "correct horse battery")
    books = Books(0, NOW)
    books.fill(orders=8)

    def statements() -> int:
        with CaptureQueriesContext(connection) as found:
            dashboard(user, NOW)
        return len(found)

    assert statements() == 18
    for number in range(30):
        AttentionCase.objects.create(
            payment=Payment.objects.latest("pk"), kind="late", object_id=str(number), detail=""
        )
    assert statements() == 20
