"""Refunds and disputes: what Stripe lists, and what stands here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.payment import gateway
from apps.payment.gateway import StripeDispute, StripeRefund, StripeRefused
from apps.payment.models import Dispute, Payment, Refund
from apps.payment.services import ledger
from apps.payment.services.reconcile.attempts import CLOCKS_DIFFER, IN_FLIGHT
from apps.payment.services.reconcile.report import Report, Step

Told = StripeRefund | StripeDispute


@dataclass(slots=True)
class MoneyBack:
    """Refunds and disputes to be asked about, by Stripe's ids in order, and all that the lists have shown."""

    refunds: dict[str, None] = field(default_factory=dict)
    disputes: dict[str, None] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def look_again(self, left: Iterable[tuple[str, str]]) -> None:
        """Ask about what the last run left, too."""
        for kind, object_id in left:
            if kind in ("refund", "not_at_stripe") and object_id.startswith(("re_", "pyr_")):
                self.refunds[object_id] = None
            elif kind in ("dispute", "not_at_stripe") and object_id.startswith(("du_", "dp_")):
                self.disputes[object_id] = None


def read_refunds(report: Report, found: MoneyBack) -> Iterator[Step]:
    for page in gateway.refund_pages(report.span):
        told = [gateway.refund_from_snapshot(each) for each in page.objects]
        rows = {row.stripe_refund_id: row for row in Refund.objects.filter(stripe_refund_id__in=[t.id for t in told])}
        ours = _payments_of(told)
        for each in told:
            row = rows.get(each.id)
            found.seen.add(each.id)
            if _refund_differs(row, each) if row else _is_of(each, ours):
                found.refunds[each.id] = None
        yield report.page_read("refunds", page, report.span)


def read_disputes(report: Report, found: MoneyBack) -> Iterator[Step]:
    for page in gateway.dispute_pages(report.span):
        told = [gateway.dispute_from_snapshot(each) for each in page.objects]
        known = Dispute.objects.filter(stripe_dispute_id__in=[t.id for t in told])
        rows = {row.stripe_dispute_id: row for row in known}
        ours = _payments_of(told)
        for each in told:
            row = rows.get(each.id)
            found.seen.add(each.id)
            if _dispute_differs(row, each) if row else _is_of(each, ours):
                found.disputes[each.id] = None
        yield report.page_read("disputes", page, report.span)


def add_unlisted(report: Report, found: MoneyBack) -> None:
    """Rows that no list has shown and that may have changed: those of the span, and older ones that are not over."""
    listed = Q(created_at__gte=report.span.start + CLOCKS_DIFFER, created_at__lt=report.span.end - IN_FLIGHT)
    refunds = Refund.objects.filter(listed | Q(status=Refund.Status.PENDING), stripe_refund_id__isnull=False)
    disputes = Dispute.objects.filter(listed | ~Q(status__in=Dispute.OVER))
    for refund_id in refunds.values_list("stripe_refund_id", flat=True).iterator(chunk_size=5000):
        if refund_id and refund_id not in found.seen:
            found.refunds[refund_id] = None
    for dispute_id in disputes.values_list("stripe_dispute_id", flat=True).iterator(chunk_size=5000):
        if dispute_id not in found.seen:
            found.disputes[dispute_id] = None


def settle_refund(report: Report, refund_id: str) -> None:
    """Ask about one refund that looked different, and have it agree where it still does not."""

    def stands() -> Refund | None:
        known = Refund.objects.filter(stripe_refund_id=refund_id).select_related("payment__order").first()
        return known or Refund.objects.filter(reference=told.reference or None, stripe_refund_id=None).first()

    def keep() -> None:
        ledger.apply_refund(told, asked_at=asked_at)

    asked_at = timezone.now()
    try:
        told = gateway.retrieve_refund(refund_id)
    except StripeRefused as refusal:
        _leave(report, "refund", refund_id, refusal)
        return
    _settle(report, "refund", told, stands, _refund_differs, keep)


def settle_dispute(report: Report, dispute_id: str) -> None:
    """Ask about one dispute that looked different, and have it agree where it still does not."""

    def stands() -> Dispute | None:
        return Dispute.objects.filter(stripe_dispute_id=dispute_id).select_related("payment__order").first()

    def keep() -> None:
        ledger.apply_dispute(told, asked_at=asked_at)

    asked_at = timezone.now()
    try:
        told = gateway.retrieve_dispute(dispute_id)
    except StripeRefused as refusal:
        _leave(report, "dispute", dispute_id, refusal)
        return
    _settle(report, "dispute", told, stands, _dispute_differs, keep)


def _settle(
    report: Report,
    kind: str,
    told: Any,
    stands: Callable[[], Any],
    differs: Callable[[Any, Any], str],
    keep: Callable[[], None],
) -> None:
    row = stands()
    detail = differs(row, told) if row else f"made elsewhere: {_describe(told)} at Stripe"
    if not detail:
        return

    def mend() -> str:
        with transaction.atomic(durable=True):
            keep()
        kept = stands()
        return differs(kept, told) if kept else "it is still not here"

    report.settle(kind, told.id, order=row.payment.order.number if row else _number_of(told), detail=detail, mend=mend)


def _leave(report: Report, kind: str, object_id: str, refusal: StripeRefused) -> None:
    told = refusal.stripe_code or refusal.http_status
    report.leave("not_at_stripe", object_id, order="", detail=f"Stripe does not have this {kind} ({told})")


def _refund_differs(row: Refund, told: StripeRefund) -> str:
    status = ledger.REFUND_STATES.get(told.status, Refund.Status.PENDING)
    here = (row.stripe_refund_id, row.status, row.amount, row.currency)
    if here == (told.id, status, told.amount, told.currency):
        return ""
    return f"{_describe(told)} at Stripe, {row.status}, {row.amount} {row.currency} here"


def _dispute_differs(row: Dispute, told: StripeDispute) -> str:
    if (row.status, row.amount, row.currency) == (told.status, told.amount, told.currency):
        return ""
    return f"{_describe(told)} at Stripe, {row.status}, {row.amount} {row.currency} here"


def _describe(told: Told) -> str:
    return f"{told.status}, {told.amount} {told.currency}"


@dataclass(frozen=True, slots=True)
class _Payments:
    """The names of payments that are here, by which refunds and disputes speak of them."""

    references: set[str]
    intents: set[str]
    charges: set[str]


def _payments_of(told: Sequence[Told]) -> _Payments:
    """Which of the payments that these are about are here, in one statement."""
    references = {_reference(each) for each in told} - {""}
    intents = {each.payment_intent_id for each in told} - {""}
    charges = {each.charge_id for each in told} - {""}
    rows = list(
        Payment.objects.filter(
            Q(reference__in=references) | Q(stripe_payment_intent_id__in=intents) | Q(stripe_charge_id__in=charges)
        ).values_list("reference", "stripe_payment_intent_id", "stripe_charge_id")
    )
    return _Payments({r[0] for r in rows}, {r[1] or "" for r in rows}, {r[2] or "" for r in rows})


def _is_of(told: Told, payments: _Payments) -> bool:
    """Whether it is about a payment that is here; one that is not is looked for with the sessions."""
    return (
        _reference(told) in payments.references
        or (told.payment_intent_id != "" and told.payment_intent_id in payments.intents)
        or (told.charge_id != "" and told.charge_id in payments.charges)
    )


def _reference(told: Told) -> str:
    by_intent = told.intent.reference if told.intent else ""
    return by_intent or (told.payment_reference if isinstance(told, StripeRefund) else "")


def _number_of(told: Told) -> str:
    of = Q(stripe_payment_intent_id=told.payment_intent_id or None) | Q(reference=_reference(told) or None)
    return Payment.objects.filter(of).values_list("order__number", flat=True).first() or ""
