"""Refunds at Stripe: the call that an intention asks for, and its answer. No transaction is open meanwhile."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.common import stopping
from apps.common.errors import DomainError
from apps.payment import gateway
from apps.payment.gateway import StripeRefund, StripeRefused, StripeReplayedFailure, StripeUnavailable
from apps.payment.models import Payment, Refund
from apps.payment.services.attempts import lock_payment
from apps.payment.services.ledger import apply_refund, fail_refund
from apps.payment.services.provider import KEYS_LIVE
from apps.payment.services.refunds import ChargeDisputed, ExceedsRemaining
from apps.payment.services.settlement import UnknownPayment

logger = logging.getLogger(__name__)

IN_HAND = timedelta(seconds=60)
"""How long whoever asks Stripe has a refund to itself."""


class RefundRefused(DomainError):
    """Stripe will not make this refund; the row is failed."""

    code = "refund_refused"
    message = "The payment provider refused this refund."


def carry_out(refund: Refund) -> Refund:
    """Ask Stripe for an intended refund and keep the answer.

    It stays pending when Stripe cannot be reached or is busy; `work` goes on with the same key. Raises
    ExceedsRemaining, ChargeDisputed or RefundRefused when Stripe refused; the row is failed then.
    """
    if not _take(refund):
        refund.refresh_from_db()
        return refund
    asked_at = timezone.now()
    try:
        told = _create_or_find(refund)
    except StripeUnavailable:
        _put_back(refund)
        refund.refresh_from_db()
        return refund
    except StripeRefused as refusal:
        _keep_refusal(refund, refusal)
        raise _as_error(refusal) from refusal
    return _keep(told, asked_at)


def finish_refunds(limit: int = 50) -> int:
    """Carry out what is pending, and ask about what Stripe has had pending for long. Returns how many moved on."""
    done = 0
    for refund in list(_due()[:limit]):
        if stopping.asked():
            break
        before = refund.status
        try:
            refund = _ask_again(refund) if refund.stripe_refund_id else carry_out(refund)
        except DomainError:
            refund.refresh_from_db()
        done += refund.status != before
        if refund.status == Refund.Status.PENDING and not refund.stripe_refund_id:
            break  # Stripe is away
    return done


def pull_refunds(payment: Payment) -> int:
    """Take over every refund that Stripe knows of a payment. Returns how many there are. Raises StripeUnavailable."""
    if not payment.stripe_payment_intent_id:
        return 0
    asked_at = timezone.now()
    told = gateway.list_refunds(payment.stripe_payment_intent_id)
    for each in told:
        _keep(each, asked_at)
    return len(told)


def _due() -> Any:
    now = timezone.now()
    pending = Refund.objects.filter(status=Refund.Status.PENDING)
    return pending.filter(Q(next_try_at=None) | Q(next_try_at__lte=now)).order_by(
        F("next_try_at").asc(nulls_first=True)
    )


def _take(refund: Refund) -> bool:
    """Whether this process is the one to ask: the first one, or one that comes when it is due again."""
    now = timezone.now()
    free = Refund.objects.filter(pk=refund.pk, status=Refund.Status.PENDING, stripe_refund_id=None).filter(
        Q(tries=0) | Q(next_try_at=None) | Q(next_try_at__lte=now)
    )
    taken = free.update(
        next_try_at=now + IN_HAND, tries=F("tries") + 1, key_used_at=Coalesce("key_used_at", Value(now))
    )
    refund.refresh_from_db()
    return bool(taken)


def _put_back(refund: Refund) -> None:
    wait = timedelta(seconds=min(2**refund.tries, 300))
    Refund.objects.filter(pk=refund.pk, status=Refund.Status.PENDING).update(next_try_at=timezone.now() + wait)


def _create_or_find(refund: Refund) -> StripeRefund:
    if refund.key_used_at is not None and timezone.now() - refund.key_used_at > KEYS_LIVE:
        found = _find(refund)
        if found is not None:
            return found
        _renew_key(refund)
    try:
        return gateway.create_refund(_params(refund), idempotency_key=refund.idempotency_key)
    except StripeReplayedFailure:
        # This key answers with the failure for a day. Stripe may have made the refund all the same.
        found = _find(refund)
        if found is not None:
            return found
        _renew_key(refund)
        return gateway.create_refund(_params(refund), idempotency_key=refund.idempotency_key)


def _params(refund: Refund) -> dict[str, Any]:
    payment = Payment.objects.select_related("order").get(pk=refund.payment_id)
    params: dict[str, Any] = {
        "amount": refund.amount,
        "metadata": {
            "proshop_refund": refund.reference,
            "proshop_payment": payment.reference,
            "proshop_order": payment.order.number,
        },
    }
    if payment.stripe_payment_intent_id:
        params["payment_intent"] = payment.stripe_payment_intent_id
    else:
        params["charge"] = payment.stripe_charge_id
    if refund.reason == Refund.Reason.OTHER:
        params["metadata"]["proshop_reason"] = refund.reason
    else:
        params["reason"] = refund.reason
    return params


def _find(refund: Refund) -> StripeRefund | None:
    intent_id = Payment.objects.values_list("stripe_payment_intent_id", flat=True).get(pk=refund.payment_id)
    if not intent_id or not refund.reference:
        return None
    return gateway.find_refund(reference=refund.reference, payment_intent_id=intent_id)


def _renew_key(refund: Refund) -> None:
    stem, _, number = refund.idempotency_key.rpartition("-")
    Refund.objects.filter(pk=refund.pk, idempotency_key=refund.idempotency_key).update(
        idempotency_key=f"{stem}-{int(number) + 1}", key_used_at=timezone.now()
    )
    refund.refresh_from_db()


def _keep(told: StripeRefund, asked_at: datetime) -> Refund:
    with transaction.atomic(durable=True):
        return apply_refund(told, asked_at=asked_at)


def _ask_again(refund: Refund) -> Refund:
    asked_at = timezone.now()
    Refund.objects.filter(pk=refund.pk).update(next_try_at=asked_at + timedelta(minutes=10))
    try:
        return _keep(gateway.retrieve_refund(refund.stripe_refund_id or ""), asked_at)
    except (StripeUnavailable, StripeRefused):
        return refund


def _keep_refusal(refund: Refund, refusal: StripeRefused) -> None:
    """The row is failed, and what Stripe knows of the payment is looked at: a refund from the Dashboard may be why."""
    with transaction.atomic(durable=True):
        payment = lock_payment(refund.payment_id)
        current = Refund.objects.select_related("payment").get(pk=refund.pk)
        if current.status == Refund.Status.PENDING and current.stripe_refund_id is None:
            fail_refund(current, code=refusal.stripe_code or "refused")
    try:
        pull_refunds(payment)
    except (StripeUnavailable, StripeRefused, UnknownPayment):
        logger.warning("refunds_not_pulled", extra={"payment": payment.pk})


def _as_error(refusal: StripeRefused) -> DomainError:
    if refusal.stripe_code == "charge_already_refunded" or refusal.param == "amount":
        return ExceedsRemaining()
    if refusal.stripe_code in ("charge_disputed", "refund_disputed_payment"):
        return ChargeDisputed()
    return RefundRefused(stripe_code=refusal.stripe_code)
