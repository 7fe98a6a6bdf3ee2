"""Issued documents, found again."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.invoices.models import Document
from apps.orders.models import Order
from apps.payment.models import Refund


def documents_of(order: Order) -> QuerySet[Document]:
    """All documents of an order, oldest first."""
    return Document.objects.filter(order=order).order_by("pk")


def invoice_of(order: Order) -> Document | None:
    return documents_of(order).filter(kind=Document.Kind.INVOICE).first()


def document_for(refund: Refund, kind: Document.Kind) -> Document | None:
    """The credit note of a refund, or its cancellation."""
    return Document.objects.filter(refund=refund, kind=kind).first()
