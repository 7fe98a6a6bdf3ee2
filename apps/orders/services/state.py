"""Where an order's state is written, and nowhere else.

`move` is a conditional UPDATE from the state that the caller saw, and writes the log row of the same change.
"""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from apps.common import rows
from apps.orders.models import Order, OrderTransition

S, P = Order.Status, Order.PaymentStatus

LEGAL_STATUS: frozenset[tuple[str, str]] = frozenset(
    {
        (S.PENDING, S.CONFIRMED),
        (S.PENDING, S.CANCELLED),
        (S.CANCELLED, S.PENDING),  # a retry after expiry or a failed delayed payment
        (S.CANCELLED, S.CONFIRMED),  # a late payment that found stock
        (S.CONFIRMED, S.SHIPPED),
        (S.CONFIRMED, S.DELIVERED),  # digital goods need no shipping
        (S.SHIPPED, S.DELIVERED),
    }
)
LEGAL_PAYMENT: frozenset[tuple[str, str]] = frozenset(
    {
        (P.PENDING, P.PROCESSING),
        (P.PENDING, P.PAID),
        (P.PENDING, P.FAILED),
        (P.PROCESSING, P.PAID),
        (P.PROCESSING, P.FAILED),
        (P.FAILED, P.PENDING),
        (P.FAILED, P.PAID),
        (P.PAID, P.PARTIALLY_REFUNDED),
        (P.PAID, P.REFUNDED),
        (P.PARTIALLY_REFUNDED, P.REFUNDED),
        # A refund that fails later gives the money back to the order.
        (P.PARTIALLY_REFUNDED, P.PAID),
        (P.REFUNDED, P.PARTIALLY_REFUNDED),
        (P.REFUNDED, P.PAID),
    }
)


class IllegalTransition(Exception):
    """A fault in the shop: a state was to be left in a way that it cannot be left."""


class StaleOrder(Exception):
    """The order is not in the state that the caller saw. Lock it and look again."""


def payment_status_after(*, total: int, refunded: int) -> str:
    """What a paid order's payment_status is, given the sum of its succeeded refunds. Minor units."""
    if refunded <= 0:
        return P.PAID
    return P.REFUNDED if refunded >= total else P.PARTIALLY_REFUNDED


def open_log(order: Order, *, reason: str) -> None:
    """Write the first log row of a new order."""
    _write(order, before=("", ""), reason=reason, seq=1)


def move(
    order: Order, *, status: str | None = None, payment_status: str | None = None, reason: str, **columns: Any
) -> None:
    """Move an order on and log it, in the caller's transaction.

    `columns` change with it. Raises IllegalTransition for a step that does not exist, StaleOrder when somebody
    else moved the order since it was read.
    """
    before = (order.status, order.payment_status)
    after = (status or order.status, payment_status or order.payment_status)
    if after == before:
        return
    if before[0] != after[0] and (before[0], after[0]) not in LEGAL_STATUS:
        raise IllegalTransition(f"{order.number}: {before[0]} to {after[0]}")
    if before[1] != after[1] and (before[1], after[1]) not in LEGAL_PAYMENT:
        raise IllegalTransition(f"{order.number}: {before[1]} to {after[1]}")
    seq = order.transitions + 1
    changes = {**columns, "status": after[0], "payment_status": after[1], "transitions": seq}
    seen = {"id": order.pk, "status": before[0], "payment_status": before[1], "transitions": order.transitions}
    if not rows.change(Order, seen, changes):
        raise StaleOrder(order.number)
    for name, value in changes.items():
        setattr(order, name, value)
    _write(order, before=before, reason=reason, seq=seq)


def _write(order: Order, *, before: tuple[str, str], reason: str, seq: int) -> None:
    row = OrderTransition(
        order=order,
        seq=seq,
        from_status=before[0],
        to_status=order.status,
        from_payment_status=before[1],
        to_payment_status=order.payment_status,
        reason=reason,
        at=timezone.now(),
    )
    rows.insert([row])
