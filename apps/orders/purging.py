"""What goes once records need not be kept any more: whole orders, each with all that hangs on it.

Every app that has rows of an order has a `Share`, and the composition root hands them over. docs/adr/0013 says what
goes and what stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import BigIntegerField, JSONField, Q, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from apps.audit.keeping import entries_about, touched_since
from apps.common.retention import older_than
from apps.inventory.models import StockHold
from apps.orders.models import Order, OrderItem, OrderTransition
from apps.outbox.models import Delivery

Ids = Collection[int]
"""Primary keys of orders."""

Rows = Iterable[tuple[str, QuerySet[Any]]]
"""What they are called, and which they are."""

YOUNG = "something of it is not old enough"


def _all(ids: Ids) -> Ids:
    return ids


def _leave(ids: Ids) -> None:
    """Nothing that stays tells of these orders."""


def _none(before: datetime) -> Rows:
    return ()


@dataclass(frozen=True, slots=True)
class Share:
    """What one app has of old orders.

    `stays` names the orders that stay and why, a sentence each. `lock` locks the rows by which others come to an order
    and waits for nobody: it returns the orders whose rows it got. `settle` changes what stays when orders go, and then
    `rows` are deleted, in this order; both in one transaction, in which the orders are locked. `aged` are rows that
    hang on no order and go by their own age.
    """

    name: str
    stays: Callable[[Ids, datetime], Mapping[str, Iterable[int]]]
    rows: Callable[[Ids, datetime], Rows]
    lock: Callable[[Ids], Ids] = _all
    settle: Callable[[Ids], None] = _leave
    aged: Callable[[datetime], Rows] = _none


shares: list[Share] = []
"""Whose rows hang on others' come first. Only the composition root fills it."""


def lock(rows: QuerySet[Any]) -> set[int]:
    """Lock what others have not locked. Returns the primary keys."""
    skip = connection.features.has_select_for_update_skip_locked
    return set(rows.select_for_update(skip_locked=skip).order_by("pk").values_list("pk", flat=True))


def got(rows: QuerySet[Any], column: str, ids: Ids) -> Ids:
    """Lock what others have not locked. Returns the orders, named by `column`, of which no row was left out."""
    locked = lock(rows)
    missed = {order_id for pk, order_id in rows.values_list("pk", column) if pk not in locked}
    return set(ids) - missed


def undelivered(ids: Ids) -> QuerySet[Any, Any]:
    """Deliveries about these orders that are on their way, or were given up."""
    waiting = Delivery.objects.filter(state__in=(Delivery.State.DUE, Delivery.State.DEAD))
    told = waiting.annotate(told=Cast("payload", JSONField()))
    return told.annotate(about=Cast(KT("told__order_id"), BigIntegerField())).filter(about__in=ids)


def _stays(ids: Ids, before: datetime) -> Mapping[str, Iterable[int]]:
    orders = Order.objects.filter(pk__in=ids)
    young = orders.filter(Q(created_at__gte=before) | Q(paid_at__gte=before))
    moved = OrderTransition.objects.filter(order__in=ids, at__gte=before)
    unfinished = Q(status=Order.Status.PENDING) | Q(payment_status=Order.PaymentStatus.PROCESSING)
    return {
        "it waits for its payment": orders.filter(unfinished).values_list("pk", flat=True),
        "what follows from it is not done": undelivered(ids).values_list("about", flat=True),
        YOUNG: {
            *young.values_list("pk", flat=True),
            *moved.values_list("order", flat=True),
            *touched_since(before, Order._meta.label_lower, ids),
        },
    }


def _rows(ids: Ids, before: datetime) -> Rows:
    yield "audit entries", entries_about((Order._meta.label_lower, pk) for pk in ids)
    yield "stock holds", StockHold.objects.filter(order_id__in=ids)
    yield "steps of orders", OrderTransition.objects.filter(order__in=ids)
    yield "lines", OrderItem.objects.filter(order__in=ids)
    yield "orders", Order.objects.filter(pk__in=ids)


def _lock(ids: Ids) -> Ids:
    """Those that are there and nobody else has: another process may have let some go meanwhile."""
    return lock(Order.objects.filter(pk__in=ids))


def _aged(before: datetime) -> Rows:
    """Deliveries hold ids alone, and none that is done is read again."""
    yield "deliveries", older_than(Delivery, "created_at", before).filter(state=Delivery.State.DONE)


SHARE = Share("orders", stays=_stays, rows=_rows, lock=_lock, aged=_aged)
