"""A paid order on its way to its buyer: shipped, then delivered; digital goods are delivered at once."""

from __future__ import annotations

from django.db import transaction

from apps.common.errors import Conflict
from apps.orders.models import Order
from apps.orders.services import state
from apps.orders.services.lifecycle import lock_order
from apps.outbox.services import publish

S = Order.Status


class NotShippable(Conflict):
    code = "not_shippable"
    message = "Only a paid order with goods to send, whose money did not all go back, can be shipped."


class NotDeliverable(Conflict):
    code = "not_deliverable"
    message = "Only what was shipped, or a paid order without goods to send, can be delivered."


def can_ship(order: Order) -> bool:
    refunded = order.payment_status == Order.PaymentStatus.REFUNDED
    return order.status == S.CONFIRMED and not refunded and _has_goods(order)


def can_deliver(order: Order) -> bool:
    return order.status == S.SHIPPED or (order.status == S.CONFIRMED and not _has_goods(order))


def ship_order(order_id: int, *, tracking_number: str = "") -> Order:
    """The goods left the house; the buyer is told. Raises NotShippable, and a second time too."""
    with transaction.atomic(durable=True):
        order = lock_order(order_id)
        if not can_ship(order):
            raise NotShippable(order_number=order.number)
        state.move(order, status=S.SHIPPED, reason="shipped", tracking_number=tracking_number)
        publish("order.shipped", str(order.pk), {"order_id": order.pk})
    return order


def deliver_order(order_id: int) -> Order:
    """The goods arrived, or what is digital was handed over. Raises NotDeliverable, and a second time too."""
    with transaction.atomic(durable=True):
        order = lock_order(order_id)
        if not can_deliver(order):
            raise NotDeliverable(order_number=order.number)
        state.move(order, status=S.DELIVERED, reason="delivered")
    return order


def _has_goods(order: Order) -> bool:
    return order.items.filter(kind="physical").exists()
