"""Invoices and credit notes are kept by law as they were issued: an erasure has the last of them issued first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import QuerySet

from apps.accounts.privacy.holders import Holder, Rows, Subject
from apps.common.money import to_major
from apps.invoices.models import Document
from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.invoices.services.printing import file_name, print_document
from apps.orders.models import Order
from apps.orders.privacy import orders_of
from apps.payment.models import Refund


def _export(subject: Subject) -> list[dict[str, Any]]:
    return [
        {
            "number": document.number,
            "kind": document.kind,
            "order": document.order.number,
            "total": to_major(document.total, document.currency),
            "tax": to_major(document.tax, document.currency),
            "currency": document.currency,
            "issued_at": document.issued_at,
            "buyer": document.facts["buyer"],
            "file": file_name(document),
        }
        for document in _documents(subject).select_related("order")
    ]


def _files(subject: Subject) -> Iterable[tuple[str, bytes]]:
    return ((file_name(document), print_document(document)) for document in _documents(subject))


def _rows(subject: Subject) -> Sequence[Rows]:
    return [Rows("invoices and credit notes", "kept by law, as they were issued", _documents(subject))]


def _issue_what_is_due(subject: Subject) -> None:
    """An order whose buyer is forgotten could not have a lawful invoice any more, so it has one before."""
    unbilled = orders_of(subject).filter(payment_status__in=Order.PAID, erased_at=None)
    for pk in unbilled.exclude(documents__kind=Document.Kind.INVOICE).values_list("pk", flat=True):
        issue_invoice(pk)
    refunds = Refund.objects.filter(payment__order__in=orders_of(subject).values("pk"), succeeded_at__isnull=False)
    for pk in refunds.filter(documents=None).values_list("pk", flat=True):
        issue_for_refund(pk)


def _documents(subject: Subject) -> QuerySet[Document]:
    return Document.objects.filter(order__in=orders_of(subject).values("pk")).order_by("pk")


HOLDER = Holder("invoices", export=_export, files=_files, rows=_rows, erase=_issue_what_is_due)
