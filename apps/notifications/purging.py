"""E-mails about an order go with it, the others by their age."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db.models import Q, QuerySet

from apps.audit.keeping import entries_about
from apps.common.retention import older_than
from apps.notifications.models import Mail
from apps.notifications.privacy import ABOUT_ORDERS, ABOUT_REFUNDS
from apps.orders.models import Order
from apps.orders.purging import YOUNG, Ids, Rows, Share
from apps.payment.models import Refund


def _keys(ids: Ids) -> tuple[dict[str, int], dict[str, int]]:
    """What e-mails about these orders and about their refunds are called, and the order of each."""
    orders: dict[str, int] = {}
    for pk, steps in Order.objects.filter(pk__in=ids).values_list("pk", "transitions"):
        orders |= {str(pk): pk} | {f"{pk}/{step}": pk for step in range(1, steps + 1)}
    refunds = Refund.objects.filter(payment__order__in=ids).values_list("pk", "payment__order")
    return orders, {str(pk): order_id for pk, order_id in refunds}


def _mails(orders: Iterable[str], refunds: Iterable[str]) -> QuerySet[Mail]:
    about = Q(kind__in=ABOUT_ORDERS, key__in=list(orders)) | Q(kind__in=ABOUT_REFUNDS, key__in=list(refunds))
    return Mail.objects.filter(about)


def _stays(ids: Ids, before: datetime) -> Mapping[str, Iterable[int]]:
    orders, refunds = _keys(ids)
    mails = _mails(orders, refunds)

    def of(found: QuerySet[Mail]) -> set[int]:
        return {(orders if kind in ABOUT_ORDERS else refunds)[key] for kind, key in found.values_list("kind", "key")}

    return {
        "an e-mail about it is not sent": of(mails.filter(state=Mail.State.DUE)),
        YOUNG: of(mails.filter(Q(created_at__gte=before) | Q(sent_at__gte=before))),
    }


def _rows(ids: Ids, before: datetime) -> Rows:
    mails = _mails(*_keys(ids)).exclude(state=Mail.State.DUE)
    label = Mail._meta.label_lower
    yield "audit entries", entries_about((label, pk) for pk in mails.values_list("pk", flat=True))
    yield "e-mails", mails


def _aged(before: datetime) -> Rows:
    others = older_than(Mail, "created_at", before).exclude(kind__in=(*ABOUT_ORDERS, *ABOUT_REFUNDS))
    yield "e-mails", others.exclude(state=Mail.State.DUE).exclude(sent_at__gte=before)


SHARE = Share("mails", stays=_stays, rows=_rows, aged=_aged)
