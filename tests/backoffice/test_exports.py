"""Tables to take away: every row of the period once, amounts as they are, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from openpyxl import load_workbook

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.backoffice.exports import tables
from apps.backoffice.exports.files import csv_lines, csv_text, xlsx_file
from apps.backoffice.exports.tables import TABLES
from apps.backoffice.selectors.periods import Span
from apps.common.money import Money, to_major
from apps.invoices.models import Document
from apps.orders.models import Order
from apps.payment.models import BalanceEntry, Payment, Refund
from tests.backoffice.rows import Books
from tests.support.staff import owner, signed_in, text_of

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 18, 14, 30, tzinfo=UTC)
SPAN = Span(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 19, tzinfo=UTC))
PAGE = "/admin/exports/"


def export(client: Client, table: str, kind: str = "csv", first: str = "2026-03-01", last: str = "2026-03-18") -> Any:
    return client.post(PAGE, {"table": table, "first": first, "last": last, "format": kind})


def rows_of(answer: Any) -> list[dict[str, str]]:
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:])))


def entry(payment: Payment | None, number: int, amount: int, fee: int, **fields: Any) -> BalanceEntry:
    values: dict[str, Any] = {
        "stripe_id": f"txn_{number}",
        "kind": "charge",
        "category": "charge",
        "source_id": f"ch_{number}",
        "payment": payment,
        "amount": amount,
        "fee": fee,
        "net": amount - fee,
        "currency": "EUR",
        "created": NOW,
        "available_on": NOW + timedelta(days=2),
    }
    return BalanceEntry.objects.create(**{**values, **fields})


def document(order: Order, number: int, kind: str = "invoice", **fields: Any) -> Document:
    return Document.objects.create(
        kind=kind,
        series="INV",
        year=2026,
        seq=number,
        number=f"D-{number}",
        order=order,
        currency=order.currency,
        total=order.total,
        tax=round(order.total * 19 / 119),
        language="en",
        content='{"facts": {"tax_rate": "0.19"}, "page": {}}',
        issued_at=NOW,
        **fields,
    )


def test_every_order_of_the_period_is_there_once_with_its_amounts() -> None:
    Books(1, NOW).fill(orders=90)
    found = rows_of(export(owner(), "orders"))
    wanted = [order for order in Order.objects.all() if SPAN.start <= order.created_at < SPAN.end]
    assert len(wanted) > 20
    assert [row["number"] for row in found] == [o.number for o in sorted(wanted, key=lambda o: (o.created_at, o.pk))]
    told = {row["number"]: row for row in found}
    for order in wanted:
        row = told[order.number]
        assert (row["currency"], row["total"]) == (order.currency, to_major(order.total, order.currency))
        assert (row["status"], row["payment status"], row["email"]) == (order.status, order.payment_status, order.email)
        assert row["placed"] == f"{order.created_at:%Y-%m-%d %H:%M:%S}"


def test_payments_carry_stripes_fee_net_and_payout() -> None:
    books = Books(0, NOW)
    payment = books.paid(books.order("USD", 5000, at=NOW), at=NOW)
    waiting = books.paid(books.order("JPY", 700, at=NOW), at=NOW + timedelta(seconds=1))
    entry(payment, 1, 4600, 160, payout_id="po_1")
    entry(payment, 2, -920, 0, kind="refund", source_id="re_1", payout_id="po_2")
    first, second = rows_of(export(owner(), "payments"))
    assert (first["payment"], first["captured"], first["currency"]) == (str(payment.pk), "50.00", "USD")
    assert (first["settled in"], first["fee"], first["net"]) == ("EUR", "1.60", "35.20")
    assert first["payout"] == "po_1 po_2"
    assert (second["payment"], second["captured"], second["fee"], second["payout"]) == (str(waiting.pk), "700", "", "")


def test_sums_of_an_export_are_those_of_the_rows() -> None:
    Books(2, NOW).fill(orders=90)
    client = owner()
    payments = rows_of(export(client, "payments"))
    refunds = rows_of(export(client, "refunds", first="2000-01-01", last="2100-01-01"))
    for currency in ("USD", "EUR", "JPY"):
        paid = [
            p for p in Payment.objects.filter(currency=currency) if p.paid_at and SPAN.start <= p.paid_at < SPAN.end
        ]
        told = sum(Decimal(row["captured"]) for row in payments if row["currency"] == currency)
        assert told == Decimal(to_major(sum(p.amount_captured for p in paid), currency))
        back = sum(Decimal(row["amount"]) for row in refunds if row["currency"] == currency)
        given = Refund.objects.filter(currency=currency).values_list("amount", flat=True)
        assert back == Decimal(to_major(sum(given), currency))
    assert len(refunds) == Refund.objects.count() > 10


def test_tax_lines_take_back_what_was_credited() -> None:
    books = Books(0, NOW)
    order = books.order("EUR", 11900, at=NOW)
    payment = books.paid(order, at=NOW)
    bill = document(order, 1)
    document(order, 2, "credit_note", corrects=bill, refund=books.refund(payment, 11900, at=NOW))
    rows = rows_of(export(owner(), "taxes"))
    assert [(r["document"], r["kind"], r["net"], r["tax"], r["gross"], r["rate"], r["corrects"]) for r in rows] == [
        ("D-1", "invoice", "100.00", "19.00", "119.00", "0.19", ""),
        ("D-2", "credit_note", "-100.00", "-19.00", "-119.00", "0.19", "D-1"),
    ]


def test_balance_names_payouts_and_what_belongs_to_no_payment() -> None:
    books = Books(0, NOW)
    payment = books.paid(books.order("USD", 5000, at=NOW), at=NOW)
    entry(payment, 1, 4600, 160, payout_id="po_1")
    entry(None, 2, -4440, 0, kind="payout", source_id="po_1", payout_id="po_1", created=NOW + timedelta(hours=1))
    rows = rows_of(export(owner(), "balance"))
    assert [(r["kind"], r["order"], r["amount"], r["fee"], r["net"], r["payout"]) for r in rows] == [
        ("charge", payment.order.number, "46.00", "1.60", "44.40", "po_1"),
        ("payout", "", "-44.40", "0.00", "-44.40", "po_1"),
    ]


@pytest.mark.parametrize("name", TABLES)
def test_days_at_both_ends_are_whole_and_columns_fit(name: str) -> None:
    books = Books(0, NOW)
    edges = [SPAN.start - timedelta(seconds=1), SPAN.start, SPAN.end - timedelta(seconds=1), SPAN.end]
    for number, at in enumerate(edges):
        order = books.order("USD", 1000, at=at)
        payment = books.paid(order, at=at)
        refund = books.refund(payment, 10, at=at)
        Refund.objects.filter(pk=refund.pk).update(created_at=at)
        entry(payment, number, 900, 30, created=at)
        Document.objects.bulk_create([Document(**{**document_fields(order, number), "issued_at": at})])
    rows = list(TABLES[name].rows(SPAN))
    assert len(rows) == 2
    assert {len(row) for row in rows} == {len(TABLES[name].columns)}
    assert len(rows_of(export(owner(), name))) == 2


def document_fields(order: Order, number: int) -> dict[str, Any]:
    return {
        "kind": "invoice",
        "series": "INV",
        "year": 2026,
        "seq": number,
        "number": f"D-{number}",
        "order": order,
        "currency": "USD",
        "total": 1000,
        "tax": 0,
        "language": "en",
        "content": '{"facts": {"tax_rate": "0"}, "page": {}}',
    }


def test_rows_of_one_moment_are_told_once_across_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH", 3)
    books = Books(0, NOW)
    numbers = [books.order("USD", 100 + n, at=NOW - timedelta(seconds=n // 7)).number for n in range(20)]
    told = [row[0] for row in TABLES["orders"].rows(SPAN)]
    assert sorted(told) == sorted(numbers)
    assert len(told) == len(set(told)) == 20


def test_export_is_read_in_batches_and_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books(0, NOW)
    sample = books.order("USD", 100, at=NOW)
    copies = Order.objects.filter(pk=sample.pk).values().get()
    del copies["id"]
    Order.objects.bulk_create(
        Order(**{**copies, "number": f"BULK-{n}", "public_id": f"p{n}", "email": "x" * 200 + "@example.com"})
        for n in range(6000)
    )
    Order.objects.update(created_at=NOW)
    lines: Iterator[str] = csv_lines(TABLES["orders"].columns, TABLES["orders"].rows(SPAN))
    with CaptureQueriesContext(connection) as found:
        next(lines)
        next(lines)
        assert len(found) == 2
        tracemalloc.start()
        count = sum(1 for _ in lines)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert count == 6000
    assert len(found) == 2 * 13 + 1
    assert peak < 12_000_000  # a batch, not six thousand rows of a kilobyte each


DANGEROUS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "=cmd|' /C calc'!A0", "=HYPERLINK(1)"]


@pytest.mark.parametrize("text", DANGEROUS)
def test_text_never_begins_a_formula(text: str) -> None:
    assert csv_text(text) == f"'{text}"
    [cell] = read_xlsx(xlsx_file("T", ["a"], [[text]]))[1]
    assert cell.data_type == "s"
    assert cell.value.replace("_x000D_", "\r") in (text, text.replace("\r", "\n"))


def test_numbers_stay_numbers_also_below_zero() -> None:
    assert [csv_text(cell) for cell in (Money(-1250, "USD"), -3, Decimal("-0.19"), None)] == [
        "-12.50",
        "-3",
        "-0.19",
        "",
    ]
    [cells] = [read_xlsx(xlsx_file("T", ["a"], [[Money(-1250, "USD"), Money(500, "JPY"), Money(1005, "KWD"), 7]]))[1]]
    assert [cell.data_type for cell in cells] == ["n"] * 4
    assert [cell.value for cell in cells] == [-12.5, 500, 1.005, 7]
    assert [cell.number_format for cell in cells] == ["#,##0.00", "#,##0", "#,##0.000", "General"]


def test_dangerous_order_comes_out_harmless() -> None:
    order = Books(0, NOW).order("USD", 100, at=NOW)
    Order.objects.filter(pk=order.pk).update(email="=2+5@example.com", tracking_number="\x07-5")
    [row] = rows_of(export(owner(), "orders"))
    assert (row["email"], row["tracking number"]) == ("'=2+5@example.com", "\x07-5")
    answer = export(owner_again(), "orders", "xlsx")
    head, body = read_xlsx(io.BytesIO(b"".join(answer.streaming_content)))
    values = dict(zip((cell.value for cell in head), (cell.value for cell in body), strict=True))
    assert (values["email"], values["tracking number"], values["total"]) == ("=2+5@example.com", "-5", 1)
    assert values["placed"] == NOW.replace(tzinfo=None)


def owner_again() -> Client:
    return signed_in(User.objects.get(email="owner@example.com"))


def read_xlsx(file: Any) -> list[tuple[Any, ...]]:
    return list(load_workbook(file).worksheets[0].iter_rows())


def test_full_sheet_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.backoffice.exports.files.ROWS_PER_SHEET", 4)
    book = load_workbook(xlsx_file("Orders", ["n"], ([n] for n in range(9))))
    assert book.sheetnames == ["Orders", "Orders 2", "Orders 3"]
    assert [[row[0] for row in sheet.values] for sheet in book.worksheets] == [
        ["n", 0, 1, 2, 3],
        ["n", 4, 5, 6, 7],
        ["n", 8],
    ]


def test_export_needs_its_right_and_stays_in_the_trail() -> None:
    for role, status in [("viewer", 403), ("support", 403), ("catalogue", 403), ("finance", 200)]:
        user = User.objects.create_user(f"{role}@example.com", "correct horse battery", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client = signed_in(user)
        assert client.get(PAGE).status_code == status
        assert client.get(f"{PAGE}month-end/").status_code == status
        assert export(client, "orders").status_code == status
        shown = "Exports" in text_of(client.get("/admin/"))
        assert shown == (status == 200)
    told = AuditEntry.objects.values_list("actor_name", "action", "object_type", "detail")
    assert list(told) == [
        ("finance@example.com", "exported", "backoffice.books", "orders-2026-03-01-to-2026-03-18.csv")
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"last": "2026-02-01"},
        {"first": ""},
        {"first": "x"},
        {"table": "users"},
        {"format": "exe"},
        {"first": "99999-01-01"},
    ],
)
def test_what_makes_no_sense_is_refused_on_the_page(wrong: dict[str, str]) -> None:
    given = {"table": "orders", "first": "2026-03-01", "last": "2026-03-18", "format": "csv", **wrong}
    answer = owner().post(PAGE, given)
    assert answer.status_code == 200
    assert 'role="alert"' in answer.content.decode()
    assert AuditEntry.objects.count() == 0


def test_file_is_named_and_kept_by_no_cache() -> None:
    answer = export(owner(), "payments", "xlsx")
    assert answer["Content-Disposition"] == 'attachment; filename="payments-2026-03-01-to-2026-03-18.xlsx"'
    assert "no-store" in answer["Cache-Control"]
    assert b"".join(answer.streaming_content)[:2] == b"PK"
