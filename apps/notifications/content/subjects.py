"""What an e-mail is about, and how amounts in it are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from apps.common.money import Money, format_money
from apps.invoices.models import Document
from apps.notifications.letter import Button, Letter, Row
from apps.orders.models import Order, OrderItem

Ids = Mapping[str, Any]


class About(NamedTuple):
    """The row that an e-mail is about, and the language of its reader; empty is the shop's own."""

    subject: Any
    language: str


class Kind(NamedTuple):
    """How one kind of e-mail comes about: find what it is about, then write it in the reader's language."""

    find: Callable[[Ids], About]
    write: Callable[[Any, Ids], Letter]


def amount(minor: int, currency: str) -> str:
    """An amount in minor units as the reader's language writes it."""
    return format_money(minor, currency, get_language() or settings.LANGUAGE_CODE)


def money(value: Money) -> str:
    return amount(value.amount, value.currency)


def item_row(item: OrderItem, quantity: int, currency: str) -> Row:
    return Row(f"{quantity} × {item.name}", amount(item.unit_price * quantity, currency))


def attached(document: Document | None) -> list[str]:
    """A sentence about the attachment, if there is one."""
    if document is None:
        return []
    words = {
        Document.Kind.INVOICE: _("The invoice %(number)s is attached."),
        Document.Kind.CREDIT_NOTE: _("The credit note %(number)s is attached."),
        Document.Kind.CANCELLATION: _("The cancellation %(number)s of the credit note is attached."),
    }
    return [words[Document.Kind(document.kind)] % {"number": document.number}]


def see_order(order: Order, label: str = "") -> Button:
    """The link opens the order to whoever holds it, also without a sign-in."""
    link = f"{settings.FRONTEND_URL}/orders/{order.number}#token={order.token}"
    return Button(label or pgettext("mail", "See your order"), link)
