"""Invoices, credit notes and cancellations, for whose order it is and for staff with a permission of their own."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.api import private
from apps.common.errors import NotFound
from apps.common.money import to_major
from apps.common.schema import errors
from apps.invoices.models import Document
from apps.invoices.schema import DocumentOutput
from apps.invoices.selectors import documents_of
from apps.invoices.services.issuing import NotPaid, issue_invoice
from apps.invoices.services.printing import file_name, print_document
from apps.payment.views.access import order_of

VIEW = "invoices.view_document"
NUMBER = r"[A-Z]{2,8}-[0-9]{4}-[0-9]{5,10}"
ERRORS = errors(401, 404, 503)


class AnyAccept(BaseContentNegotiation):
    """A PDF comes out and an error is JSON, whatever the client said that it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class InvoiceView(APIView):
    """The invoice of a paid order as a PDF; with `document`, another of the order's documents."""

    content_negotiation_class = AnyAccept

    @extend_schema(
        operation_id="orders_invoice",
        parameters=[OpenApiParameter("document", str, description="Number of a credit note or of its cancellation.")],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY, **ERRORS},
    )
    def get(self, request: Request, number: str) -> HttpResponse:
        order = order_of(request, number, permission=VIEW)
        document = _invoice(order.pk)
        wanted = request.query_params.get("document", document.number)
        if wanted != document.number:
            found = documents_of(order).filter(number=wanted).first() if re.fullmatch(NUMBER, wanted) else None
            if found is None:
                raise NotFound("This order has no such document.", code="document_not_found")
            document = found
        return pdf_response(document)


class DocumentListView(APIView):
    """The documents of an order, oldest first; none before it is paid."""

    @extend_schema(operation_id="orders_documents", responses={200: DocumentOutput(many=True), **ERRORS})
    def get(self, request: Request, number: str) -> Response:
        order = order_of(request, number, permission=VIEW)
        if order.is_paid:
            _invoice(order.pk)
        return private([_render(document) for document in documents_of(order).select_related("corrects")])


def pdf_response(document: Document) -> HttpResponse:
    """The document as a download that no cache keeps."""
    return HttpResponse(
        print_document(document),
        content_type="application/pdf",
        headers={
            "Content-Disposition": f'attachment; filename="{file_name(document)}"',
            "Cache-Control": "no-store",
        },
    )


def _invoice(order_id: int) -> Document:
    """Whoever asks before the outbox has come to it does not wait."""
    try:
        return issue_invoice(order_id)
    except NotPaid:
        raise NotFound("There is an invoice once the order is paid.", code="invoice_not_found") from None


def _render(document: Document) -> dict[str, Any]:
    return {
        "number": document.number,
        "kind": document.kind,
        "total": to_major(document.total, document.currency),
        "currency": document.currency,
        "corrects": document.corrects.number if document.corrects else None,
        "issued_at": document.issued_at.isoformat().replace("+00:00", "Z"),
    }
