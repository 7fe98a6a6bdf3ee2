"""Amounts that are reserved on a card (`CAPTURE_METHOD=manual`): taking the money, or giving the reservation up.

Such an attempt is `processing` with the intent's status `requires_capture`, whether the buyer paid on Stripe's page or
in the frontend's own form. What staff decides is a committed row with its key before Stripe is asked; `work` finishes
what was cut off. What Stripe answers settles or ends the payment as its events do.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.common import stopping
from apps.common.errors import Conflict, DomainError
from apps.payment import gateway
from apps.payment.gateway import (
    PaymentIntent,
    StripeDeclined,
    StripeRefused,
    StripeReplayedFailure,
    StripeUnavailable,
)
from apps.payment.models import Payment
from apps.payment.services.attempts import lock_payment, save, write_log
from apps.payment.services.cases import open_case
from apps.payment.services.progress import absorb_intent
from apps.payment.services.provider import ask_stripe

RESERVED = "requires_capture"

IN_HAND = timedelta(seconds=60)
"""How long whoever asks Stripe has a decision to itself."""

SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(minutes=5)
"""Between two tries while Stripe is away."""


class NothingReserved(Conflict):
    code = "nothing_reserved"
    message = "No amount is reserved for this payment."


class CaptureDecided(Conflict):
    code = "capture_decided"
    message = "The opposite was decided already."


class ReservationOver(Conflict):
    code = "reservation_over"
    message = "The reservation ended before the money was taken. The order is cancelled and may be paid anew."


class AlreadyCaptured(Conflict):
    code = "already_captured"
    message = "The money was taken before the reservation was given up. It can be refunded."


class CaptureRefused(DomainError):
    """Stripe will not do it; the amount stays reserved, and it may be decided anew."""

    code = "capture_refused"
    message = "The payment provider refused this."


def capture(payment: Payment, *, by: User) -> Payment:
    """Take the whole amount that is reserved; the order becomes paid.

    Asked again it changes nothing. When Stripe cannot be reached the decision stands (the payment is still
    `processing`) and `work` goes on. Raises NothingReserved, CaptureDecided, ReservationOver, CaptureRefused.
    """
    return _decide_and_carry_out(payment, Payment.CaptureDecision.CAPTURE, by)


def release(payment: Payment, *, by: User) -> Payment:
    """Give the reservation up: the payment is cancelled, and its order, which may be paid anew, with it.

    Asked again it changes nothing. When Stripe cannot be reached the decision stands (the payment is still
    `processing`) and `work` goes on. Raises NothingReserved, CaptureDecided, AlreadyCaptured, CaptureRefused.
    """
    return _decide_and_carry_out(payment, Payment.CaptureDecision.RELEASE, by)


def is_reserved(payment: Payment) -> bool:
    """Whether an amount waits for staff to take it or to give it up."""
    return (payment.status, payment.intent_status) == (Payment.Status.PROCESSING, RESERVED)


def finish_captures(limit: int = 50) -> int:
    """Tell Stripe what was decided and is not known to have arrived there. Returns how many came to an end."""
    now = timezone.now()
    undone = Payment.objects.filter(status=Payment.Status.PROCESSING).exclude(capture_decision="")
    due = undone.filter(Q(capture_due_at=None) | Q(capture_due_at__lte=now)).order_by("pk")
    finished = 0
    for payment in list(due[:limit]):
        if stopping.asked():
            break
        if not _take(payment):
            continue
        try:
            payment = _carry_out(payment, attended=False)
        except DomainError:
            finished += 1
            continue
        if payment.status == Payment.Status.PROCESSING:
            break  # Stripe is away
        finished += 1
    return finished


def _decide_and_carry_out(payment: Payment, decision: str, by: User) -> Payment:
    now = timezone.now()
    with transaction.atomic(durable=True):
        payment = lock_payment(payment.pk)
        if payment.capture_decision == decision:
            return payment
        if payment.capture_decision:
            raise CaptureDecided(decision=payment.capture_decision)
        if not is_reserved(payment):
            raise NothingReserved
        save(
            payment,
            capture_decision=decision,
            capture_key=f"pc_{secrets.token_hex(16)}-1",
            capture_decided_by=by,
            capture_decided_at=now,
            capture_due_at=now + IN_HAND,
        )
        _log(payment, "decided", detail=f"by user {by.pk}")
    return _carry_out(payment)


def _take(payment: Payment) -> bool:
    """Whether this process is the one to ask now."""
    now = timezone.now()
    due = _as_decided(payment).filter(Q(capture_due_at=None) | Q(capture_due_at__lte=now))
    return bool(due.update(capture_due_at=now + IN_HAND))


def _carry_out(payment: Payment, *, attended: bool = True) -> Payment:
    """Ask Stripe for what was decided and take over what it says."""
    refusal = ""
    try:
        try:
            told = _ask(payment)
        except (StripeRefused, StripeDeclined) as error:
            refusal = error.stripe_code if isinstance(error, StripeRefused) else error.decline_code
            told = gateway.retrieve_payment_intent(_intent_id(payment))
    except StripeUnavailable:
        return _put_back(payment)
    decision = payment.capture_decision
    payment = absorb_intent(replace(told, reference=payment.reference))
    if payment.status == Payment.Status.PROCESSING:
        if told.status != RESERVED:
            return _put_back(payment)  # it is under way at Stripe
        raise _withdrawn(payment, CaptureRefused(stripe_code=refusal), attended=attended)
    if payment.is_settled != (decision == Payment.CaptureDecision.CAPTURE):
        other = AlreadyCaptured() if payment.is_settled else ReservationOver()
        raise _withdrawn(payment, other, attended=attended)
    return _with_session(payment)


def _ask(payment: Payment) -> PaymentIntent:
    if payment.capture_decision == Payment.CaptureDecision.RELEASE:
        return gateway.cancel_payment_intent(_intent_id(payment))
    try:
        return gateway.capture_payment_intent(_intent_id(payment), idempotency_key=payment.capture_key)
    except StripeReplayedFailure:
        # This key answers with the failure for a day. Stripe may have taken the money all the same.
        told = gateway.retrieve_payment_intent(_intent_id(payment))
        if told.status != RESERVED:
            return told
        _renew_key(payment)
        return gateway.capture_payment_intent(_intent_id(payment), idempotency_key=payment.capture_key)


def _with_session(payment: Payment) -> Payment:
    """A hosted page's session is paid only now, and no event tells it: the status call shows what is kept here."""
    if payment.channel == Payment.Channel.SESSION and payment.is_settled:
        with contextlib.suppress(StripeUnavailable, StripeRefused):
            return ask_stripe(payment)
    return payment


def _withdrawn(payment: Payment, error: DomainError, *, attended: bool) -> DomainError:
    """It will not be done: nothing is decided any more. With nobody there to see why, a case tells staff."""
    key = payment.capture_key
    with transaction.atomic(durable=True):
        payment = lock_payment(payment.pk)
        if payment.capture_key != key:
            return error
        _log(payment, "refused", detail=f"{error.code} {error.data.get('stripe_code', '')}".rstrip())
        if not attended:
            detail = f"Stripe did not {payment.get_capture_decision_display()}: {error.message}"
            open_case(payment, kind="capture_refused", object_id=key, detail=detail)
        save(
            payment,
            capture_decision="",
            capture_key="",
            capture_decided_by=None,
            capture_decided_at=None,
            capture_due_at=None,
        )
    return error


def _put_back(payment: Payment) -> Payment:
    """Wait as long again as it has been waiting."""
    now = timezone.now()
    wait = min(max(now - _decided_at(payment), SHORTEST_WAIT), LONGEST_WAIT)
    _as_decided(payment).update(capture_due_at=now + wait)
    payment.refresh_from_db()
    return payment


def _renew_key(payment: Payment) -> None:
    stem, _, number = payment.capture_key.rpartition("-")
    _as_decided(payment).update(capture_key=f"{stem}-{int(number) + 1}")
    payment.refresh_from_db()


def _as_decided(payment: Payment) -> QuerySet[Payment]:
    """The row, as long as the decision is the one that was read."""
    return Payment.objects.filter(
        pk=payment.pk, status=Payment.Status.PROCESSING, capture_key=payment.capture_key
    ).exclude(capture_decision="")


def _decided_at(payment: Payment) -> datetime:
    assert payment.capture_decided_at is not None  # noqa: S101 - asked of decided payments only
    return payment.capture_decided_at


def _intent_id(payment: Payment) -> str:
    assert payment.stripe_payment_intent_id is not None  # noqa: S101 - an amount is reserved there
    return payment.stripe_payment_intent_id


def _log(payment: Payment, what: str, *, detail: str = "") -> None:
    write_log(
        payment,
        f"{payment.capture_decision}_{what}",
        before=payment.status,
        object_id=payment.capture_key,
        detail=detail,
    )
