"""A month's end sums to the ledger, to the cent, against a brute force over every row."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F, Sum
from django.test.utils import CaptureQueriesContext

from apps.backoffice.exports.month_end import month_of, report
from apps.common.money import to_major
from apps.payment.models import BalanceEntry, Dispute, Payment, Refund
from tests.backoffice.rows import Books
from tests.backoffice.test_exports import document, entry
from tests.support.staff import owner, text_of

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 18, 14, 30, tzinfo=UTC)
MONTHS = [(2026, 1), (2026, 2), (2026, 3)]


def balance_the_ledger() -> None:
    """What the payments say of refunds and disputes, as the shop's own ledger writes it."""
    for payment in Payment.objects.all():
        back = payment.refunds.filter(status="succeeded").aggregate(n=Sum("amount"))["n"] or 0
        lost = payment.disputes.filter(status="lost").aggregate(n=Sum("amount"))["n"] or 0
        status = "succeeded" if not back else "refunded" if back >= payment.amount_captured else "partially_refunded"
        Payment.objects.filter(pk=payment.pk).update(amount_refunded=back, amount_lost=lost, status=status)
    Dispute.objects.filter(status="lost").update(closed_at=F("created_at"))


def brute_force(currency: str, start: datetime, end: datetime) -> tuple[int, int, int]:
    captured = sum(
        p.amount_captured for p in Payment.objects.filter(currency=currency) if p.paid_at and start <= p.paid_at < end
    )
    refunded = sum(
        r.amount
        for r in Refund.objects.filter(currency=currency, status="succeeded")
        if r.succeeded_at and start <= r.succeeded_at < end
    )
    lost = sum(
        d.amount
        for d in Dispute.objects.filter(currency=currency, status="lost")
        if d.closed_at and start <= d.closed_at < end
    )
    return captured, refunded, lost


@pytest.mark.parametrize("seed", range(3))
def test_months_are_those_of_a_brute_force_and_sum_to_the_ledger(seed: int) -> None:
    Books(seed, NOW).fill(orders=150)
    balance_the_ledger()
    closing: dict[str, int] = {}
    nets: Counter[str] = Counter()
    for year, month in MONTHS:
        span = month_of(year, month)
        for told in report(span).months:
            exact = brute_force(told.currency, span.start, span.end)
            assert (told.captured, told.refunded, told.lost) == exact
            assert told.opening == closing.get(told.currency, told.opening)
            assert told.closing == told.opening + exact[0] - exact[1] - exact[2]
            assert told.difference == 0
            closing[told.currency] = told.closing
            nets[told.currency] += told.net
    ledger = {
        currency: sum(
            p.amount_captured - p.amount_refunded - p.amount_lost for p in Payment.objects.filter(currency=currency)
        )
        for currency in closing
    }
    assert closing == ledger == dict(nets)
    assert set(closing) == {"USD", "EUR", "JPY"}


def test_difference_shows_when_the_ledger_says_something_else() -> None:
    Books(0, NOW).fill(orders=40)
    balance_the_ledger()
    payment = Payment.objects.filter(currency="USD", amount_refunded=0).first()
    assert payment is not None
    Payment.objects.filter(pk=payment.pk).update(amount_refunded=7)
    assert {m.currency: m.difference for m in report(month_of(2026, 3)).months} == {"EUR": 0, "JPY": 0, "USD": 7}


def test_months_begin_at_midnight_and_december_ends_in_january() -> None:
    assert month_of(2026, 12).start == datetime(2026, 12, 1, tzinfo=UTC)
    assert month_of(2026, 12).end == datetime(2027, 1, 1, tzinfo=UTC)
    assert month_of(2028, 2).end - month_of(2028, 2).start == timedelta(days=29)
    books = Books(0, NOW)
    for at in (month_of(2026, 3).start - timedelta(microseconds=1), month_of(2026, 3).start):
        books.paid(books.order("USD", 100, at=at), at=at)
    assert [m.captured for m in report(month_of(2026, 2)).months] == [100]
    assert [(m.opening, m.captured, m.closing) for m in report(month_of(2026, 3)).months] == [(100, 100, 200)]


def test_stray_money_is_named_beside_the_rest() -> None:
    books = Books(0, NOW)
    for applied in (True, False):
        payment = books.paid(books.order("USD", 1000, at=NOW), at=NOW)
        Payment.objects.filter(pk=payment.pk).update(applied=applied)
    [told] = report(month_of(2026, 3)).months
    assert (told.payments, told.captured, told.stray, told.net) == (2, 2000, 1000, 2000)


def test_invoices_less_credit_notes_with_their_tax() -> None:
    books = Books(0, NOW)
    order = books.order("EUR", 11900, at=NOW)
    payment = books.paid(order, at=NOW)
    bill = document(order, 1)
    document(order, 2, "credit_note", corrects=bill, refund=books.refund(payment, 11900, at=NOW))
    other = books.order("EUR", 2380, at=NOW)
    books.paid(other, at=NOW)
    document(other, 3)
    [told] = report(month_of(2026, 3)).months
    assert (told.invoiced, told.tax) == (2380, 380)


def test_stripes_part_carries_its_balance_from_month_to_month() -> None:
    entry(None, 1, 5000, 175, created=datetime(2026, 2, 10, tzinfo=UTC))
    entry(None, 2, -4825, 0, kind="payout", created=datetime(2026, 3, 1, tzinfo=UTC))
    entry(None, 3, 3000, 117, created=datetime(2026, 3, 2, tzinfo=UTC))
    entry(None, 4, 100, 5, created=datetime(2026, 3, 3, tzinfo=UTC), currency="USD")
    february, march = report(month_of(2026, 2)), report(month_of(2026, 3))
    assert (february.opening, february.closing) == ({}, {"EUR": 4825})
    assert march.opening == {"EUR": 4825}
    assert march.closing == {"EUR": 2883, "USD": 95}
    assert [(b.currency, b.kind, b.entries, b.amount, b.fee, b.net) for b in march.booked] == [
        ("EUR", "charge", 1, 3000, 117, 2883),
        ("EUR", "payout", 1, -4825, 0, -4825),
        ("USD", "charge", 1, 100, 5, 95),
    ]
    assert sum(march.closing.values()) == BalanceEntry.objects.aggregate(n=Sum("net"))["n"]


def test_page_and_file_say_the_same() -> None:
    Books(1, NOW).fill(orders=30)
    balance_the_ledger()
    entry(None, 1, 3000, 117)
    client = owner()
    page = text_of(client.get("/admin/exports/month-end/?month=2026-03"))
    answer = client.post("/admin/exports/month-end/?month=2026-03", {"format": "csv"})
    assert answer["Content-Disposition"] == 'attachment; filename="month-end-2026-03.csv"'
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode()[1:])))
    for month in report(month_of(2026, 3)).months:
        told = {
            row["line"]: row["amount"] for row in rows if (row["part"], row["currency"]) == ("shop", month.currency)
        }
        assert told["captured"] == to_major(month.captured, month.currency)
        assert told["closing"] == to_major(month.closing, month.currency)
        assert told["difference"] == to_major(0, month.currency)
        assert f"captured {month.payments} {told['captured']}" in page
    assert [(row["line"], row["net"]) for row in rows if row["part"] == "Stripe"] == [
        ("opening", "0.00"),
        ("charge", "28.83"),
        ("closing", "28.83"),
    ]


def test_report_takes_the_same_statements_for_any_number_of_rows() -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as found:
            report(month_of(2026, 3))
        return len(found)

    assert statements() == 7
    Books(0, NOW).fill(orders=80)
    assert statements() == 7


@pytest.mark.parametrize("month", ["2026-13", "1999-01", "x", "", "2026-3", "2026-03\n"])
def test_month_that_cannot_be_is_refused_on_the_page(month: str) -> None:
    answer = owner().get("/admin/exports/month-end/", {"month": month})
    assert answer.status_code == 200
    assert ("alert" in answer.content.decode()) == (month != "2026-03\n")


def test_empty_shop_says_when_there_will_be_a_report() -> None:
    assert "No money has moved yet." in text_of(owner().get("/admin/exports/month-end/"))
