"""Money that came and paid for nothing is applied to its order after all, where a person decides so.

It came after the order had ended, or its refund failed. What makes the order paid is what always does: payment and
order move, stock is sold and subscribers hear of it, in one transaction. Lock order: payment, its refunds, order,
variants by pk.

Money of another amount or currency than the order's is never applied (docs/adr/0014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.images import image_of
from apps.audit.services import record
from apps.common.errors import Conflict, InvalidInput
from apps.inventory.services import OutOfStock
from apps.orders.models import Order, OrderItem
from apps.orders.services import lifecycle
from apps.payment import gateway
from apps.payment.gateway import StripeRefused
from apps.payment.models import AttentionCase, Payment, Refund
from apps.payment.services.attempts import lock_payment, save, write_log
from apps.payment.services.carrying_out import pull_refunds
from apps.payment.services.cases import MONEY_KINDS, solve_cases
from apps.payment.services.settlement import PaidFacts

S = Refund.Status

WITHDRAWN = "withdrawn"
"""The failure code of a refund that was taken back before Stripe was asked."""


class NotApplicable(Conflict):
    """The money stays as it is; `code` names the rule and the message says what to do instead."""

    code = "not_applicable"


class AppliedAlready(NotApplicable):
    code = "applied_already"
    message = "This money is applied to its order already."


class AmountDiffers(NotApplicable):
    code = "amount_differs"
    message = (
        "Its amount or currency is not what the order costs. Give it back; the buyer may pay the right amount anew."
    )


class MoneyGoingBack(NotApplicable):
    code = "money_going_back"
    message = (
        "Stripe was asked to give this money back, or may have been. Wait for what becomes of that refund: only if it "
        "fails can the money be applied."
    )


class NotInStock(NotApplicable):
    """`items` names the lines that cannot be had, with what is available."""

    code = "out_of_stock"


@dataclass(frozen=True, slots=True)
class StockOfLine:
    """A line and the stock that applying would take for it. `available` is empty where none has to be taken."""

    item: OrderItem
    available: int | None

    @property
    def missing(self) -> int:
        return 0 if self.available is None else max(0, self.item.quantity - self.available)


@dataclass(frozen=True, slots=True)
class Prospect:
    """What applying a payment would do now. `refusal` says why it would be refused, and is empty if it would not."""

    payment: Payment
    order: Order
    lines: list[StockOfLine]
    withdrawn: list[Refund]
    refusal: str


def can_be_offered(case: AttentionCase) -> bool:
    """Whether a case is about money that is here and paid for nothing."""
    payment = case.payment
    return case.kind in MONEY_KINDS and case.solved_at is None and payment.is_settled and not payment.applied


def foresee_applying(payment: Payment) -> Prospect:
    """Look at a payment, its order and the stock; nothing is written and Stripe is not asked."""
    order = Order.objects.get(pk=payment.order_id)
    lines = _stock_of(order)
    refunds = _standing_refunds(payment)
    refusal: NotApplicable | None = _refusal_of(payment, order) or _refusal_by_refunds(refunds)
    if refusal is None and (short := [_as_item(line) for line in lines if line.missing]):
        refusal = _not_in_stock(short)
    return Prospect(payment, order, lines, refunds if refusal is None else [], refusal.message if refusal else "")


def apply_payment(payment: Payment, *, reason: str, by: User) -> Payment:
    """Apply money that paid for nothing to its order: the order becomes paid, as if the money had come in time.

    Stripe is asked first whether the money is still there and whose address the buyer gave. A refund that the shop or
    staff intended and Stripe was not asked for is withdrawn. Whoever comes second is told so. Raises InvalidInput
    without a reason, NotApplicable and its kinds, StripeUnavailable; nothing has moved then.
    """
    if not reason.strip():
        raise InvalidInput(fields={"reason": ["Say why."]})
    payment = Payment.objects.select_related("order").get(pk=payment.pk)
    _refuse(_refusal_of(payment, payment.order))
    told = _ask_stripe(payment)
    with transaction.atomic(durable=True):
        payment = lock_payment(payment.pk)
        before = image_of(payment)
        withdrawn = _withdraw_refunds(payment, reason=reason, by=by)
        order = lifecycle.lock_order(payment.order_id)
        _refuse(_refusal_of(payment, order))
        if (told.amount, told.currency) != (order.total, order.currency):
            raise AmountDiffers
        if order.status == Order.Status.CANCELLED:
            _take_stock(order)
        problem = payment.problem
        save(payment, applied=True, problem="")
        write_log(
            payment,
            "applied",
            before=payment.status,
            object_id=payment.reference,
            detail=f"{problem}, by user {by.pk}",
        )
        lifecycle.mark_order_paid(order, paid_at=timezone.now(), email=told.email, address=told.shipping_address)
        solve_cases(payment, kinds=MONEY_KINDS, note=f"Applied to the order: {reason}", by=by)
        detail = ", ".join([f"order {order.number}", *(f"refund {refund.pk} withdrawn" for refund in withdrawn)])
        record(by, "apply", payment, before, image_of(payment), reason, detail=detail)
    return payment


def _refuse(refusal: NotApplicable | None) -> None:
    if refusal is not None:
        raise refusal


def _refusal_of(payment: Payment, order: Order) -> NotApplicable | None:
    """Why a payment cannot be applied, as far as its own row and its order's tell."""
    if payment.applied:
        return AppliedAlready()
    if not payment.is_settled:
        return NotApplicable("This payment was not paid.", code="not_paid")
    if order.is_paid:
        return NotApplicable("Another payment paid this order. Give this money back.", code="order_paid")
    # The row of such a payment has the order's currency whatever came: equal figures prove nothing.
    mismatch = payment.problem == Payment.Problem.AMOUNT_MISMATCH
    if mismatch or (payment.amount_captured, payment.currency) != (order.total, order.currency):
        return AmountDiffers()
    if order.payment_status == Order.PaymentStatus.PROCESSING:
        return NotApplicable(
            "Another payment of this order is on its way. Wait for it, or give this money back.",
            code="payment_on_its_way",
        )
    if payment.disputed or payment.amount_lost:
        return NotApplicable("The buyer's bank disputes this money, or took it back.", code="disputed")
    if order.erased_at is not None:
        return NotApplicable("The buyer was forgotten, and nobody knows where to send it.", code="buyer_forgotten")
    return None


def _standing_refunds(payment: Payment) -> list[Refund]:
    """Refunds that are asked for, on their way or done. One that failed left the money here."""
    return list(payment.refunds.filter(status__in=(S.REQUESTED, S.PENDING, S.SUCCEEDED)).order_by("pk"))


def _refusal_by_refunds(refunds: Sequence[Refund]) -> NotApplicable | None:
    """Why refunds stand in the way; those that could be withdrawn do not."""
    if any(refund.source == Refund.Source.BUYER for refund in refunds):
        return NotApplicable("The buyer asked for this money back. Reject that first.", code="refund_requested")
    return None if all(_is_unasked(refund) for refund in refunds) else MoneyGoingBack()


def _is_unasked(refund: Refund) -> bool:
    """Whether Stripe cannot know of it: `carry_out` counts a try, and commits that, before it asks."""
    asked = refund.tries or refund.key_used_at or refund.stripe_refund_id
    return refund.status == S.PENDING and not asked


def _withdraw_refunds(payment: Payment, *, reason: str, by: User) -> list[Refund]:
    """Take back what was intended and not asked of Stripe. Raises NotApplicable, MoneyGoingBack.

    Whoever asks Stripe does not lock the payment, and takes the refund by a conditional UPDATE. So does this: of the
    two, one finds the row as it was.
    """
    refunds = _standing_refunds(payment)
    _refuse(_refusal_by_refunds(refunds))
    for refund in refunds:
        before = image_of(refund)
        decided = {"decided_by": by, "decided_at": timezone.now(), "decision_note": reason[:500]}
        if not _unasked(refund).update(status=S.CANCELLED, failure_code=WITHDRAWN, next_try_at=None, **decided):
            raise MoneyGoingBack
        refund.refresh_from_db()
        write_log(payment, "refund_withdrawn", before=payment.status, object_id=refund.reference or str(refund.pk))
        record(by, "withdraw", refund, before, image_of(refund), reason)
    return refunds


def _unasked(refund: Refund) -> QuerySet[Refund]:
    """The row, as long as `_is_unasked` is true of it."""
    return Refund.objects.filter(pk=refund.pk, status=S.PENDING, tries=0, key_used_at=None, stripe_refund_id=None)


def _ask_stripe(payment: Payment) -> PaidFacts:
    """What Stripe says of the money now, its refunds taken over. Raises NotApplicable, StripeUnavailable.

    A refund may have been made in Stripe's Dashboard; and of money that was not applied the address is not kept.
    """
    try:
        pull_refunds(payment)
        told = _retrieve(payment)
    except StripeRefused:
        told = None
    if told is None:
        raise NotApplicable("Stripe does not say that this money is there.", code="not_at_stripe")
    return told


def _retrieve(payment: Payment) -> PaidFacts | None:
    if payment.channel == Payment.Channel.SESSION and payment.stripe_session_id:
        session = gateway.retrieve_checkout_session(payment.stripe_session_id)
        return PaidFacts.of_session(session) if session.is_paid else None
    if payment.stripe_payment_intent_id:
        intent = gateway.retrieve_payment_intent(payment.stripe_payment_intent_id)
        return PaidFacts.of_intent(intent) if intent.status == "succeeded" else None
    return None


def _stock_of(order: Order) -> list[StockOfLine]:
    """An order that still waits for its money holds what it needs; one that ended has to take it again."""
    items = order.items.select_related("variant")
    ended = order.status == Order.Status.CANCELLED
    return [StockOfLine(item, item.variant.available if ended else None) for item in items]


def _take_stock(order: Order) -> None:
    try:
        lifecycle.retake_stock(order)
    except OutOfStock as short:
        raise _not_in_stock(short.data["items"]) from None


def _as_item(line: StockOfLine) -> dict[str, object]:
    return {"sku": line.item.sku, "requested": line.item.quantity, "available": line.available}


def _not_in_stock(items: Sequence[dict[str, object]]) -> NotInStock:
    short = ", ".join(f"{item['sku']}: {item['requested']} wanted, {item['available']} available" for item in items)
    return NotInStock(f"There is not enough in stock ({short}). Stock up first, or give the money back.", items=items)
