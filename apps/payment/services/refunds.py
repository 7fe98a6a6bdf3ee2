"""Money back: first a committed row with its key, then the call, then what Stripe says of it.

Σ refunds that are pending or succeeded never exceeds what was captured, since whoever adds one holds the payment's
lock. Order and payment status are derived from the sum of succeeded refunds in one place, `ledger.recompute`.
Lock order: payment, then order, then variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.images import image_of
from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.common import money
from apps.common.errors import Conflict, DomainError, InvalidInput
from apps.common.money import to_major
from apps.orders.models import OrderItem
from apps.orders.services import lifecycle
from apps.payment.models import Dispute, Payment, Refund, RefundItem
from apps.payment.models.refund import new_reference
from apps.payment.services.attempts import lock_payment, write_log

S = Refund.Status

HEAD_START = timedelta(seconds=15)
"""How long an intended refund is left to whoever wrote it, to ask Stripe and show the outcome, before `work` does."""


class NotRefundable(Conflict):
    code = "not_refundable"
    message = "This payment was not paid, so there is nothing to give back."


class ChargeDisputed(Conflict):
    code = "charge_disputed"
    message = "A dispute stands against this payment. It cannot be refunded while the bank decides."


class ExceedsRemaining(DomainError):
    code = "amount_exceeds_remaining"
    message = "This is more than is left of the payment."


class EqualRefund(Conflict):
    """The same amount of the same payment goes back already; `refund_id` names the newest such refund."""

    code = "equal_refund"
    message = "The same amount of this payment was given back, or is on its way back, already."


@dataclass(frozen=True, slots=True)
class Line:
    """How much of an order's line goes back, and whether the goods return to stock."""

    order_item_id: int
    quantity: int
    restock: bool = False


@dataclass(frozen=True, slots=True)
class RefundWish:
    """What is to go back: an amount in minor units, or lines, or with neither all that is left."""

    amount: int | None = None
    lines: Sequence[Line] = ()
    reason: str = Refund.Reason.REQUESTED_BY_CUSTOMER
    description: str = ""


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """What a refund would do. Amounts in minor units; `committed` has gone back or is on its way."""

    amount: int
    captured: int
    committed: int
    lost: int
    left: int


def intend_refund(
    *,
    payment: Payment,
    wish: RefundWish,
    source: str,
    by: User | None = None,
    unless_equal_within: timedelta | None = None,
    where: str = AuditEntry.Source.API,
    detail: str = "",
) -> Refund:
    """Write the intention to give money back, to be carried out by `carrying_out.carry_out`.

    The trail gets its entry in the same transaction: who, `where` and why.

    With `unless_equal_within`, a refund of the same amount that was made no longer ago than that stands in the way;
    of two at once, one gets through. Raises NotRefundable, ChargeDisputed, ExceedsRemaining, InvalidInput,
    EqualRefund.
    """
    with transaction.atomic(durable=True):
        refund = write_refund(
            payment, wish, status=S.PENDING, source=source, by=by, unless_equal_within=unless_equal_within
        )
        why = " ".join(filter(None, (refund.reason.replace("_", " "), refund.description)))
        record(by, "refund", refund, {}, image_of(refund), why, source=where, detail=detail)
        return refund


def intend_once(*, payment: Payment, wish: RefundWish, source: str, by: User, reference: str) -> tuple[Refund, bool]:
    """As `intend_refund`, under a reference of the caller's: asked again, it is the same refund, whatever is wished.

    Also tells whether it was there before. Raises what `intend_refund` raises.
    """
    with transaction.atomic(durable=True):
        lock_payment(payment.pk)
        known = Refund.objects.filter(payment=payment, reference=reference).first()
        if known is not None:
            return known, True
        return write_refund(payment, wish, status=S.PENDING, source=source, by=by, reference=reference), False


def plan_refund(*, payment: Payment, wish: RefundWish, unless_equal_within: timedelta | None = None) -> RefundPlan:
    """What `intend_refund` would write now; nothing is written. Raises what it raises."""
    amount = _check(payment, wish, unless_equal_within)
    return RefundPlan(
        amount=amount,
        captured=payment.amount_captured,
        committed=committed_of(payment),
        lost=payment.amount_lost,
        left=left_of(payment),
    )


def committed_of(payment: Payment) -> int:
    """What was given back or is on its way back, in minor units."""
    return int(payment.refunds.filter(status__in=Refund.COMMITTED).aggregate(n=Sum("amount"))["n"] or 0)


def left_of(payment: Payment) -> int:
    """What can still be given back, in minor units: captured, less refunds and lost disputes."""
    return max(0, payment.amount_captured - committed_of(payment) - payment.amount_lost)


def amount_of_lines(payment: Payment, lines: Sequence[Line]) -> int:
    """What these lines were paid with, in minor units. Raises InvalidInput, ExceedsRemaining."""
    if not payment.applied:
        raise InvalidInput(fields={"items": ["This payment did not pay for the order's lines. Give an amount."]})
    ids = [line.order_item_id for line in lines]
    items = {item.pk: item for item in OrderItem.objects.filter(order=payment.order_id, pk__in=ids)}
    if len(set(ids)) != len(ids) or len(items) != len(ids):
        raise InvalidInput(fields={"items": ["Name lines of this order, each once."]})
    taken = quantities_taken(ids)
    beyond = [
        {"order_item_id": line.order_item_id, "requested": line.quantity, "remaining": remaining}
        for line in lines
        if line.quantity > (remaining := items[line.order_item_id].quantity - taken.get(line.order_item_id, 0))
    ]
    if beyond:
        raise ExceedsRemaining("This is more than is left of a line.", items=beyond)
    return sum(items[line.order_item_id].unit_price * line.quantity for line in lines)


def quantities_taken(order_item_ids: Sequence[int]) -> dict[int, int]:
    """How much of each line went back or is on its way back, by the refunds that name it."""
    named = RefundItem.objects.filter(order_item__in=order_item_ids, refund__status__in=Refund.COMMITTED)
    return dict(named.values_list("order_item").annotate(n=Sum("quantity")))


def refusal_of(payment: Payment, *, disputed: bool) -> DomainError | None:
    """Why nothing of a payment can go back; `disputed` says that a dispute of `forbidding_disputes` is against it."""
    if not payment.is_settled or payment.amount_captured == 0:
        return NotRefundable()
    return ChargeDisputed() if disputed else None


def forbidding_disputes() -> QuerySet[Dispute]:
    """Disputes against payments that Stripe will not refund meanwhile."""
    return Dispute.objects.filter(charge_refundable=False).exclude(status__in=(*Dispute.OVER,))


def facts_of(refund: Refund) -> dict[str, Any]:
    """What is published of a refund."""
    return {"refund_id": refund.pk, "payment_id": refund.payment_id, "order_id": refund.payment.order_id}


def write_refund(
    payment: Payment,
    wish: RefundWish,
    *,
    status: str,
    source: str,
    by: User | None,
    unless_equal_within: timedelta | None = None,
    reference: str = "",
) -> Refund:
    """Write a refund and its lines in the caller's transaction, the payment and its order locked.

    Raises what `intend_refund` raises.
    """
    payment = lock_payment(payment.pk)
    lifecycle.lock_order(payment.order_id)
    amount = _check(payment, wish, unless_equal_within)
    reference = reference or new_reference()
    refund = Refund.objects.create(
        payment=payment,
        reference=reference,
        amount=amount,
        currency=payment.currency,
        status=status,
        reason=wish.reason,
        description=wish.description,
        source=source,
        requested_by=by,
        idempotency_key=f"{reference}-1",
        next_try_at=timezone.now() + HEAD_START if status == S.PENDING else None,
    )
    RefundItem.objects.bulk_create(
        RefundItem(refund=refund, order_item_id=line.order_item_id, quantity=line.quantity, restock=line.restock)
        for line in wish.lines
    )
    write_log(payment, f"refund_{status}", before=payment.status, object_id=reference, detail=str(refund.money))
    return refund


def _check(payment: Payment, wish: RefundWish, unless_equal_within: timedelta | None) -> int:
    """The amount that would go back, if nothing forbids it."""
    refuse_unless_refundable(payment)
    amount = _amount(payment, wish)
    if unless_equal_within is not None:
        _refuse_equal(payment, amount, unless_equal_within)
    refuse_beyond(payment, amount)
    return amount


def _amount(payment: Payment, wish: RefundWish) -> int:
    if wish.lines:
        if wish.amount is not None:
            raise InvalidInput(fields={"items": ["Give an amount or items, not both."]})
        return amount_of_lines(payment, wish.lines)
    if wish.amount is None:
        return left_of(payment)
    try:
        money.check_amount(wish.amount, payment.currency)
    except money.InvalidAmount as reason:
        raise InvalidInput(fields={"amount": [str(reason)]}) from None
    return wish.amount


def refuse_unless_refundable(payment: Payment) -> None:
    """Raises NotRefundable, ChargeDisputed."""
    refusal = refusal_of(payment, disputed=forbidding_disputes().filter(payment=payment).exists())
    if refusal is not None:
        raise refusal


def _refuse_equal(payment: Payment, amount: int, within: timedelta) -> None:
    """A request of a buyer's was made when staff decided it."""
    since = timezone.now() - within
    made = Q(decided_at__gte=since) | Q(decided_at=None, created_at__gte=since)
    equal = payment.refunds.filter(made, amount=amount, status__in=Refund.COMMITTED).order_by("pk").last()
    if equal is not None:
        raise EqualRefund(refund_id=equal.pk)


def refuse_beyond(payment: Payment, amount: int) -> None:
    """Raises ExceedsRemaining, with what is left. `amount` in minor units."""
    left = left_of(payment)
    if not 0 < amount <= left:
        raise ExceedsRemaining(remaining=to_major(left, payment.currency), currency=payment.currency)
