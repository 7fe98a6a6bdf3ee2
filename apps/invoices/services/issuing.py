"""Issue documents, each once. What they say comes from the order and the refund as they are at that moment.

Runs in the caller's transaction, on the locked order, so that two at once make one document. Lock order: order, then
counter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import override

from apps.invoices.models import Document
from apps.invoices.services import composing
from apps.invoices.services.composing import Sums
from apps.invoices.services.numbering import Place, take_place
from apps.invoices.services.tax import contained_tax
from apps.orders.models import Order
from apps.orders.services.lifecycle import lock_order
from apps.payment.models import Refund

K = Document.Kind


class NotPaid(Exception):
    """There is no invoice for an order that is not paid."""


def issue_invoice(order_id: int) -> Document:
    """The invoice of a paid order, issued now unless there is one. Raises NotPaid."""
    with transaction.atomic():
        order = lock_order(order_id)
        known = Document.objects.filter(order=order, kind=K.INVOICE).first()
        if known is not None:
            return known
        if not order.is_paid:
            raise NotPaid(order.number)
        rate: Decimal = settings.INVOICE_TAX_RATE
        sums = Sums(order.total, contained_tax(order.total, rate, order.currency), rate)
        return _issue(K.INVOICE, order, sums, lambda place: composing.invoice(place, order, sums))


def issue_for_refund(refund_id: int) -> None:
    """A credit note once the money went back, and its cancellation when it came back to the shop after all.

    Looks at the refund as it is, so that it does not matter which of its events comes first. Money that was never
    applied to the order has no invoice to correct.
    """
    refund = Refund.objects.select_related("payment").get(pk=refund_id)
    if refund.succeeded_at is None or not refund.payment.applied:
        return
    with transaction.atomic():
        bill = issue_invoice(refund.payment.order_id)
        order = bill.order
        note = _issued(K.CREDIT_NOTE, refund) or _credit(bill, order, refund)
        failed = refund.status in (Refund.Status.FAILED, Refund.Status.CANCELLED)
        if failed and _issued(K.CANCELLATION, refund) is None:
            sums = Sums(note.total, note.tax, note.rate)
            _issue(
                K.CANCELLATION,
                order,
                sums,
                lambda place: composing.cancellation(place, order, sums, of=note),
                refund=refund,
                corrects=note,
                language=bill.language,
            )


def _credit(bill: Document, order: Order, refund: Refund) -> Document:
    sums = Sums(refund.amount, _tax_of_credit(bill, refund.amount), bill.rate)
    return _issue(
        K.CREDIT_NOTE,
        order,
        sums,
        lambda place: composing.credit_note(place, order, sums, of=bill, refund=refund),
        refund=refund,
        corrects=bill,
        language=bill.language,
    )


def _tax_of_credit(bill: Document, amount: int) -> int:
    """So much that the tax of all credit notes together is what their sum contains: cents are not lost in parts."""
    credited = tax = 0
    for note in Document.objects.filter(corrects=bill, corrections=None):
        credited, tax = credited + note.total, tax + note.tax
    whole = credited + amount
    due = bill.tax if whole == bill.total else contained_tax(whole, bill.rate, bill.currency)
    return min(max(due - tax, 0), amount)


def _issued(kind: str, refund: Refund) -> Document | None:
    return Document.objects.filter(refund=refund, kind=kind).first()


def _issue(
    kind: Document.Kind,
    order: Order,
    sums: Sums,
    compose: Callable[[Place], dict[str, Any]],
    *,
    refund: Refund | None = None,
    corrects: Document | None = None,
    language: str = "",
) -> Document:
    place = take_place(Document.SERIES[kind])
    language = language or order.language or settings.LANGUAGE_CODE
    with override(language):
        content = compose(place)
    return Document.objects.create(
        kind=kind,
        series=place.series,
        year=place.year,
        seq=place.seq,
        number=place.number,
        order=order,
        refund=refund,
        corrects=corrects,
        currency=order.currency,
        total=sums.total,
        tax=sums.tax,
        language=language,
        content=json.dumps(content),
        issued_at=place.at,
    )
