"""E-mails to the buyer about an order: paid, on its way, failed, shipped."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from apps.invoices.selectors import invoice_of
from apps.notifications.content.subjects import About, Ids, amount, attached, item_row, see_order
from apps.notifications.letter import Letter, Row
from apps.orders.models import Order


def find(ids: Ids) -> About:
    order = Order.objects.prefetch_related("items").get(pk=ids["order_id"])
    return About(order, order.language)


def confirmation(order: Order, ids: Ids) -> Letter:
    paragraphs = [_("Order %(number)s is paid. Here is what you bought.") % {"number": order.number}]
    if _has_goods(order):
        paragraphs.append(_("We write again when it is on its way."))
    invoice = invoice_of(order)
    return Letter(
        subject=_("Your order %(number)s") % {"number": order.number},
        title=_("Thank you for your order"),
        paragraphs=[*paragraphs, *attached(invoice)],
        button=see_order(order),
        documents=[invoice],
        **_table(order),
    )


def payment_on_its_way(order: Order, ids: Ids) -> Letter:
    return Letter(
        subject=_("The payment of your order %(number)s is on its way") % {"number": order.number},
        title=_("Your payment is on its way"),
        paragraphs=[
            _("Your bank is working on the payment of order %(number)s. That can take some days.")
            % {"number": order.number},
            _("We keep your items for you and write again when it has arrived."),
        ],
        button=see_order(order),
        **_table(order),
    )


def payment_failed(order: Order, ids: Ids) -> Letter:
    return Letter(
        subject=_("The payment of your order %(number)s failed") % {"number": order.number},
        title=_("Your payment failed"),
        paragraphs=[
            _("The payment of order %(number)s did not go through. Nothing was charged.") % {"number": order.number},
            _("What we kept for you is free again. As long as it is there, you can still pay for it."),
        ],
        button=see_order(order, pgettext("mail", "Try again")),
        **_table(order),
    )


def shipped(order: Order, ids: Ids) -> Letter:
    paragraphs = [_("We sent what you bought with order %(number)s.") % {"number": order.number}]
    if order.tracking_number:
        paragraphs.append(_("The tracking number is %(tracking)s.") % {"tracking": order.tracking_number})
    goods = [item for item in order.items.all() if item.kind == "physical"]
    return Letter(
        subject=_("Your order %(number)s is on its way") % {"number": order.number},
        title=_("Your order is on its way"),
        paragraphs=paragraphs,
        rows=[item_row(item, item.quantity, order.currency) for item in goods],
        button=see_order(order),
    )


def _has_goods(order: Order) -> bool:
    return any(item.kind == "physical" for item in order.items.all())


def _table(order: Order) -> dict[str, Any]:
    """The lines, what comes on top of them, and the total."""
    charges = [
        (pgettext("mail", "Discount"), -order.discount),
        (pgettext("mail", "Shipping"), order.shipping),
        (pgettext("mail", "Tax"), order.tax),
    ]
    return {
        "rows": [
            *(item_row(item, item.quantity, order.currency) for item in order.items.all()),
            *(Row(name, amount(minor, order.currency)) for name, minor in charges if minor),
        ],
        "total": Row(pgettext("mail", "Total"), amount(order.total, order.currency)),
    }
