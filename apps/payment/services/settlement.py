"""The one place where money makes an order paid.

`apply_…` functions run in their caller's transaction: the inbox calls them beside marking the event done.
`settle_payment` and `absorb_session` own their transaction: the status call, the checkout and `work` call them.
All of them may run any number of times, in any order and at once; states only move forward.
Lock order: payment, then order, then variants by pk.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.inventory.services import OutOfStock
from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.payment.gateway import CheckoutSession
from apps.payment.models import Payment, Refund
from apps.payment.services.attempts import close_attempt, save, write_log
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


def settle_payment(facts: PaidFacts) -> Payment:
    """Apply money that Stripe confirmed to the order it was meant for, in a transaction of its own."""
    with transaction.atomic(durable=True):
        return apply_paid(facts)


def absorb_session(session: CheckoutSession) -> Payment:
    """Take over what Stripe says of a session, in a transaction of its own. Raises UnknownPayment."""
    with transaction.atomic(durable=True):
        return apply_session(session)


def apply_session(session: CheckoutSession, *, event_id: str = "") -> Payment:
    """Move payment and order to where this session's state puts them."""
    if session.is_paid:
        return apply_paid(PaidFacts.of_session(session, event_id=event_id))
    if session.status == "complete":
        return apply_processing(session, event_id=event_id)
    if session.status == "expired":
        return apply_expired(session, event_id=event_id)
    return lock_by_reference(session.reference)


def apply_paid(facts: PaidFacts) -> Payment:
    """Money is here. Raises UnknownPayment.

    The order becomes paid when amount and currency are its own and it still waits for money. Otherwise the money
    is kept and never silent: a case for staff, or the intention to refund it, in the same transaction.
    """
    payment = lock_by_reference(facts.reference)
    ids = _new_ids(payment, facts)
    if payment.is_settled:
        if ids:
            save(payment, **ids)
        if payment.applied and (facts.email or facts.shipping_address):
            order = lifecycle.lock_order(payment.order_id)
            lifecycle.learn_contact(order, email=facts.email, address=facts.shipping_address)
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


def apply_processing(session: CheckoutSession, *, event_id: str = "") -> Payment:
    """A delayed payment is on its way. Only an attempt that still waits moves, so a late word changes nothing."""
    payment = lock_by_reference(session.reference)
    if payment.status != Payment.Status.PENDING:
        return payment
    order = lifecycle.lock_order(payment.order_id)
    save(
        payment,
        status=Payment.Status.PROCESSING,
        **_new_ids(payment, PaidFacts.of_session(session)),
    )
    write_log(payment, "processing", before="pending", object_id=session.id, event_id=event_id)
    if (order.status, order.payment_status) == (Order.Status.PENDING, Order.PaymentStatus.PENDING):
        lifecycle.mark_order_processing(order, email=session.email, address=session.shipping_address)
    return payment


def apply_expired(session: CheckoutSession, *, event_id: str = "") -> Payment:
    """A session ended unpaid. The order ends with it only if this was the order's current attempt.

    An attempt that we are closing ourselves makes room for another one: its order lives on.
    """
    payment = lock_by_reference(session.reference)
    if payment.status != Payment.Status.PENDING:
        if payment.session_status != "expired" and not payment.is_settled:
            save(payment, session_status="expired")
        return payment
    order = lifecycle.lock_order(payment.order_id)
    close_attempt(payment, status=Payment.Status.CANCELLED, kind="expired", event_id=event_id, session_status="expired")
    if order.status == Order.Status.PENDING and not payment.closing:
        lifecycle.end_order(order, ended=Order.Ended.EXPIRED, reason="session expired")
    return payment


def apply_delayed_failure(session: CheckoutSession, *, event_id: str = "") -> Payment:
    """A delayed payment failed for good: the attempt is over, and the order with it if it was the current one."""
    payment = lock_by_reference(session.reference)
    if not payment.is_open:
        return payment
    order = lifecycle.lock_order(payment.order_id)
    close_attempt(
        payment,
        status=Payment.Status.FAILED,
        kind="delayed_payment_failed",
        event_id=event_id,
        **_new_ids(payment, PaidFacts.of_session(session)),
    )
    if order.status == Order.Status.PENDING:
        lifecycle.end_order(order, ended=Order.Ended.PAYMENT_FAILED, reason="delayed payment failed")
    return payment


def lock_by_reference(reference: str) -> Payment:
    """Lock the payment that Stripe speaks of. Raises UnknownPayment."""
    payment = Payment.objects.select_for_update(no_key=True).filter(reference=reference).first()
    if payment is None:
        raise UnknownPayment(reference)
    return payment


def _new_ids(payment: Payment, facts: PaidFacts) -> dict[str, str]:
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
    return payment


def _keep_unapplied(
    payment: Payment, facts: PaidFacts, ids: dict[str, str], problem: Payment.Problem, *, refund: bool
) -> Payment:
    """Right money for an order that cannot take it: late or surplus."""
    _succeed(payment, facts, ids, applied=False, problem=problem)
    open_case(payment, kind=problem, detail=f"{problem.label}: {payment.money}")
    if refund and facts.amount:
        Refund.objects.create(
            payment=payment,
            amount=facts.amount,
            currency=facts.currency,
            reason="duplicate" if problem == Payment.Problem.SURPLUS else "other",
            idempotency_key=f"{payment.reference}-refund-{problem}",
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
