"""Numbers without gaps and papers issued once, with many at it. Each guard has its control."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from apps.invoices.invariants import checks
from apps.invoices.models import Document, DocumentCounter
from apps.invoices.services import issuing, numbering
from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.invoices.services.numbering import Place, take_place
from apps.orders.models import Order
from apps.payment.models import Refund
from tests.support.orders import make_order, make_refund
from tests.support.shop import in_parallel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.race]

THREADS = 12 if connection.vendor == "postgresql" else 4


def orders(count: int) -> list[Order]:
    return [make_order(("Mug", 1, 1000), number=f"ORD-20260301-{place:05d}") for place in range(1, count + 1)]


def broken() -> list[str]:
    return [meaning for _, meaning, rows in checks() if rows.exists()]


def issue(order: Order, *, fails: bool) -> Callable[[], None]:
    def run() -> None:
        with transaction.atomic():
            issue_invoice(order.pk)
            transaction.set_rollback(fails)

    return run


def test_every_third_transaction_fails_and_no_number_is_missing() -> None:
    some = orders(36)
    results = in_parallel([issue(order, fails=place % 3 == 0) for place, order in enumerate(some)], threads=THREADS)
    assert results == [None] * 36
    issued = Document.objects.order_by("seq")
    assert [document.seq for document in issued] == list(range(1, 25))
    times = [document.issued_at for document in issued]
    assert times == sorted(times), "times rise with the numbers"
    assert broken() == []


@pytest.mark.postgres  # on SQLite a second writer waits for the first one's transaction
def test_control_numbers_that_are_committed_on_their_own_leave_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a sequence, or a counter in a transaction of its own, would."""

    def taken_elsewhere(series: str) -> Place:
        return in_parallel([lambda: take_place_alone(series)], threads=1)[0]

    def take_place_alone(series: str) -> Place:
        with transaction.atomic():
            return take_place(series)

    monkeypatch.setattr(issuing, "take_place", taken_elsewhere)
    for place, order in enumerate(orders(3)):
        issue(order, fails=place == 1)()
    assert sorted(Document.objects.values_list("seq", flat=True)) == [1, 3]
    assert broken() == ["numbers have no gap"]


@pytest.mark.postgres
def test_control_without_the_lock_two_take_the_same_number(monkeypatch: pytest.MonkeyPatch) -> None:
    DocumentCounter.objects.create(series="INV", year=2026)
    together = threading.Barrier(2)

    def unlocked(series: str, year: int) -> DocumentCounter:
        counter, _ = DocumentCounter.objects.get_or_create(series=series, year=year)
        together.wait(timeout=20)
        return counter

    monkeypatch.setattr(numbering, "_locked", unlocked)
    results = in_parallel([issue(order, fails=False) for order in orders(2)], threads=2)
    assert sorted(type(result) for result in results if result is not None) == [IntegrityError]
    assert Document.objects.count() == 1


def test_one_order_by_everybody_at_once_is_one_invoice() -> None:
    [order] = orders(1)
    documents = in_parallel([lambda: issue_invoice(order.pk)] * THREADS * 2, threads=THREADS)
    assert {document.pk for document in documents} == {Document.objects.get().pk}
    assert DocumentCounter.objects.get().last == 1


def test_events_of_one_refund_at_once_are_one_paper_each() -> None:
    [order] = orders(1)
    refund = make_refund(order, 400)
    Refund.objects.update(status="failed")
    assert in_parallel([lambda: issue_for_refund(refund.pk)] * THREADS, threads=THREADS) == [None] * THREADS
    assert list(Document.objects.order_by("pk").values_list("kind", "seq")) == [
        ("invoice", 1),
        ("credit_note", 1),
        ("cancellation", 1),
    ]
    assert broken() == []


def test_refunds_of_one_order_at_once_share_its_tax_to_the_cent(settings: Any) -> None:
    settings.INVOICE_TAX_RATE = Decimal("0.19")
    [order] = orders(1)
    refunds = [make_refund(order, 100) for _ in range(10)]
    in_parallel([lambda refund=refund: issue_for_refund(refund.pk) for refund in refunds], threads=THREADS)
    bill = Document.objects.get(kind="invoice")
    notes = Document.objects.filter(kind="credit_note")
    assert (len(notes), sum(note.total for note in notes), sum(note.tax for note in notes)) == (10, 1000, bill.tax)
    assert broken() == []


@pytest.mark.postgres
def test_connection_that_dies_with_a_number_in_hand_leaves_no_gap() -> None:
    first, second = orders(2)
    holding, killed = threading.Event(), threading.Event()
    pids: list[int] = []

    def die() -> None:
        with transaction.atomic():
            assert issue_invoice(first.pk).seq == 1
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                pids.append(cursor.fetchone()[0])
            holding.set()
            assert killed.wait(timeout=20)
            Document.objects.count()

    def kill() -> None:
        assert holding.wait(timeout=20)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", pids)
        killed.set()
        issue_invoice(second.pk)

    died, survived = in_parallel([die, kill], threads=2)
    assert isinstance(died, DatabaseError)
    assert survived is None
    assert list(Document.objects.values_list("order", "seq")) == [(second.pk, 1)]
    assert issue_invoice(first.pk).seq == 2
    assert broken() == []
