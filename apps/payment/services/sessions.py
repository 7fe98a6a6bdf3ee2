"""Sessions at Stripe for attempts that are written here: open them, close them, find out about them.

Nothing here runs inside a transaction while Stripe is called. A crash between two lines leaves a committed row that
`work` finishes with the same functions.
"""

from __future__ import annotations

import json
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.common.errors import Conflict
from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.payment import gateway
from apps.payment.gateway import CheckoutSession, StripeRefused, StripeReplayedFailure
from apps.payment.models import Payment
from apps.payment.services.attempts import close_attempt, lock_payment, save, write_log
from apps.payment.services.settlement import absorb_session

KEYS_LIVE = timedelta(hours=23)
"""Stripe forgets idempotency keys after 24 hours at the earliest; an hour is left for clocks."""


class AlreadyPaid(Conflict):
    """The order's money is here or on its way."""

    code = "already_paid"
    message = "This order is paid, or its payment is on the way."

    def __init__(self, number: str) -> None:
        super().__init__(order_number=number)


class NeverOpened(Exception):
    """Stripe never made this attempt's session, and will not any more: its expiry has come too near."""


def open_session(payment: Payment) -> Payment:
    """Have Stripe make the session that a pending attempt asks for, or get the one that it made before.

    Raises StripeUnavailable (the attempt stays, `work` goes on), NeverOpened and StripeRefused (it is closed).
    """
    try:
        session = _create_or_find(payment)
    except StripeRefused as refusal:
        if refusal.param == "expires_at":
            _give_up(payment, kind="never_opened")
            raise NeverOpened from refusal
        _give_up(payment, kind="refused", refusal=refusal)
        raise
    payment = _keep_session(payment, session)
    if not payment.is_open and session.status == "open":
        # The attempt was closed while Stripe was making its session: nobody may pay there any more.
        absorb_session(gateway.close_checkout_session(session.id))
        payment.refresh_from_db()
    return payment


def close_open_attempt(payment: Payment) -> None:
    """End an open attempt at Stripe, then here; the order stays as it is.

    Raises AlreadyPaid when Stripe says that the money is here or on its way; that is settled first.
    Raises StripeUnavailable; the intention to close is kept, and `work` goes on.
    """
    Payment.objects.filter(pk=payment.pk, status=Payment.Status.PENDING).update(closing=True)
    payment.refresh_from_db()
    if not payment.is_open:
        _refuse_if_paid(payment)
        return
    if payment.stripe_session_id is None:
        try:
            payment = open_session(payment)
        except (NeverOpened, StripeRefused):
            return
    assert payment.stripe_session_id is not None  # noqa: S101 - open_session has stored it
    absorb_session(gateway.close_checkout_session(payment.stripe_session_id))
    payment.refresh_from_db()
    _refuse_if_paid(payment)


def ask_stripe(payment: Payment) -> Payment:
    """Take over what Stripe says of an attempt's session now. Raises StripeUnavailable."""
    if payment.stripe_session_id is None:
        return payment
    absorb_session(gateway.retrieve_checkout_session(payment.stripe_session_id))
    payment.refresh_from_db()
    return payment


def finish_unanswered(limit: int = 50) -> int:
    """Finish what a crash or a silent Stripe left undone: creations without an answer, closings without an end.

    Returns how many attempts it finished, so that `work --once` ends while Stripe is away.
    """
    now = timezone.now()
    waiting = Payment.objects.filter(status__in=Payment.OPEN).filter(
        Q(closing=True)
        | Q(stripe_session_id=None, status=Payment.Status.PENDING, created_at__lt=now - timedelta(seconds=30))
        | Q(order__payment_status__in=Order.PAID)
    )
    finished = 0
    for payment in list(waiting.order_by("pk")[:limit]):
        try:
            if payment.closing or Order.objects.get(pk=payment.order_id).is_paid:
                close_open_attempt(payment)
            else:
                open_session(payment)
            finished += 1
        except (AlreadyPaid, NeverOpened, StripeRefused):
            continue
        except gateway.StripeUnavailable:
            break
    return finished


def _create_or_find(payment: Payment) -> CheckoutSession:
    if timezone.now() - payment.created_at > KEYS_LIVE:
        found = _find(payment)
        if found is None:
            raise StripeRefused("The attempt is too old to be opened.", param="expires_at")
        return found
    params = json.loads(payment.request_params)
    try:
        return gateway.create_checkout_session(params, idempotency_key=payment.idempotency_key)
    except StripeReplayedFailure:
        # This key answers with the failure for a day. Stripe may have made the session all the same.
        found = _find(payment)
        if found is not None:
            return found
        _renew_key(payment)
        return gateway.create_checkout_session(params, idempotency_key=payment.idempotency_key)


def _find(payment: Payment) -> CheckoutSession | None:
    return gateway.find_checkout_session(
        reference=payment.reference, created_after=payment.created_at - timedelta(minutes=5)
    )


def _renew_key(payment: Payment) -> None:
    stem, _, number = payment.idempotency_key.rpartition("-")
    Payment.objects.filter(pk=payment.pk, idempotency_key=payment.idempotency_key).update(
        idempotency_key=f"{stem}-{int(number) + 1}"
    )
    payment.refresh_from_db()


def _keep_session(payment: Payment, session: CheckoutSession) -> Payment:
    with transaction.atomic(durable=True):
        payment = lock_payment(payment.pk)
        if payment.stripe_session_id is None:
            save(
                payment,
                stripe_session_id=session.id,
                checkout_url=session.url,
                session_status=session.status,
                session_payment_status=session.payment_status,
                session_expires_at=session.expires_at,
            )
            write_log(payment, "session_opened", before=payment.status, object_id=session.id)
    return payment


def _give_up(payment: Payment, *, kind: str, refusal: StripeRefused | None = None) -> None:
    """Close an attempt that Stripe has no session for. A refusal ends its order: it would be refused again."""
    with transaction.atomic(durable=True):
        payment = lock_payment(payment.pk)
        if payment.status != Payment.Status.PENDING or payment.stripe_session_id is not None:
            return
        code = refusal.stripe_code[:80] if refusal else ""
        close_attempt(payment, status=Payment.Status.FAILED, kind=kind, failure_code=code)
        order = lifecycle.lock_order(payment.order_id)
        if refusal and order.status == Order.Status.PENDING:
            lifecycle.end_order(order, ended=Order.Ended.REFUSED, reason=f"refused by Stripe: {code}"[:120])


def _refuse_if_paid(payment: Payment) -> None:
    if payment.is_settled or payment.status == Payment.Status.PROCESSING:
        raise AlreadyPaid(Order.objects.values_list("number", flat=True).get(pk=payment.order_id))
