"""What orders keep of a person, who may have been a guest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.utils import timezone

from apps.accounts.privacy.holders import Holder, Rows, Subject
from apps.common.errors import Unavailable
from apps.common.money import to_major
from apps.orders.models import Order

TOLD = (
    "number",
    "status",
    "payment_status",
    "disputed",
    "currency",
    "email",
    "shipping_address",
    "language",
    "tracking_number",
    "created_at",
    "paid_at",
)
AMOUNTS = ("subtotal", "discount", "shipping", "tax", "total")

OPEN = Q(status=Order.Status.PENDING) | Q(payment_status=Order.PaymentStatus.PROCESSING)


class OpenedMeanwhile(Unavailable):
    code = "opened_meanwhile"
    message = "An order was opened again meanwhile."


def orders_of(subject: Subject) -> QuerySet[Order]:
    """The orders of a person's account, and those that a guest placed with one of their addresses."""
    mine = Q(user=None, address__in=subject.every_address)
    if subject.user_id is not None:
        mine |= Q(user=subject.user_id)
    return _addressed().filter(mine, created_at__lte=subject.until)


def orders_naming(subject: Subject) -> QuerySet[Order]:
    """Orders of other accounts in which somebody typed one of the person's addresses."""
    named = _addressed().filter(address__in=subject.every_address, user__isnull=False, created_at__lte=subject.until)
    return named if subject.user_id is None else named.exclude(user=subject.user_id)


def orders_about(subject: Subject) -> QuerySet[Order]:
    """Both."""
    own, naming = orders_of(subject).values("pk"), orders_naming(subject).values("pk")
    return Order.objects.filter(Q(pk__in=own) | Q(pk__in=naming))


def _addressed() -> QuerySet[Any]:
    return Order.objects.alias(address=Lower("email"))


def _export(subject: Subject) -> dict[str, Any]:
    orders = orders_of(subject).prefetch_related("items", "log").order_by("pk")
    return {
        "orders": [_shown(order) for order in orders],
        "named_in_orders_of_others": list(orders_naming(subject).values_list("number", flat=True)),
    }


def _shown(order: Order) -> dict[str, Any]:
    def amount(minor: int) -> str:
        return to_major(minor, order.currency)

    return {
        **{name: getattr(order, name) for name in TOLD},
        **{name: amount(getattr(order, name)) for name in AMOUNTS},
        "items": [
            {
                "sku": item.sku,
                "name": item.name,
                "quantity": item.quantity,
                "unit_price": amount(item.unit_price),
                "line_total": amount(item.line_total),
                "refunded_quantity": item.refunded_quantity,
            }
            for item in order.items.all()
        ],
        "history": [
            {"at": step.at, "status": step.to_status, "payment_status": step.to_payment_status, "reason": step.reason}
            for step in order.log.all()
        ],
    }


def _rows(subject: Subject) -> Sequence[Rows]:
    own = "e-mail and shipping address, tracking number; amounts, lines and taxes stay"
    return [
        Rows("orders", own, orders_of(subject)),
        Rows("orders of other accounts", "the e-mail address", orders_naming(subject)),
    ]


def _erase(subject: Subject) -> None:
    orders_of(subject).filter(erased_at=None).exclude(OPEN).update(
        email=subject.stand_in,
        shipping_address=None,
        tracking_number="",
        placed_from="",
        cart=None,
        erased_at=timezone.now(),
    )
    orders_naming(subject).exclude(OPEN).update(email=subject.stand_in)
    if orders_of(subject).filter(erased_at=None).exists():
        raise OpenedMeanwhile


def _obstacles(subject: Subject) -> list[str]:
    return [
        f"The payment of order {order.number} is on its way."
        if order.payment_status == Order.PaymentStatus.PROCESSING
        else f"Order {order.number} waits for its payment: cancel it, or wait until it expires."
        for order in orders_about(subject).filter(OPEN).order_by("pk")
    ]


def _cautions(subject: Subject) -> list[str]:
    unsent = orders_of(subject).filter(status=Order.Status.CONFIRMED, items__kind="physical", erased_at=None)
    unsent = unsent.exclude(payment_status=Order.PaymentStatus.REFUNDED).order_by("pk").distinct()
    return [f"Order {order.number} is paid and was not sent; without its address it cannot be." for order in unsent]


def _addresses(subject: Subject) -> Iterable[str]:
    if subject.user_id is None:
        return ()
    return Order.objects.filter(user=subject.user_id).values_list("email", flat=True).distinct()


HOLDER = Holder(
    "orders",
    export=_export,
    rows=_rows,
    erase=_erase,
    obstacles=_obstacles,
    cautions=_cautions,
    addresses=_addresses,
)
