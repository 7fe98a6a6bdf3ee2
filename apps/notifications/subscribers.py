"""What the shop writes to whom when something happened. Each runs inside the outbox's transaction."""

from __future__ import annotations

from typing import Any

from apps.accounts.models import User
from apps.notifications.services import queue_mail
from apps.orders.models import Order


def order_paid(payload: dict[str, Any]) -> None:
    _to_buyer("order_confirmation", payload["order_id"], key=str(payload["order_id"]))


def order_processing(payload: dict[str, Any]) -> None:
    """A bank debit takes days; the buyer is told that nothing is wrong."""
    order = Order.objects.get(pk=payload["order_id"])
    if order.payment_status == Order.PaymentStatus.PROCESSING:
        _to_buyer("payment_on_its_way", order.pk, key=f"{order.pk}/{order.transitions}")


def order_payment_failed(payload: dict[str, Any]) -> None:
    """The payment failed for good; the mail carries the link that pays again, unless that is happening already."""
    order = Order.objects.get(pk=payload["order_id"])
    if order.payment_status == Order.PaymentStatus.FAILED:
        _to_buyer("payment_failed", order.pk, key=f"{order.pk}/{order.transitions}")


def order_contact_learned(payload: dict[str, Any]) -> None:
    """The address came after the event that a mail was due for: the mail of where the order stands now is sent."""
    order = Order.objects.get(pk=payload["order_id"])
    tell = {
        Order.PaymentStatus.PAID: order_paid,
        Order.PaymentStatus.PROCESSING: order_processing,
        Order.PaymentStatus.FAILED: order_payment_failed,
    }.get(Order.PaymentStatus(order.payment_status))
    if tell is not None:
        tell(payload)


def attention(payload: dict[str, Any]) -> None:
    """Money that a person has to look at: every active owner of the shop is told."""
    for owner in User.objects.filter(is_superuser=True, is_active=True):
        about = payload.get("object_id") or payload["payment_id"]
        key = f"{about}/{payload['kind']}/{owner.pk}"[:80]
        queue_mail(kind="attention", key=key, recipient=owner.email, ids=payload)


def password_reset(payload: dict[str, Any]) -> None:
    """`user_id` is empty when nobody has the address that was asked for."""
    user = User.objects.filter(pk=payload["user_id"], is_active=True).first()
    if user is not None:
        queue_mail(kind="password_reset", key=str(payload["request"]), recipient=user.email, ids=payload)


def _to_buyer(kind: str, order_id: int, *, key: str) -> None:
    email = Order.objects.values_list("email", flat=True).get(pk=order_id)
    queue_mail(kind=kind, key=key, recipient=email, ids={"order_id": order_id})
