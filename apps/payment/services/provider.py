"""What an attempt has at Stripe, a session or an intent: open it, close it, find out about it.

Nothing here runs inside a transaction while Stripe is called. A crash between two lines leaves a committed row that
`work` finishes with the same functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.common import stopping
from apps.common.errors import Conflict
from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.payment import gateway
from apps.payment.gateway import CheckoutSession, PaymentIntent, StripeRefused, StripeReplayedFailure
from apps.payment.models import Payment
from apps.payment.services.attempts import close_attempt, lock_payment, save, write_log
from apps.payment.services.customers import forget_customer, is_gone
from apps.payment.services.methods import forget_method
from apps.payment.services.progress import absorb_intent, absorb_session

KEYS_LIVE = timedelta(hours=23)
"""Stripe forgets idempotency keys after 24 hours at the earliest; an hour is left for clocks."""

ASK_EVERY = timedelta(seconds=5)
"""How often polls of one attempt may ask Stripe."""

Opened = CheckoutSession | PaymentIntent


class AlreadyPaid(Conflict):
    """The order's money is here or on its way."""

    code = "already_paid"
    message = "This order is paid, or its payment is on the way."

    def __init__(self, number: str) -> None:
        super().__init__(order_number=number)


class NeverOpened(Exception):
    """Stripe never made what this attempt asks for, and will not any more; another attempt may do better."""


class MethodGone(Conflict):
    """The saved method that was to be used is not at Stripe any more."""

    code = "method_gone"
    message = "This payment method is not valid any more. Choose another one."


@dataclass(frozen=True, slots=True)
class _Calls:
    """What is asked of Stripe for one channel."""

    create: Callable[[Mapping[str, Any], str], Opened]
    find: Callable[[str, datetime], Opened | None]
    retrieve: Callable[[str], Opened]
    close: Callable[[str], Opened]


_CALLS: dict[str, _Calls] = {
    Payment.Channel.SESSION: _Calls(
        create=lambda params, key: gateway.create_checkout_session(params, idempotency_key=key),
        find=lambda reference, after: gateway.find_checkout_session(reference=reference, created_after=after),
        retrieve=lambda session_id: gateway.retrieve_checkout_session(session_id),
        close=lambda session_id: gateway.close_checkout_session(session_id),
    ),
    Payment.Channel.INTENT: _Calls(
        create=lambda params, key: gateway.create_payment_intent(params, idempotency_key=key),
        find=lambda reference, after: gateway.find_payment_intent(reference=reference, created_after=after),
        retrieve=lambda intent_id: gateway.retrieve_payment_intent(intent_id),
        close=lambda intent_id: gateway.cancel_payment_intent(intent_id),
    ),
}


def open_at_stripe(payment: Payment) -> Payment:
    """Have Stripe make what a pending attempt asks for, or get what it made before.

    Raises StripeUnavailable (the attempt stays, `work` goes on), NeverOpened, MethodGone and StripeRefused (it is
    closed).
    """
    try:
        opened = _create_or_find(payment)
    except StripeRefused as refusal:
        _give_up_refused(payment, refusal)
        raise
    payment = _keep(payment, opened)
    if not payment.is_open and _still_open(opened):
        # The attempt was closed while Stripe was opening it: nobody may pay there any more.
        _absorb(_CALLS[payment.channel].close(opened.id))
        payment.refresh_from_db()
    return payment


def close_open_attempt(payment: Payment) -> None:
    """End an open attempt at Stripe, then here; the order stays as it is.

    Raises AlreadyPaid when Stripe says that the money is here or on its way; that is settled first.
    Raises StripeUnavailable; the intention to close is kept, and `work` goes on.
    """
    waiting = (Payment.Status.PENDING, Payment.Status.REQUIRES_ACTION)
    Payment.objects.filter(pk=payment.pk, status__in=waiting).update(closing=True)
    payment.refresh_from_db()
    if payment.status not in waiting:
        _refuse_if_paid(payment)
        return
    if not payment.is_opened:
        try:
            payment = open_at_stripe(payment)
        except (NeverOpened, MethodGone, StripeRefused):
            return
    _absorb(_CALLS[payment.channel].close(_object_id(payment)))
    payment.refresh_from_db()
    _refuse_if_paid(payment)


def ask_stripe(payment: Payment) -> Payment:
    """Take over what Stripe says of an attempt now. Raises StripeUnavailable, StripeRefused."""
    if not payment.is_opened:
        return payment
    _absorb(_CALLS[payment.channel].retrieve(_object_id(payment)))
    payment.refresh_from_db()
    return payment


def take_turn(payment: Payment) -> bool:
    """Whether this poll may ask Stripe: one per attempt and five seconds, across all processes."""
    now = timezone.now()
    return bool(
        Payment.objects.filter(pk=payment.pk)
        .filter(Q(asked_at=None) | Q(asked_at__lte=now - ASK_EVERY))
        .update(asked_at=now)
    )


def left_open() -> QuerySet[Payment]:
    """Attempts that are over here while their intent would still take money at Stripe."""
    over = (Payment.Status.FAILED, Payment.Status.CANCELLED)
    return Payment.objects.filter(closing=True, channel=Payment.Channel.INTENT, status__in=over).exclude(
        intent_status__in=("canceled", "succeeded")
    )


def close_left_open(payment: Payment) -> None:
    """Cancel the intent of an attempt that is over here. Raises StripeUnavailable."""
    if payment.stripe_payment_intent_id is None:
        Payment.objects.filter(pk=payment.pk).update(closing=False)
        return
    absorb_intent(gateway.cancel_payment_intent(payment.stripe_payment_intent_id))


def finish_unanswered(limit: int = 50) -> int:
    """Finish what a crash or a silent Stripe left undone: creations without an answer, closings without an end.

    Returns how many attempts it finished, so that `work --once` ends while Stripe is away.
    """
    now = timezone.now()
    unanswered = Q(stripe_session_id=None, channel=Payment.Channel.SESSION) | Q(
        stripe_payment_intent_id=None, channel=Payment.Channel.INTENT
    )
    waiting = Payment.objects.filter(status__in=(Payment.Status.PENDING, Payment.Status.REQUIRES_ACTION)).filter(
        Q(closing=True)
        | Q(unanswered, status=Payment.Status.PENDING, created_at__lt=now - timedelta(seconds=30))
        | Q(order__payment_status__in=Order.PAID)
    )
    finished = 0
    try:
        for payment in list(waiting.order_by("pk")[:limit]):
            if stopping.asked():
                break
            finished += _finish(payment)
        for payment in list(left_open().order_by("pk")[:limit]):
            if stopping.asked():
                break
            close_left_open(payment)
            finished += 1
    except gateway.StripeUnavailable:
        pass
    return finished


def _finish(payment: Payment) -> int:
    try:
        if payment.closing or Order.objects.get(pk=payment.order_id).is_paid:
            close_open_attempt(payment)
        else:
            open_at_stripe(payment)
    except (AlreadyPaid, NeverOpened, MethodGone, StripeRefused):
        return 0
    return 1


def _create_or_find(payment: Payment) -> Opened:
    if timezone.now() - payment.created_at > KEYS_LIVE:
        found = _find(payment)
        if found is None:
            raise StripeRefused("The attempt is too old to be opened.", param="expires_at")
        return found
    params, calls = json.loads(payment.request_params), _CALLS[payment.channel]
    try:
        return calls.create(params, payment.idempotency_key)
    except StripeReplayedFailure:
        # This key answers with the failure for a day. Stripe may have made the object all the same.
        found = _find(payment)
        if found is not None:
            return found
        _renew_key(payment)
        return calls.create(params, payment.idempotency_key)


def _find(payment: Payment) -> Opened | None:
    return _CALLS[payment.channel].find(payment.reference, payment.created_at - timedelta(minutes=5))


def _renew_key(payment: Payment) -> None:
    stem, _, number = payment.idempotency_key.rpartition("-")
    Payment.objects.filter(pk=payment.pk, idempotency_key=payment.idempotency_key).update(
        idempotency_key=f"{stem}-{int(number) + 1}"
    )
    payment.refresh_from_db()


def _keep(payment: Payment, opened: Opened) -> Payment:
    with transaction.atomic(durable=True):
        payment = lock_payment(payment.pk)
        if payment.is_opened:
            return payment
        if isinstance(opened, CheckoutSession):
            save(
                payment,
                stripe_session_id=opened.id,
                checkout_url=opened.url,
                session_status=opened.status,
                session_payment_status=opened.payment_status,
                session_expires_at=opened.expires_at,
            )
        else:
            # One that was closed meanwhile is cancelled by `work`, should this process not come to it.
            closing = payment.closing or not payment.is_open
            save(payment, stripe_payment_intent_id=opened.id, intent_status=opened.status, closing=closing)
        write_log(payment, f"{payment.channel}_opened", before=payment.status, object_id=opened.id)
    return payment


def _still_open(opened: Opened) -> bool:
    if isinstance(opened, CheckoutSession):
        return opened.status == "open"
    return opened.status not in ("canceled", "succeeded", "processing")


def _absorb(told: Opened) -> None:
    if isinstance(told, CheckoutSession):
        absorb_session(told)
    else:
        absorb_intent(told)


def _object_id(payment: Payment) -> str:
    found = (
        payment.stripe_session_id if payment.channel == Payment.Channel.SESSION else payment.stripe_payment_intent_id
    )
    assert found is not None  # noqa: S101 - asked of opened attempts only
    return found


def _give_up_refused(payment: Payment, refusal: StripeRefused) -> None:
    """Close an attempt that Stripe refused to open. Raises NeverOpened or MethodGone where another may do better."""
    if refusal.param == "expires_at":
        _give_up(payment, kind="never_opened")
        raise NeverOpened from refusal
    if refusal.param == "customer" and is_gone(refusal):
        forget_customer(payment.stripe_customer_id)
        _give_up(payment, kind="customer_gone")
        raise NeverOpened from refusal
    if refusal.param == "payment_method":
        forget_method(payment.stripe_method_id)
        _give_up(payment, kind="method_gone")
        raise MethodGone from refusal
    _give_up(payment, kind="refused", refusal=refusal)


def _give_up(payment: Payment, *, kind: str, refusal: StripeRefused | None = None) -> None:
    """Close an attempt that Stripe has nothing for. A refusal ends its order: it would be refused again."""
    with transaction.atomic(durable=True):
        payment = lock_payment(payment.pk)
        if payment.status != Payment.Status.PENDING or payment.is_opened:
            return
        code = refusal.stripe_code[:80] if refusal else ""
        close_attempt(payment, status=Payment.Status.FAILED, kind=kind, failure_code=code)
        order = lifecycle.lock_order(payment.order_id)
        if refusal and order.status == Order.Status.PENDING:
            lifecycle.end_order(order, ended=Order.Ended.REFUSED, reason=f"refused by Stripe: {code}"[:120])


def _refuse_if_paid(payment: Payment) -> None:
    if payment.is_settled or payment.status == Payment.Status.PROCESSING:
        raise AlreadyPaid(Order.objects.values_list("number", flat=True).get(pk=payment.order_id))
