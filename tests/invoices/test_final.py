"""Issued is issued: neither the code nor the database lets a document change."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from apps.invoices.models import Document, DocumentIsFinal
from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.orders.models import Order
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


@pytest.mark.postgres
def test_database_refuses_a_deletion(issued: Document) -> None:
    with pytest.raises(DatabaseError, match="is final"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM invoices_document")
    assert Document.objects.count() == 1


def test_without_the_guard_the_change_gets_through(issued: Document) -> None:
    """The control: it is the trigger that refuses."""
    table = " ON invoices_document" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER invoices_document_is_final{table}")
        cursor.execute("UPDATE invoices_document SET total = 1, tax = 0")
    assert stored(issued)[1] == 1


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
