"""Which lines of its order a refund by amount was for: staff says so afterwards.

An amount alone refunds no line, whether it was given here or in Stripe's Dashboard. Lines that are assigned count as
refunded, and their goods may return to stock.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from apps.accounts.models import User
from apps.common.errors import Conflict, DomainError, InvalidInput
from apps.common.money import to_major
from apps.orders.models import OrderItem
from apps.outbox.services import publish
from apps.payment.models import Payment, Refund, RefundItem
from apps.payment.services.attempts import lock_payment, write_log
from apps.payment.services.ledger import recompute
from apps.payment.services.refunds import Line, amount_of_lines, facts_of, quantities_taken


class NotAssignable(Conflict):
    code = "not_assignable"
    message = "Lines can be assigned to a refund by amount that is done or on its way, once."


class LinesExceedRefund(DomainError):
    code = "lines_exceed_refund"
    message = "These lines are worth more than the refund."


def can_be_assigned(refund: Refund) -> bool:
    """Whether a refund, with its payment at hand, waits for somebody to say which lines it was for."""
    return refund.status in Refund.COMMITTED and refund.payment.applied and not refund.items.exists()


def lines_left(payment: Payment) -> list[tuple[OrderItem, int]]:
    """Each line of the order that a payment paid for, with the quantity that no refund names yet."""
    if not payment.applied:
        return []
    items = list(OrderItem.objects.filter(order=payment.order_id).select_related("order", "variant").order_by("pk"))
    taken = quantities_taken([item.pk for item in items])
    return [(item, item.quantity - taken.get(item.pk, 0)) for item in items]


def assign_lines(refund: Refund, *, lines: Sequence[Line], by: User) -> Refund:
    """Say which lines a refund by amount was for; with `restock` their goods return once the refund has succeeded.

    Together they are worth the refund's amount or less, each within what no other refund names. Raises NotAssignable,
    LinesExceedRefund, ExceedsRemaining, InvalidInput.
    """
    if not lines:
        raise InvalidInput(fields={"items": ["Name at least one line."]})
    with transaction.atomic(durable=True):
        payment = lock_payment(refund.payment_id)
        current = Refund.objects.select_related("payment").get(pk=refund.pk)
        if not can_be_assigned(current):
            raise NotAssignable
        worth = amount_of_lines(payment, lines)
        if worth > current.amount:
            raise LinesExceedRefund(
                worth=to_major(worth, payment.currency), amount=to_major(current.amount, payment.currency)
            )
        RefundItem.objects.bulk_create(
            RefundItem(refund=current, order_item_id=line.order_item_id, quantity=line.quantity, restock=line.restock)
            for line in lines
        )
        write_log(
            payment,
            "refund_assigned",
            before=payment.status,
            object_id=current.reference or str(current.pk),
            detail=f"{sum(line.quantity for line in lines)} units, by user {by.pk}",
        )
        recompute(payment, reason="refund assigned to lines")
        publish("refund.assigned", str(current.pk), facts_of(current))
    return current
