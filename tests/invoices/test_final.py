"""Issued is issued: neither the code nor the database lets a document change."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from apps.common.retention import letting_go
from apps.invoices.models import Document, DocumentIsFinal
from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.orders.models import Order
from tests.support.emptying import without_guards
from tests.support.orders import make_order, make_refund

pytestmark = pytest.mark.django_db


@pytest.fixture
def issued() -> Document:
    return issue_invoice(make_order(("Mug", 1, 1000)).pk)


def stored(document: Document) -> tuple[str, int, str]:
    return Document.objects.values_list("number", "total", "content").get(pk=document.pk)


def test_document_cannot_be_saved_again(issued: Document) -> None:
    before = stored(issued)
    issued.total = 1
    for save in (issued.save, lambda: issued.save(update_fields=["total"]), issued.delete):
        with pytest.raises(DocumentIsFinal):
            save()
    assert stored(issued) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE invoices_document SET total = 1, tax = 0",
        "UPDATE invoices_document SET content = '{}'",
        "UPDATE invoices_document SET number = 'INV-2026-99999', seq = 99999",
        "UPDATE invoices_document SET issued_at = '2020-01-01'",
    ],
)
def test_database_refuses_a_change(issued: Document, change: str) -> None:
    before = stored(issued)
    with pytest.raises(DatabaseError, match="is final"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
    assert stored(issued) == before


def delete_all() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM invoices_document")


def test_database_refuses_a_deletion(issued: Document) -> None:
    with pytest.raises(DatabaseError, match="is final"), transaction.atomic():
        delete_all()
    assert Document.objects.count() == 1


@pytest.mark.postgres
def test_database_refuses_to_empty_the_table(issued: Document) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # its rows' own checks are pending, and PostgreSQL would wait
        with pytest.raises(DatabaseError, match="is final"), transaction.atomic():
            cursor.execute("TRUNCATE orders_order CASCADE")
    assert Document.objects.count() == 1


@pytest.mark.parametrize(
    ("days", "before"),
    [(0, 0), (0, 366), (400, 0), (400, 363), (400, 500)],
    ids=["young", "young by an old moment", "old by no moment", "old by a young moment", "younger than the moment"],
)
def test_database_refuses_the_purge_what_is_not_old_enough(days: int, before: int) -> None:
    issue_old(days)
    with pytest.raises(DatabaseError, match="is final"), letting_go(timezone.now() - timedelta(days=before)):
        delete_all()
    assert Document.objects.count() == 1


def test_purge_lets_an_old_document_go_and_changes_none() -> None:
    issue_old(400)
    moment = timezone.now() - timedelta(days=366)
    with pytest.raises(DatabaseError, match="is final"), letting_go(moment), connection.cursor() as cursor:
        cursor.execute("UPDATE invoices_document SET total = 1, tax = 0")
    with letting_go(moment):
        delete_all()
    assert Document.objects.count() == 0


def issue_old(days: int) -> Document:
    order = make_order(("Mug", 1, 1000))
    with time_machine.travel(timezone.now() - timedelta(days=days)):
        return issue_invoice(order.pk)


def test_without_the_guard_the_change_gets_through(issued: Document) -> None:
    """The control: it is the triggers that refuse."""
    with without_guards(), connection.cursor() as cursor:
        cursor.execute("UPDATE invoices_document SET total = 1, tax = 0")
        assert stored(issued)[1] == 1
        delete_all()
    assert Document.objects.count() == 0


def test_order_with_a_document_cannot_be_deleted(issued: Document) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Order.objects.filter(pk=issued.order_id).delete()


def copy_of(document: Document, **changes: object) -> Document:
    names = [field.attname for field in Document._meta.concrete_fields if not field.primary_key]
    return Document(**{name: getattr(document, name) for name in names} | changes)


def test_database_knows_one_invoice_per_order_and_one_paper_per_refund_and_kind(issued: Document) -> None:
    refund = make_refund(issued.order, 1000)
    issue_for_refund(refund.pk)
    note = Document.objects.get(kind="credit_note")
    wrong = [
        copy_of(issued, seq=2, number="INV-1"),  # a second invoice
        copy_of(
            issued, order_id=make_order(("Mug", 1, 1), number="ORD-20260301-00002").pk, number="INV-2"
        ),  # its place
        copy_of(note, seq=2, number="CN-1"),  # a second credit note for the refund
        copy_of(note, kind="cancellation", series="CX", number="CX-1", corrects_id=None),  # corrects nothing
        copy_of(issued, kind="cancellation", series="CX", number="CX-2", corrects_id=issued.pk),  # without a refund
    ]
    for document in wrong:
        with pytest.raises(IntegrityError), transaction.atomic():
            document.save()
    assert Document.objects.count() == 2
