"""What the shop writes to whom when something happened. Each runs inside the outbox's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from apps.accounts.models import User
from apps.notifications.services import queue_mail
from apps.orders.models import Order
from apps.payment.models import Refund
from apps.payment.services.refunds import facts_of

TOLD_BY_DISPUTE_MAILS = ("dispute", "inquiry")


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
    if order.payment_status == Order.PaymentStatus.FAILED and order.ended == Order.Ended.PAYMENT_FAILED:
        _to_buyer("payment_failed", order.pk, key=f"{order.pk}/{order.transitions}")


def order_contact_learned(payload: dict[str, Any]) -> None:
    """The address came after the event that a mail was due for: the mails of where things stand now are sent.

    An order that was paid is confirmed also where money went back meanwhile.
    """
    order = Order.objects.get(pk=payload["order_id"])
    if order.is_paid:
        order_paid(payload)
    elif order.payment_status == Order.PaymentStatus.PROCESSING:
        order_processing(payload)
    elif order.payment_status == Order.PaymentStatus.FAILED:
        order_payment_failed(payload)
    for refund in Refund.objects.filter(payment__order=order, status=Refund.Status.SUCCEEDED).order_by("pk"):
        refund_succeeded(facts_of(refund))


def order_shipped(payload: dict[str, Any]) -> None:
    _to_buyer("order_shipped", payload["order_id"], key=str(payload["order_id"]))


def refund_requested(payload: dict[str, Any]) -> None:
    """The buyer has it in writing, and whoever may decide it is told that it waits."""
    _about_refund("refund_requested", payload)
    _to_staff("refund_waiting", "decide_refund", key=str(payload["refund_id"]), ids=payload)


def refund_rejected(payload: dict[str, Any]) -> None:
    _about_refund("refund_rejected", payload)


def refund_succeeded(payload: dict[str, Any]) -> None:
    _about_refund("refund_succeeded", payload)


def refund_failed(payload: dict[str, Any]) -> None:
    """Tell a buyer who waits for the money. Staff is told by the case that was opened with it."""
    refund = Refund.objects.get(pk=payload["refund_id"])
    expected = refund.source in (Refund.Source.BUYER, Refund.Source.SHOP)
    if payload["had_succeeded"] or expected:
        _about_refund("refund_failed", payload)


def dispute_opened(stage: str, payload: dict[str, Any]) -> None:
    """An inquiry, a dispute or an appeal; one may follow the other, and each is told once."""
    key = f"{payload['dispute_id']}/{stage}"
    _to_staff("dispute_opened", "answer_dispute", key=key, ids={**payload, "stage": stage})


def dispute_closed(stage: str, payload: dict[str, Any]) -> None:
    key = f"{payload['dispute_id']}/{stage}"
    _to_staff("dispute_closed", "answer_dispute", key=key, ids={**payload, "stage": stage})


def attention(payload: dict[str, Any]) -> None:
    """Money that a person has to look at. Disputes have e-mails of their own."""
    if payload["kind"] not in TOLD_BY_DISPUTE_MAILS:
        about = payload.get("object_id") or payload["payment_id"]
        _to_staff("attention", "change_attentioncase", key=f"{about}/{payload['kind']}", ids=payload)


def enrollment_changed(kind: str, payload: dict[str, Any]) -> None:
    """A learner's enrollment began, ended, is paused or goes on."""
    learner = User.objects.get(pk=payload["user_id"])
    key = f"{payload['enrollment_id']}/{payload['transition']}"
    queue_mail(kind=kind, key=key, recipient=learner.email, ids=payload)


def password_reset(payload: dict[str, Any]) -> None:
    """`user_id` is empty when nobody has the address that was asked for."""
    user = User.objects.filter(pk=payload["user_id"], is_active=True).first()
    if user is not None:
        queue_mail(kind="password_reset", key=str(payload["request"]), recipient=user.email, ids=payload)


def _about_refund(kind: str, payload: dict[str, Any]) -> None:
    _to_buyer(kind, payload["order_id"], key=str(payload["refund_id"]), ids=payload)


def _to_buyer(kind: str, order_id: int, *, key: str, ids: dict[str, Any] | None = None) -> None:
    email = Order.objects.values_list("email", flat=True).get(pk=order_id)
    queue_mail(kind=kind, key=key, recipient=email, ids=ids or {"order_id": order_id})


def _to_staff(kind: str, permission: str, *, key: str, ids: dict[str, Any]) -> None:
    """One e-mail to each who may act on it."""
    for person in _staff_with(permission):
        queue_mail(kind=kind, key=f"{key[:68]}/{person.pk}", recipient=person.email, ids=ids)


def _staff_with(permission: str) -> Iterable[User]:
    """Active staff with a permission of the payment app, their own or their group's; owners have all."""
    code, app = "permissions__codename", "permissions__content_type__app_label"
    own = Q(**{f"user_{code}": permission, f"user_{app}": "payment"})
    groups = Q(**{f"groups__{code}": permission, f"groups__{app}": "payment"})
    allowed = Q(is_superuser=True) | (Q(is_staff=True) & (own | groups))
    return User.objects.filter(allowed, is_active=True).order_by("pk").distinct()
