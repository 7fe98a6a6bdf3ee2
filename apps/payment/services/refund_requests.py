"""What buyers ask back: a request that staff approves, which makes a refund of it, or turns down."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.common.errors import Conflict
from apps.outbox.services import publish
from apps.payment.models import Payment, Refund
from apps.payment.services.attempts import lock_payment, write_log
from apps.payment.services.refunds import (
    HEAD_START,
    RefundWish,
    facts_of,
    refuse_beyond,
    refuse_unless_refundable,
    write_refund,
)

S = Refund.Status


def request_refund(*, payment: Payment, wish: RefundWish, by: User | None) -> Refund:
    """Write a buyer's request; staff decides. One open request per payment.

    Raises Conflict `refund_already_requested`, and what `intend_refund` raises.
    """
    with transaction.atomic(durable=True):
        lock_payment(payment.pk)
        if Refund.objects.filter(payment=payment, status=S.REQUESTED).exists():
            raise Conflict("A refund of this payment was requested already.", code="refund_already_requested")
        refund = write_refund(payment, wish, status=S.REQUESTED, source=Refund.Source.BUYER, by=by)
        publish("refund.requested", str(refund.pk), facts_of(refund))
        return refund


def approve(refund: Refund, *, by: User, restock: bool = False) -> Refund:
    """Let a buyer's request be carried out; with `restock` the goods of its lines return to stock.

    Raises Conflict `not_requested`, and what `intend_refund` raises.
    """
    with transaction.atomic(durable=True):
        payment = lock_payment(refund.payment_id)
        refund = _requested(refund)
        refuse_unless_refundable(payment)
        refuse_beyond(payment, refund.amount)
        refund.items.update(restock=restock)
        _decide(refund, status=S.PENDING, by=by)
        write_log(payment, "refund_approved", before=payment.status, object_id=refund.reference or "")
    return refund


def reject(refund: Refund, *, by: User, note: str) -> Refund:
    """Turn a buyer's request down. Raises Conflict `not_requested`."""
    with transaction.atomic(durable=True):
        payment = lock_payment(refund.payment_id)
        refund = _requested(refund)
        _decide(refund, status=S.REJECTED, by=by, note=note)
        write_log(payment, "refund_rejected", before=payment.status, object_id=refund.reference or "")
        publish("refund.rejected", str(refund.pk), facts_of(refund))
    return refund


def _requested(refund: Refund) -> Refund:
    current = Refund.objects.select_related("payment").get(pk=refund.pk)
    if current.status != S.REQUESTED:
        raise Conflict("This refund is not waiting for a decision.", code="not_requested")
    return current


def _decide(refund: Refund, *, status: str, by: User, note: str = "") -> None:
    now = timezone.now()
    refund.status, refund.decided_by, refund.decided_at, refund.decision_note = status, by, now, note[:500]
    refund.next_try_at = now + HEAD_START if status == S.PENDING else None
    refund.save(update_fields=["status", "decided_by", "decided_at", "decision_note", "next_try_at"])
