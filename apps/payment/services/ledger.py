"""What refunds and disputes make of a payment and its order, derived in one place.

`apply_refund` and `apply_dispute` run in their caller's transaction and may run any number of times, in any order:
what Stripe was asked last is what counts, and every sum is taken anew from the rows.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from apps.common.money import Money
from apps.inventory import services as inventory
from apps.orders.services import lifecycle
from apps.outbox.services import publish
from apps.payment.gateway import PaymentIntent, StripeDispute, StripeRefund
from apps.payment.models import Dispute, Payment, Refund, RefundItem
from apps.payment.services.attempts import lock_payment, save, write_log
from apps.payment.services.cases import open_case, solve_cases
from apps.payment.services.charges import ChargeFacts, note_charge
from apps.payment.services.refunds import facts_of
from apps.payment.services.settlement import PaidFacts, UnknownPayment, apply_paid

LOOK_AGAIN = timedelta(hours=1)
"""How long `work` waits for an event before it asks Stripe about a refund that is pending there."""

REFUND_STATES = {
    "pending": Refund.Status.PENDING,
    "requires_action": Refund.Status.PENDING,
    "succeeded": Refund.Status.SUCCEEDED,
    "failed": Refund.Status.FAILED,
    "canceled": Refund.Status.CANCELLED,
}

UNDECIDED: dict[str, Any] = {
    "decision": "",
    "decision_key": "",
    "decided_by": None,
    "decided_at": None,
    "decision_done_at": None,
    "decision_due_at": None,
}
"""A dispute's columns while it waits for staff's decision. One that is to be answered anew waits for a new one."""


def payment_status(*, captured: int, refunded: int) -> str:
    """A settled payment's status, given the sum of its succeeded refunds. Minor units."""
    if refunded <= 0:
        return Payment.Status.SUCCEEDED
    return Payment.Status.REFUNDED if refunded >= captured else Payment.Status.PARTIALLY_REFUNDED


def apply_refund(told: StripeRefund, *, asked_at: datetime, event_id: str = "") -> Refund:
    """Take over what Stripe says of a refund now, one of ours or one that was made in the Dashboard.

    The payment's own event may still be on its way; the refund's intent proves the money as well. Raises
    UnknownPayment.
    """
    known = Refund.objects.filter(stripe_refund_id=told.id).first()
    if known is None and told.reference:
        known = Refund.objects.filter(reference=told.reference, stripe_refund_id=None).first()
    payment = _settled_payment(
        payment_id=known.payment_id if known else None,
        intent=told.intent,
        intent_id=told.payment_intent_id,
        charge_id=told.charge_id,
        event_id=event_id,
    )
    refund = Refund.objects.filter(pk=known.pk).get() if known else _adopt(payment, told, asked_at)
    if refund.told_at is not None and asked_at < refund.told_at:
        return refund
    before = "" if known is None else refund.status
    _take_over(refund, told, asked_at)
    if refund.status != before:
        write_log(
            payment,
            f"refund_{refund.status}",
            before=payment.status,
            object_id=refund.reference or told.id,
            event_id=event_id,
            detail=f"{refund.money} {told.failure_reason}".strip(),
        )
        recompute(payment, reason=f"refund {refund.status}")
        _tell(payment, refund, before)
    return refund


def fail_refund(refund: Refund, *, code: str) -> Refund:
    """Stripe refused a refund for good. In a caller's transaction that holds the payment's lock."""
    refund.status, refund.failure_code, refund.next_try_at = Refund.Status.FAILED, code[:80], None
    refund.save(update_fields=["status", "failure_code", "next_try_at"])
    payment = refund.payment
    write_log(payment, "refund_failed", before=payment.status, object_id=refund.reference or "", detail=code)
    _tell(payment, refund, Refund.Status.PENDING)
    return refund


def apply_dispute(told: StripeDispute, *, asked_at: datetime, event_id: str = "") -> Dispute:
    """Take over what Stripe says of a dispute now. Stock is never touched. Raises UnknownPayment."""
    known = Dispute.objects.filter(stripe_dispute_id=told.id).first()
    payment = _settled_payment(
        payment_id=known.payment_id if known else None,
        intent=told.intent,
        intent_id=told.payment_intent_id,
        charge_id=told.charge_id,
        event_id=event_id,
    )
    dispute = Dispute.objects.filter(stripe_dispute_id=told.id).first() or Dispute(
        payment=payment, stripe_dispute_id=told.id, created_at=told.created, told_at=asked_at, status=""
    )
    if dispute.pk and asked_at < dispute.told_at:
        return dispute
    before = dispute.status
    columns: dict[str, Any] = {
        "stripe_charge_id": told.charge_id,
        "amount": told.amount,
        "currency": told.currency,
        "reason": told.reason[:60],
        "status": told.status,
        "network_reason_code": told.network_reason_code[:20],
        "due_by": told.due_by,
        "past_due": told.past_due,
        "has_evidence": told.has_evidence,
        "submissions": told.submissions,
        "charge_refundable": told.is_charge_refundable,
        "net_moved": told.net_moved,
        "told_at": asked_at,
        "closed_at": (dispute.closed_at or timezone.now()) if told.status in Dispute.OVER else None,
    }
    if before and told.status != before and told.status in Dispute.ANSWERABLE:
        columns |= UNDECIDED
    for name, value in columns.items():
        setattr(dispute, name, value)
    # What staff decides is written beside this, with no lock of the payment's.
    dispute.save(update_fields=list(columns) if dispute.pk else None)
    if dispute.status != before:
        write_log(
            payment,
            f"dispute_{dispute.status}",
            before=payment.status,
            object_id=told.id,
            event_id=event_id,
            detail=f"{dispute.money} {dispute.reason}",
        )
        recompute(payment, reason=f"dispute {dispute.status}")
        _tell_dispute(payment, dispute, before)
    return dispute


def recompute(payment: Payment, *, reason: str) -> None:
    """Derive a locked payment's status, and its order's if the payment paid for it, from refunds and disputes."""
    refunds = payment.refunds.filter(status=Refund.Status.SUCCEEDED)
    refunded = int(refunds.aggregate(n=Sum("amount"))["n"] or 0)
    disputes = list(payment.disputes.all())
    columns: dict[str, object] = {
        "amount_refunded": refunded,
        "amount_lost": sum(d.amount for d in disputes if d.status == Dispute.Status.LOST),
        "disputed": any(not d.is_over or d.status == Dispute.Status.LOST for d in disputes),
    }
    if payment.is_settled:
        columns["status"] = payment_status(captured=payment.amount_captured, refunded=refunded)
    if any(getattr(payment, name) != value for name, value in columns.items()):
        save(payment, **columns)
    if payment.is_settled and refunded + payment.amount_lost > payment.amount_captured:
        open_case(
            payment,
            kind="lost_twice",
            detail=f"{Money(refunded + payment.amount_lost, payment.currency)} of {payment.money} went back: "
            "a bank took what was refunded already",
        )
    if not payment.applied:
        if payment.amount_captured and refunded >= payment.amount_captured:
            solve_cases(payment, kinds=("late", "surplus", "amount_mismatch"), note="Refunded in full.")
        return
    order = lifecycle.lock_order(payment.order_id)
    lines = RefundItem.objects.filter(refund__in=refunds.values("pk"))
    lifecycle.apply_refunds(
        order,
        refunded=refunded,
        lines=dict(lines.values_list("order_item").annotate(n=Sum("quantity"))),
        reason=reason,
    )
    if order.disputed != payment.disputed:
        lifecycle.flag_dispute(order, disputed=payment.disputed)
    # A state may come and go several times, so each change is news of its own.
    publish("order.standing_changed", f"{order.pk}/{secrets.token_hex(8)}", {"order_id": order.pk})
    _restock(payment, lines.filter(restock=True, restocked_at=None).select_related("order_item", "refund"))


def _restock(payment: Payment, items: Iterable[RefundItem]) -> None:
    """Goods that came back go to stock once; a refund that fails later does not take them away again."""
    for item in items:
        inventory.restock(
            order_id=payment.order_id,
            quantities={item.order_item.variant_id: item.quantity},
            effect=f"refund/{item.refund_id}/{item.order_item_id}",
        )
        RefundItem.objects.filter(pk=item.pk).update(restocked_at=timezone.now())


def _settled_payment(
    *, payment_id: int | None, intent: PaymentIntent | None, intent_id: str, charge_id: str, event_id: str
) -> Payment:
    """Lock the payment that a refund or a dispute is about, settled from its intent where its event is not here yet.

    Raises UnknownPayment when the row, or the proof of its money, is missing.
    """
    if payment_id is None and intent_id:
        payment_id = Payment.objects.filter(stripe_payment_intent_id=intent_id).values_list("pk", flat=True).first()
    if payment_id is None and charge_id:
        payment_id = Payment.objects.filter(stripe_charge_id=charge_id).values_list("pk", flat=True).first()
    if payment_id is None and intent is not None and intent.reference:
        payment_id = Payment.objects.filter(reference=intent.reference).values_list("pk", flat=True).first()
    if payment_id is None:
        raise UnknownPayment(intent.reference if intent and intent.reference else intent_id or charge_id)
    payment = lock_payment(payment_id)
    if not payment.is_settled:
        if intent is None or intent.status != "succeeded":
            raise UnknownPayment(payment.reference)
        apply_paid(PaidFacts.of_intent(intent, reference=payment.reference, event_id=event_id))
    if intent is not None and intent.charge and not payment.stripe_charge_id:
        note_charge(reference=payment.reference, charge=ChargeFacts.of_snapshot(intent.charge), event_id=event_id)
    payment.refresh_from_db()
    return payment


def _adopt(payment: Payment, told: StripeRefund, asked_at: datetime) -> Refund:
    """A row for a refund that was made in Stripe's Dashboard."""
    reasons = {choice.value for choice in Refund.Reason}
    return Refund.objects.create(
        payment=payment,
        reference=told.id,
        amount=told.amount,
        currency=told.currency,
        reason=told.reason if told.reason in reasons else Refund.Reason.OTHER,
        source=Refund.Source.STRIPE,
        idempotency_key=told.id,
        stripe_refund_id=told.id,
    )


def _take_over(refund: Refund, told: StripeRefund, asked_at: datetime) -> None:
    refund.status = REFUND_STATES.get(told.status, Refund.Status.PENDING)
    refund.stripe_status = told.status[:20]
    refund.stripe_refund_id = told.id
    refund.failure_code = told.failure_reason[:80]
    refund.told_at = asked_at
    refund.next_try_at = timezone.now() + LOOK_AGAIN if refund.status == Refund.Status.PENDING else None
    if refund.status == Refund.Status.SUCCEEDED and refund.succeeded_at is None:
        refund.succeeded_at = timezone.now()
    refund.save()


def _tell(payment: Payment, refund: Refund, before: str) -> None:
    if refund.status == Refund.Status.SUCCEEDED:
        publish("refund.succeeded", str(refund.pk), facts_of(refund))
    if refund.status in (Refund.Status.FAILED, Refund.Status.CANCELLED):
        was_back = before == Refund.Status.SUCCEEDED
        open_case(
            payment,
            kind="refund_failed",
            object_id=refund.reference or str(refund.pk),
            detail=f"The refund of {refund.money} {'failed later' if was_back else 'failed'}: {refund.failure_code}",
        )
        publish("refund.failed", str(refund.pk), {**facts_of(refund), "had_succeeded": was_back})


def _tell_dispute(payment: Payment, dispute: Dispute, before: str) -> None:
    facts = {"dispute_id": dispute.pk, "payment_id": payment.pk, "order_id": payment.order_id}
    if dispute.is_over:
        solve_cases(
            payment,
            kinds=("dispute", "inquiry"),
            note=f"Stripe closed it: {dispute.status}.",
            object_id=dispute.stripe_dispute_id,
        )
        publish(f"dispute.{dispute.status}", str(dispute.pk), facts)
        return
    kind = "inquiry" if dispute.status in Dispute.INQUIRY else "dispute"
    if dispute.status in Dispute.ANSWERABLE:
        until = f", answer by {dispute.due_by:%Y-%m-%d %H:%M} UTC" if dispute.due_by else ""
        open_case(
            payment,
            kind=kind,
            object_id=dispute.stripe_dispute_id,
            detail=f"{Money(dispute.amount, dispute.currency)}, {dispute.reason}{until}",
        )
    stage = "appeal" if dispute.status in Dispute.APPEAL else kind
    publish(f"dispute.{stage}", str(dispute.pk), facts)
