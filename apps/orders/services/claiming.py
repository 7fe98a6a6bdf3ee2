"""A guest's order finds its person."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from apps.common.errors import NotFound
from apps.orders.models import Order
from apps.outbox.services import publish


def claim_order(*, number: str, public_id: str | None, user: Any) -> Order:
    """Attach a guest order to the person who holds its token.

    Claiming one's own order again changes nothing. Raises NotFound for a wrong token and for another's order;
    nothing is ever attached because e-mail addresses are equal.
    """
    mine = Order.objects.filter(number=number, public_id=public_id or "-", erased_at=None)
    if not number.isprintable():  # PostgreSQL takes no NUL in a text
        mine = Order.objects.none()
    with transaction.atomic(durable=True):
        claimed = mine.filter(user=None).update(user=user)
        order = mine.filter(user=user).first()
        if order is None:
            raise NotFound("There is no such order.", code="order_not_found")
        if claimed:
            publish("order.claimed", str(order.pk), {"order_id": order.pk})
    return order
