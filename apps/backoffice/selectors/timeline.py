"""An order's story from all the shop's books on one page, oldest first. A fixed number of statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.selectors import entries_of
from apps.common.money import Money
from apps.enrollment.models import EnrollmentLog
from apps.inventory.models import StockHold, StockMovement
from apps.invoices.models import Document
from apps.notifications.models import Mail
from apps.orders.models import Order, OrderTransition
from apps.payment.models import AttentionCase, Dispute, Payment, PaymentLog, Refund, StripeWebhookEvent
from apps.payment.services.applying import WITHDRAWN

MOST = 300
"""Of each kind; an order with more has been stormed, and its newest rows tell how it ended."""

Kind = Mail.Kind
MAILS_OF_ORDER = (Kind.ORDER_CONFIRMATION, Kind.ORDER_SHIPPED, Kind.PAYMENT_ON_ITS_WAY, Kind.PAYMENT_FAILED)
MAILS_OF_REFUND = (Kind.REFUND_REQUESTED, Kind.REFUND_REJECTED, Kind.REFUND_SUCCEEDED, Kind.REFUND_FAILED)


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened: which book tells it, what, and the page that says more."""

    at: datetime
    book: str
    title: str
    detail: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """The order and what hangs on it, read once."""

    order: Order
    payments: list[Payment]
    refunds: list[Refund]
    disputes: list[Dispute]
    cases: list[AttentionCase]
    documents: list[Document]


def timeline(order: Order, user: User) -> list[Moment]:
    """Everything that happened to an order, as far as this person may read the books it stands in."""
    payments = list(Payment.objects.filter(order=order).order_by("pk")[:MOST])
    rows = Rows(
        order,
        payments,
        list(Refund.objects.filter(payment__in=payments).select_related("requested_by", "decided_by")[:MOST]),
        list(Dispute.objects.filter(payment__in=payments)[:MOST]),
        list(AttentionCase.objects.filter(payment__in=payments).select_related("solved_by")[:MOST]),
        list(Document.objects.filter(order=order).select_related("refund")[:MOST]),
    )
    found = [moment for right, tell in BOOKS if user.has_perm(right) for moment in tell(rows)]
    return sorted(found, key=lambda moment: moment.at)


def _order(rows: Rows) -> Iterator[Moment]:
    yield Moment(rows.order.created_at, "order", "Order placed")
    for step in OrderTransition.objects.filter(order=rows.order).order_by("-seq")[:MOST]:
        if step.seq > 1:
            yield Moment(step.at, "order", _changed(step), step.reason)


def _changed(step: OrderTransition) -> str:
    """Which of the two states changed, and into what."""
    changes = []
    if step.from_status != step.to_status:
        changes.append(f"order {step.to_status}")
    if step.from_payment_status != step.to_payment_status:
        changes.append(f"payment {step.to_payment_status}")
    return ", ".join(changes).replace("_", " ").capitalize()


def _payments(rows: Rows) -> Iterator[Moment]:
    attempts = {payment.pk: payment for payment in rows.payments}
    for payment in rows.payments:
        title = f"Attempt {payment.attempt} to collect {payment.money}"
        yield Moment(payment.created_at, "payment", title, payment.get_channel_display(), _page(payment))
    for line in PaymentLog.objects.filter(payment__in=rows.payments).order_by("-pk")[:MOST]:
        title = f"Attempt {attempts[line.payment_id].attempt}: {line.kind.replace('_', ' ')}"
        yield Moment(line.at, "payment", title, line.detail, _page(attempts[line.payment_id]))


def _refunds(rows: Rows) -> Iterator[Moment]:
    for refund in rows.refunds:
        by = f", {refund.requested_by}" if refund.requested_by else ""
        began = f"{refund.get_source_display()}{by}: {refund.reason.replace('_', ' ')}. {refund.description}".strip()
        yield Moment(refund.created_at, "refund", f"Refund of {refund.money} begun", began, _page(refund))
        if refund.decided_at:
            title = f"Refund of {refund.money} {_decided(refund)}"
            said = f"{refund.decided_by or ''}: {refund.decision_note}".strip(": ")
            yield Moment(refund.decided_at, "refund", title, said, _page(refund))
        if refund.succeeded_at:
            yield Moment(refund.succeeded_at, "refund", f"Refund of {refund.money} went out", "", _page(refund))


def _decided(refund: Refund) -> str:
    if refund.failure_code == WITHDRAWN:
        return "withdrawn before Stripe was asked"
    return "rejected" if refund.status == Refund.Status.REJECTED else "approved"


def _disputes(rows: Rows) -> Iterator[Moment]:
    for dispute in rows.disputes:
        title = f"Dispute over {dispute.money} opened"
        yield Moment(dispute.created_at, "dispute", title, dispute.reason.replace("_", " "), _page(dispute))
        if dispute.closed_at:
            title = f"Dispute over {dispute.money} closed: {dispute.get_status_display()}"
            yield Moment(dispute.closed_at, "dispute", title, "", _page(dispute))


def _cases(rows: Rows) -> Iterator[Moment]:
    for case in rows.cases:
        name = case.kind.replace("_", " ")
        yield Moment(case.opened_at, "case", f"Case opened: {name}", case.detail, _page(case))
        if case.solved_at:
            by = f"{case.solved_by}: " if case.solved_by else ""
            yield Moment(case.solved_at, "case", f"Case solved: {name}", f"{by}{case.note}", _page(case))


def _events(rows: Rows) -> Iterator[Moment]:
    """What Stripe told of the order's session, intent, charge, refunds and disputes."""
    ids = {
        value
        for payment in rows.payments
        for value in (payment.stripe_session_id, payment.stripe_payment_intent_id, payment.stripe_charge_id)
    }
    ids |= {refund.stripe_refund_id for refund in rows.refunds}
    ids |= {dispute.stripe_dispute_id for dispute in rows.disputes}
    found = StripeWebhookEvent.objects.filter(object_id__in=[each for each in ids if each]).order_by("-pk")
    for event in found.only("type", "state", "reason", "received_at", "stripe_id")[:MOST]:
        told = f"{event.get_state_display()}{f': {event.reason}' if event.reason else ''}"
        yield Moment(event.received_at, "event", f"Stripe told: {event.type}", told, _page(event))


def mails_of(order: Order) -> QuerySet[Mail]:
    """Every e-mail about an order and its refunds, to whomever. One statement for the refunds, none for itself."""
    refunds = Refund.objects.filter(payment__order=order).values_list("pk", flat=True)[:MOST]
    return _mails_about(order, refunds)


def _mails_about(order: Order, refunds: Iterable[int]) -> QuerySet[Mail]:
    keys = [str(order.pk), *(f"{order.pk}/{number}" for number in range(1, order.transitions + 1))]
    about = Q(kind__in=MAILS_OF_ORDER, key__in=keys)
    return Mail.objects.filter(about | Q(kind__in=MAILS_OF_REFUND, key__in=[str(pk) for pk in refunds]))


def _mails(rows: Rows) -> Iterator[Moment]:
    for mail in _mails_about(rows.order, (refund.pk for refund in rows.refunds)).order_by("-pk")[:MOST]:
        told = f"to {mail.recipient}, {mail.get_state_display()}"
        yield Moment(mail.sent_at or mail.created_at, "mail", f"E-mail: {mail.get_kind_display()}", told, _page(mail))


def _documents(rows: Rows) -> Iterator[Moment]:
    for document in rows.documents:
        title = f"{document.get_kind_display().capitalize()} {document.number} issued"
        yield Moment(document.issued_at, "document", title, str(document.money), _page(document))


def _stock(rows: Rows) -> Iterator[Moment]:
    holds = StockHold.objects.filter(order_id=rows.order.pk).select_related("variant__product")
    for hold in holds.order_by("-pk")[:MOST]:
        yield Moment(hold.created_at, "stock", f"{hold.quantity} of {hold.variant} held", "", _page(hold))
        if hold.ended_at and hold.state == StockHold.State.RELEASED:
            yield Moment(hold.ended_at, "stock", f"{hold.quantity} of {hold.variant} free again", "", _page(hold))
    moves = StockMovement.objects.filter(order_id=rows.order.pk).select_related("variant__product")
    for move in moves.order_by("-pk")[:MOST]:
        title = f"{move.quantity:+d} of {move.variant}: {move.get_kind_display()}"
        yield Moment(move.created_at, "stock", title, move.reason, _page(move))


def _enrollments(rows: Rows) -> Iterator[Moment]:
    steps = EnrollmentLog.objects.filter(order=rows.order).select_related("enrollment__track")
    for step in steps.order_by("-pk")[:MOST]:
        title = f"Enrollment in {step.enrollment.track}: {step.to_status.replace('_', ' ')}"
        yield Moment(step.at, "enrollment", title, step.get_reason_display(), _page(step.enrollment))


def _staff(rows: Rows) -> Iterator[Moment]:
    things: list[Model] = [rows.order, *rows.payments, *rows.refunds, *rows.disputes, *rows.cases]
    for entry in entries_of(things).order_by("-pk")[:MOST]:
        thing = entry.object_type.partition(".")[2]
        title = f"{entry.actor_name or 'Somebody'}: {entry.action.replace('_', ' ')} {thing} {entry.object_name}"
        said = " ".join(filter(None, (entry.detail, _values(entry.before, entry.after))))
        reason = entry.reason if entry.reason not in said else ""
        yield Moment(entry.at, "staff", title, " ".join(filter(None, (said, reason))))


def _values(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Plain values that changed: `status confirmed → shipped`."""
    names = [name for name in {**before, **after} if name not in ("transitions", "capture_key", "decision_key")]
    simple = [
        n for n in names if not isinstance(after.get(n), dict | list) and not isinstance(before.get(n), dict | list)
    ]
    told = [f"{name.replace('_', ' ')} {before.get(name, '') or '–'} → {after.get(name, '') or '–'}" for name in simple]
    return f"({'; '.join(told[:6])})" if told else ""


def _page(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


BOOKS: list[tuple[str, Callable[[Rows], Iterator[Moment]]]] = [
    ("orders.view_order", _order),
    ("orders.view_order", _staff),
    ("payment.view_payment", _payments),
    ("payment.view_refund", _refunds),
    ("payment.view_dispute", _disputes),
    ("payment.view_attentioncase", _cases),
    ("payment.view_stripewebhookevent", _events),
    ("notifications.view_mail", _mails),
    ("invoices.view_document", _documents),
    ("inventory.view_stockmovement", _stock),
    ("enrollment.view_enrollment", _enrollments),
]
"""Which right opens which book."""


def totals_of(order: Order) -> dict[str, Money]:
    """What the head of the page says of the money. One statement."""
    applied = Payment.objects.filter(order=order, applied=True).first()
    zero = Money(0, order.currency)
    return {
        "total": Money(order.total, order.currency),
        "paid": Money(applied.amount_captured, applied.currency) if applied else zero,
        "refunded": Money(applied.amount_refunded, applied.currency) if applied else zero,
        "lost": Money(applied.amount_lost, applied.currency) if applied else zero,
    }
