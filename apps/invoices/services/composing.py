"""The content of a document: the facts in numbers, and the page as it is printed.

Everything that is printed is settled here, once. Later changes of settings, catalogues or libraries do not reach it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from apps.invoices.models import Document
from apps.invoices.pdf import Page
from apps.invoices.services import wording
from apps.invoices.services.numbering import Place
from apps.invoices.services.wording import Line
from apps.orders.models import Order
from apps.payment.models import Refund


@dataclass(frozen=True, slots=True)
class Sums:
    """Minor units: the total, and the part of it that is tax."""

    total: int
    tax: int
    rate: Decimal


def lines_of_order(order: Order) -> list[Line]:
    return [
        Line(item.sku, item.name, item.quantity, item.unit_price, item.line_total)
        for item in order.items.all().order_by("pk")
    ]


def lines_of_refund(refund: Refund, order: Order) -> list[Line]:
    """The lines that it gives back: those that it names, all of them, or its amount as one."""
    named = [
        Line(item.order_item.sku, item.order_item.name, item.quantity, price := item.order_item.unit_price,
             price * item.quantity)
        for item in refund.items.select_related("order_item").order_by("pk")
    ]  # fmt: skip
    if named and sum(line.amount for line in named) == refund.amount:
        return named
    if refund.amount == order.total:
        return lines_of_order(order)
    what = _("Part of order %(number)s") % {"number": order.number}
    return [Line("", what, 1, refund.amount, refund.amount)]


def invoice(place: Place, order: Order, sums: Sums) -> dict[str, Any]:
    return _content(
        order,
        sums,
        lines_of_order(order),
        buyer=wording.buyer_lines(order),
        title=pgettext("invoice", "Invoice"),
        number=place.number,
        facts=[
            (pgettext("invoice", "Invoice number"), place.number),
            (pgettext("invoice", "Invoice date"), wording.date(place.at)),
            (pgettext("invoice", "Order"), order.number),
            (pgettext("invoice", "Ordered on"), wording.date(order.created_at)),
            *([(pgettext("invoice", "Paid on"), wording.date(order.paid_at))] if order.paid_at else []),
        ],
        charges=_charges(order),
        closing=[_("This invoice has been paid. Nothing is due.")],
    )


def credit_note(place: Place, order: Order, sums: Sums, *, of: Document, refund: Refund) -> dict[str, Any]:
    lines = lines_of_refund(refund, order)
    # The whole order went back: with its discount and shipping.
    whole = sum(line.amount for line in lines) != refund.amount
    return _content(
        order,
        sums,
        lines,
        buyer=of.facts["buyer"],
        title=pgettext("invoice", "Credit note"),
        number=place.number,
        facts=[
            (pgettext("invoice", "Credit note number"), place.number),
            (pgettext("invoice", "Date"), wording.date(place.at)),
            (pgettext("invoice", "For invoice"), of.number),
            (pgettext("invoice", "Order"), order.number),
        ],
        charges=_charges(order) if whole else [],
        closing=[_("We send this amount back to where it was paid from.")],
    )


def cancellation(place: Place, order: Order, sums: Sums, *, of: Document) -> dict[str, Any]:
    """Takes a credit note back, line by line. The buyer is the invoice's, whatever the order knows by now."""
    facts = of.facts
    return _content(
        order,
        sums,
        [Line(**line) for line in facts["lines"]],
        buyer=facts["buyer"],
        title=pgettext("invoice", "Cancellation of a credit note"),
        number=place.number,
        facts=[
            (pgettext("invoice", "Number"), place.number),
            (pgettext("invoice", "Date"), wording.date(place.at)),
            (pgettext("invoice", "Cancels credit note"), of.number),
            (pgettext("invoice", "Order"), order.number),
        ],
        charges=[(name, minor) for name, minor in facts["charges"]],
        closing=[
            _("The refund of credit note %(number)s did not go through, so that credit note is void.")
            % {"number": of.number}
        ],
    )


def _charges(order: Order) -> list[tuple[str, int]]:
    named = [
        (pgettext("invoice", "Discount"), -order.discount),
        (pgettext("invoice", "Shipping"), order.shipping),
        (pgettext("invoice", "Tax"), order.tax),
    ]
    return [(name, minor) for name, minor in named if minor]


def _content(
    order: Order,
    sums: Sums,
    lines: Sequence[Line],
    *,
    buyer: list[str],
    title: str,
    number: str,
    facts: list[tuple[str, str]],
    charges: list[tuple[str, int]],
    closing: list[str],
) -> dict[str, Any]:
    currency = order.currency
    seller = wording.seller_lines()
    contained = []
    if sums.rate:
        rate = wording.percent(sums.rate)
        contained = [
            (pgettext("invoice", "Net amount"), wording.amount(sums.total - sums.tax, currency)),
            (pgettext("invoice", "Tax contained, %(rate)s") % {"rate": rate}, wording.amount(sums.tax, currency)),
        ]
    page = Page(
        language=wording.language(),
        title=title,
        number=number,
        seller=seller,
        buyer=buyer,
        facts=facts,
        heads=wording.line_heads(),
        rows=[wording.line_cells(line, currency) for line in lines],
        charges=[(name, wording.amount(minor, currency)) for name, minor in charges],
        total=(pgettext("invoice", "Total"), wording.amount(sums.total, currency)),
        contained=contained,
        closing=closing,
        page_label=_("Page %(page)s of %(pages)s"),
    )
    return {
        "facts": {
            "seller": seller,
            "buyer": buyer,
            "order": order.number,
            "currency": currency,
            "lines": [asdict(line) for line in lines],
            "charges": charges,
            "total": sums.total,
            "tax": sums.tax,
            "tax_rate": str(sums.rate),
        },
        "page": asdict(page),
    }
