"""Where an attempt stands, as a session or an intent tells it.

`apply_…` functions run in their caller's transaction: the inbox calls them beside marking the event done.
`absorb_…` functions own their transaction and take what Stripe says now: the status call, the checkout and `work`
call them. An attempt moves pending, requires action, processing, end; what ends it is told by `settlement` when it is
money and here when it is not.
"""

from __future__ import annotations

from django.db import transaction

from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.payment.declines import sentence_for
from apps.payment.gateway import CheckoutSession, PaymentIntent
from apps.payment.models import Payment
from apps.payment.services.attempts import close_attempt, save, write_log
from apps.payment.services.charges import ChargeFacts, note_charge
from apps.payment.services.settlement import PaidFacts, apply_paid, learn_contact, lock_by_reference, new_ids

S = Payment.Status


def absorb_session(session: CheckoutSession) -> Payment:
    """Take over what Stripe says of a session, in a transaction of its own. Raises UnknownPayment."""
    with transaction.atomic(durable=True):
        return apply_session(session)


def absorb_intent(intent: PaymentIntent) -> Payment:
    """Take over what Stripe says of an intent now, in a transaction of its own. Raises UnknownPayment."""
    with transaction.atomic(durable=True):
        return apply_current_intent(intent)


def apply_session(session: CheckoutSession, *, event_id: str = "") -> Payment:
    """Move payment and order to where this session's state puts them."""
    if session.is_paid:
        return apply_paid(PaidFacts.of_session(session, event_id=event_id))
    if session.status == "complete":
        return apply_processing(PaidFacts.of_session(session, event_id=event_id))
    if session.status == "expired":
        return apply_expired(session, event_id=event_id)
    return lock_by_reference(session.reference)


def apply_intent(intent: PaymentIntent, *, event_id: str = "") -> Payment:
    """Move on as a signed snapshot says that may be older than what is known: only forward."""
    facts = PaidFacts.of_intent(intent, event_id=event_id)
    if intent.status == "succeeded":
        return apply_paid(facts)
    if intent.status in ("processing", "requires_capture"):
        return apply_processing(facts, intent_status=intent.status)
    if intent.status == "canceled":
        return apply_cancelled(facts)
    return lock_by_reference(intent.reference)


def apply_current_intent(intent: PaymentIntent, *, event_id: str = "") -> Payment:
    """Move to where an intent is that Stripe was just asked about, also back to waiting after a decline."""
    payment = apply_intent(intent, event_id=event_id)
    if intent.charge and intent.charge.get("status") != "failed":
        note_charge(reference=payment.reference, charge=ChargeFacts.of_snapshot(intent.charge), event_id=event_id)
        payment = lock_by_reference(payment.reference)
    waits = intent.status in ("requires_payment_method", "requires_confirmation", "requires_action")
    if not waits or payment.channel != Payment.Channel.INTENT or not payment.is_open:
        return payment
    if payment.status == S.PROCESSING:
        return apply_delayed_failure(PaidFacts.of_intent(intent, event_id=event_id), code=intent.decline_code)
    columns: dict[str, object] = {
        "status": S.REQUIRES_ACTION if intent.status == "requires_action" else S.PENDING,
        "intent_status": intent.status,
    }
    if intent.decline_code:
        columns |= {"failure_code": intent.decline_code[:80], "failure_message": sentence_for(intent.decline_code)}
    if any(getattr(payment, name) != value for name, value in columns.items()):
        before = payment.status
        save(payment, **columns)
        if payment.status != before:
            write_log(payment, payment.status, before=before, event_id=event_id, detail=intent.decline_code)
    return payment


def apply_processing(facts: PaidFacts, *, intent_status: str = "") -> Payment:
    """The money is promised and not here: a bank debit on its way, or a card amount reserved until it is captured.

    Only an attempt that still waits moves, so a late word changes nothing.
    """
    payment = lock_by_reference(facts.reference)
    if payment.status not in (S.PENDING, S.REQUIRES_ACTION):
        learn_contact(payment, facts)
        if payment.status == S.PROCESSING:
            _note_promise(payment, facts, intent_status)
        return payment
    order = lifecycle.lock_order(payment.order_id)
    before = payment.status
    columns = {**new_ids(payment, facts), "intent_status": intent_status or payment.intent_status}
    save(payment, status=S.PROCESSING, **columns)
    write_log(payment, "processing", before=before, object_id=payment.reference, event_id=facts.event_id)
    if (order.status, order.payment_status) == (Order.Status.PENDING, Order.PaymentStatus.PENDING):
        lifecycle.mark_order_processing(order, email=facts.email, address=facts.shipping_address)
    return payment


def _note_promise(payment: Payment, facts: PaidFacts, intent_status: str) -> None:
    """The hosted page's completion and its intent's event tell the same promise, each a part of it, in either order."""
    columns = new_ids(payment, facts)
    if intent_status == "requires_capture" != payment.intent_status or (intent_status and not payment.intent_status):
        columns["intent_status"] = intent_status
    if columns:
        save(payment, **columns)


def apply_expired(session: CheckoutSession, *, event_id: str = "") -> Payment:
    """A session ended unpaid. The order ends with it only if this was the order's current attempt.

    An attempt that we are closing ourselves makes room for another one: its order lives on.
    """
    payment = lock_by_reference(session.reference)
    if payment.status not in (S.PENDING, S.REQUIRES_ACTION):
        if payment.session_status != "expired" and not payment.is_settled:
            save(payment, session_status="expired")
        return payment
    order = lifecycle.lock_order(payment.order_id)
    close_attempt(payment, status=S.CANCELLED, kind="expired", event_id=event_id, session_status="expired")
    if order.status == Order.Status.PENDING and not payment.closing:
        lifecycle.end_order(order, ended=Order.Ended.EXPIRED, reason="session expired")
    return payment


def apply_cancelled(facts: PaidFacts) -> Payment:
    """An intent was cancelled. An order that waits for a payment goes on waiting until its own end.

    An order whose money was reserved or on its way has nothing to wait for any more: it ends and may be retried.
    The intent of a hosted page ends with its session, which has an event of its own.
    """
    payment = lock_by_reference(facts.reference)
    own = payment.channel == Payment.Channel.INTENT
    if not payment.is_open or (not own and payment.status != S.PROCESSING):
        if own and payment.intent_status != "canceled" and not payment.is_settled:
            save(payment, intent_status="canceled")
        return payment
    order = lifecycle.lock_order(payment.order_id)
    was_promised = payment.status == S.PROCESSING
    columns = {**new_ids(payment, facts), "intent_status": "canceled"}
    close_attempt(payment, status=S.CANCELLED, kind="cancelled", event_id=facts.event_id, **columns)
    if was_promised and order.status == Order.Status.PENDING:
        lifecycle.end_order(order, ended=Order.Ended.PAYMENT_FAILED, reason="authorised payment cancelled")
    return payment


def apply_delayed_failure(facts: PaidFacts, *, code: str = "") -> Payment:
    """A delayed payment failed for good: the attempt is over, and the order with it if it was the current one.

    The frontend's intent would take another card now; `closing` has it cancelled at Stripe.
    """
    payment = lock_by_reference(facts.reference)
    learn_contact(payment, facts)
    if not payment.is_open:
        return payment
    order = lifecycle.lock_order(payment.order_id)
    own = payment.channel == Payment.Channel.INTENT
    columns: dict[str, object] = dict(new_ids(payment, facts))
    if own:
        columns |= {"closing": True, "intent_status": "requires_payment_method"}
    if code:
        columns |= {"failure_code": code[:80], "failure_message": sentence_for(code)}
    close_attempt(payment, status=S.FAILED, kind="delayed_payment_failed", event_id=facts.event_id, **columns)
    if order.status == Order.Status.PENDING:
        lifecycle.end_order(order, ended=Order.Ended.PAYMENT_FAILED, reason="delayed payment failed")
    return payment
