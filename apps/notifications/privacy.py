"""What notifications keep of a person: which e-mails went to them. What they said is rendered anew and never stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from apps.accounts.privacy.holders import Holder, Rows, Subject
from apps.notifications.models import Mail
from apps.orders.privacy import orders_of
from apps.payment.models import Refund

K = Mail.Kind
ABOUT_ORDERS = (K.ORDER_CONFIRMATION, K.PAYMENT_FAILED, K.PAYMENT_ON_ITS_WAY, K.ORDER_SHIPPED)
ABOUT_REFUNDS = (K.REFUND_REQUESTED, K.REFUND_REJECTED, K.REFUND_SUCCEEDED, K.REFUND_FAILED)
ABOUT_PEOPLE = (K.ENROLLED, K.WITHDRAWN, K.SUSPENDED, K.RESTORED, K.PASSWORD_RESET)

NOT_SENT = "Its reader is forgotten."


def _export(subject: Subject) -> list[Any]:
    return list(_mails(subject).order_by("pk").values("kind", "recipient", "state", "created_at", "sent_at"))


def _rows(subject: Subject) -> Sequence[Rows]:
    return [Rows("e-mails", "the recipient; what is not sent yet stays unsent", _mails(subject))]


def _erase(subject: Subject) -> None:
    mails = _mails(subject)
    mails.filter(state=Mail.State.DUE).update(state=Mail.State.FAILED, lease_until=None)
    mails.filter(state=Mail.State.FAILED).update(last_error=NOT_SENT)
    mails.update(recipient=subject.stand_in)


def _mails(subject: Subject) -> QuerySet[Mail]:
    """To one of their addresses; and what is about their orders and themselves, whatever address they had then."""
    found = Q(pk__in=Mail.objects.alias(address=Lower("recipient")).filter(address__in=subject.every_address))
    orders = dict(orders_of(subject).values_list("pk", "transitions"))
    refunds = Refund.objects.filter(payment__order__in=list(orders)).values_list("pk", flat=True)
    about = [key for pk, steps in orders.items() for key in (str(pk), *(f"{pk}/{n}" for n in range(1, steps + 1)))]
    found |= Q(kind__in=ABOUT_ORDERS, key__in=about)
    found |= Q(kind__in=ABOUT_REFUNDS, key__in=list(map(str, refunds)))
    if subject.user_id is not None:
        told = f'"user_id": {subject.user_id}'
        found |= Q(Q(context__contains=told + ",") | Q(context__contains=told + "}"), kind__in=ABOUT_PEOPLE)
    return Mail.objects.filter(found, created_at__lte=subject.until)


HOLDER = Holder("mails", export=_export, rows=_rows, erase=_erase)
