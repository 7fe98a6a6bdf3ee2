"""The one place where money makes an order paid.

`apply_paid` runs in its caller's transaction: the inbox calls it beside marking the event done. It may run any number
of times, in any order with what `progress` does, and at once; states only move forward.
Lock order: payment, then order, then variants by pk.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.common import rows
from apps.inventory.services import OutOfStock
from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.payment.gateway import CheckoutSession, PaymentIntent
from apps.payment.models import Payment, Refund
from apps.payment.services.attempts import REFERENCE_PREFIX, save, write_log
from apps.payment.services.cases import open_case


class UnknownPayment(Exception):
    """Stripe tells of one of our references and its row is not here (yet)."""


@dataclass(frozen=True, slots=True)
class PaidFacts:
    """What Stripe confirmed. `amount` is in minor units, `currency` in upper case; empty means not told."""

    reference: str
    amount: int
    currency: str
    session_id: str = ""
    payment_status: str = ""
    payment_intent_id: str = ""
    charge_id: str = ""
    email: str = ""
    shipping_address: dict[str, str] | None = None
    event_id: str = ""

    @classmethod
    def of_session(cls, session: CheckoutSession, *, event_id: str = "") -> PaidFacts:
        return cls(
            reference=session.reference,
            amount=session.amount,
            currency=session.currency,
            session_id=session.id,
            payment_status=session.payment_status,
            payment_intent_id=session.payment_intent_id,
            email=session.email,
            shipping_address=session.shipping_address,
            event_id=event_id,
        )

    @classmethod
    def of_intent(cls, intent: PaymentIntent, *, event_id: str = "", reference: str = "") -> PaidFacts:
        return cls(
            reference=reference or intent.reference,
            amount=intent.amount_received,
            currency=intent.currency,
            payment_intent_id=intent.id,
            charge_id=intent.charge_id,
            event_id=event_id,
        )


def apply_paid(facts: PaidFacts) -> Payment:
    """Money is here. Raises UnknownPayment.

    The order becomes paid when amount and currency are its own and it still waits for money. Otherwise the money
    is kept and never silent: a case for staff, or the intention to refund it, in the same transaction.
    """
    payment = lock_by_reference(facts.reference)
    ids = new_ids(payment, facts)
    has_intent = payment.stripe_payment_intent_id or facts.payment_intent_id  # what costs nothing has none
    if has_intent and payment.intent_status != "succeeded":
        ids["intent_status"] = "succeeded"
    if payment.is_settled:
        if ids:
            save(payment, **ids)
        learn_contact(payment, facts)
        return payment
    if (facts.amount, facts.currency) != (payment.amount, payment.currency):
        return _keep_mismatch(payment, facts, ids)
    order = lifecycle.lock_order(payment.order_id)
    if order.is_paid:
        return _keep_unapplied(payment, facts, ids, Payment.Problem.SURPLUS, refund=True)
    if order.status == Order.Status.CANCELLED and not _retake_stock(order):
        refund = settings.LATE_PAYMENT_POLICY == "restock_or_refund"
        return _keep_unapplied(payment, facts, ids, Payment.Problem.LATE, refund=refund)
    _succeed(payment, facts, ids, applied=True)
    lifecycle.mark_order_paid(order, paid_at=timezone.now(), email=facts.email, address=facts.shipping_address)
    return payment


def lock_by_reference(reference: str) -> Payment:
    """Lock the payment that Stripe speaks of. Raises UnknownPayment."""
    payment = rows.locked(Payment, "reference", reference)
    if payment is None:
        raise UnknownPayment(reference)
    return payment


def learn_contact(payment: Payment, facts: PaidFacts) -> None:
    """Several events tell the same thing, and only the session's carry what the hosted page asked the buyer for.

    Of money that the order could not take, the e-mail alone is kept: its sender is to hear what becomes of it.
    """
    address = facts.shipping_address if payment.applied or not payment.is_settled else None
    if facts.email or address:
        order = lifecycle.lock_order(payment.order_id)
        lifecycle.learn_contact(order, email=facts.email, address=address)


def new_ids(payment: Payment, facts: PaidFacts) -> dict[str, str]:
    """What Stripe told that the row does not have yet. Ids are filled in and never overwritten."""
    told = {
        "stripe_session_id": facts.session_id,
        "stripe_payment_intent_id": facts.payment_intent_id,
        "stripe_charge_id": facts.charge_id,
    }
    new = {name: value for name, value in told.items() if value and not getattr(payment, name)}
    state = {"session_status": "complete", "session_payment_status": facts.payment_status}
    if facts.payment_status and any(getattr(payment, name) != value for name, value in state.items()):
        new |= state
    return new


def _succeed(payment: Payment, facts: PaidFacts, ids: dict[str, str], *, applied: bool, problem: str = "") -> None:
    before = payment.status
    save(
        payment,
        status=Payment.Status.SUCCEEDED,
        applied=applied,
        problem=problem,
        amount_captured=facts.amount,
        paid_at=timezone.now(),
        failure_code="",
        failure_message="",
        **ids,
    )
    write_log(
        payment,
        "succeeded",
        before=before,
        object_id=payment.reference,
        event_id=facts.event_id,
        detail=problem,
    )


def _keep_mismatch(payment: Payment, facts: PaidFacts, ids: dict[str, str]) -> Payment:
    """Another amount or currency than the order's: never applied, shown to staff."""
    _succeed(payment, facts, ids, applied=False, problem=Payment.Problem.AMOUNT_MISMATCH)
    open_case(
        payment,
        kind=payment.problem,
        detail=f"expected {payment.money}, got {facts.amount} {facts.currency} in minor units",
    )
    learn_contact(payment, facts)
    return payment


def _keep_unapplied(
    payment: Payment, facts: PaidFacts, ids: dict[str, str], problem: Payment.Problem, *, refund: bool
) -> Payment:
    """Right money for an order that cannot take it: late or surplus."""
    _succeed(payment, facts, ids, applied=False, problem=problem)
    open_case(payment, kind=problem, detail=f"{problem.label}: {payment.money}")
    learn_contact(payment, facts)
    if refund and facts.amount:
        reference = f"pr_{payment.reference.removeprefix(REFERENCE_PREFIX)}"
        Refund.objects.create(
            payment=payment,
            reference=reference,
            amount=facts.amount,
            currency=facts.currency,
            reason=Refund.Reason.DUPLICATE if problem == Payment.Problem.SURPLUS else Refund.Reason.OTHER,
            source=Refund.Source.SHOP,
            idempotency_key=f"{reference}-1",
        )
        write_log(payment, "refund_intended", before=payment.status, object_id=payment.reference, detail=problem)
    return payment


def _retake_stock(order: Order) -> bool:
    """Hold the stock of a cancelled order again, all of it or nothing, as the shop's policy says."""
    if settings.LATE_PAYMENT_POLICY != "restock_or_refund":
        return False
    try:
        with transaction.atomic():
            lifecycle.retake_stock(order)
    except OutOfStock:
        return False
    return True
