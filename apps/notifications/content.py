"""What each kind of e-mail says. Rendered when it is sent, so that no link that opens something is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.services import password_reset_link
from apps.common.money import to_major
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.payment.models import AttentionCase

Context = Mapping[str, Any]


def _order(ids: Context) -> dict[str, Any]:
    order = Order.objects.prefetch_related("items").get(pk=ids["order_id"])
    return {
        "order": order,
        "lines": [
            {"name": item.name, "quantity": item.quantity, "total": to_major(item.line_total, order.currency)}
            for item in order.items.all()
        ],
        "charges": [
            {"name": name, "amount": to_major(amount, order.currency)}
            for name, amount in (("Discount", -order.discount), ("Shipping", order.shipping), ("Tax", order.tax))
            if amount
        ],
        "total": to_major(order.total, order.currency),
        "link": f"{settings.FRONTEND_URL}/orders/{order.number}#token={order.token}",
        "subject_of": order.number,
    }


def _reset(ids: Context) -> dict[str, Any]:
    user = User.objects.get(pk=ids["user_id"])
    return {"user": user, "link": password_reset_link(user)}


def _attention(ids: Context) -> dict[str, Any]:
    case = AttentionCase.objects.select_related("payment__order").get(
        payment=ids["payment_id"], kind=ids["kind"], object_id=ids.get("object_id", "")
    )
    return {
        "payment": case.payment,
        "detail": case.detail,
        "link": settings.PUBLIC_URL + reverse("admin:payment_attentioncase_change", args=[case.pk]),
        "subject_of": case.payment.order.number,
    }


KINDS: dict[str, tuple[str, Callable[[Context], dict[str, Any]]]] = {
    Mail.Kind.ORDER_CONFIRMATION: ("Your order {subject_of}", _order),
    Mail.Kind.PAYMENT_FAILED: ("The payment of your order {subject_of} failed", _order),
    Mail.Kind.PAYMENT_ON_ITS_WAY: ("The payment of your order {subject_of} is on its way", _order),
    Mail.Kind.PASSWORD_RESET: ("Set a new password", _reset),
    Mail.Kind.ATTENTION: ("A payment needs attention: order {subject_of}", _attention),
}


def render(kind: str, ids: Context) -> tuple[str, str, str]:
    """Subject, plain text and HTML of an e-mail."""
    subject, collect = KINDS[kind]
    context = {**collect(ids), "shop": settings.SELLER_NAME, "shop_url": settings.FRONTEND_URL}
    line = " ".join(subject.format_map(context).split())  # a header is one line
    text = render_to_string(f"notifications/{kind}.txt", context)
    html = render_to_string(f"notifications/{kind}.html", context | {"subject": line})
    return line, text, html
