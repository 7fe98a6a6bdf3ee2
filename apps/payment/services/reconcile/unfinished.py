"""What the shop means to do at Stripe and is not known to be done: finished with the jobs that `work` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from apps.orders.models import Order
from apps.payment.models import Dispute, Payment, PaymentMethod, Refund
from apps.payment.services.capturing import finish_captures
from apps.payment.services.carrying_out import finish_refunds
from apps.payment.services.disputes import finish_decisions
from apps.payment.services.expiry import expire_due_orders
from apps.payment.services.methods import finish_removals
from apps.payment.services.provider import finish_unanswered, left_open
from apps.payment.services.reconcile.report import Report, Step

IN_HAND = timedelta(minutes=2)
"""What is younger is in the hands of the request that began it, or of `work`."""

LATE = timedelta(minutes=10)
"""What is older did not reach Stripe for a reason that somebody should look for."""

ROUNDS = 1000
S = Payment.Status


@dataclass(frozen=True, slots=True)
class Intention:
    """Rows that wait for Stripe, and the job that goes on with them.

    `at_once` are the columns that put a row off; they are emptied, so that the job takes it now. `number` is where
    the order's number is.
    """

    what: str
    rows: Callable[[datetime], QuerySet[Any]]
    finish: Callable[[], int]
    number: str
    at_once: Mapping[str, None] = field(default_factory=dict)


def _unanswered(before: datetime) -> QuerySet[Payment]:
    unopened = Q(channel=Payment.Channel.SESSION, stripe_session_id=None) | Q(
        channel=Payment.Channel.INTENT, stripe_payment_intent_id=None
    )
    return Payment.objects.filter(unopened, status=S.PENDING, created_at__lt=before)


def _unclosed(before: datetime) -> QuerySet[Payment]:
    waiting = Payment.objects.filter(status__in=(S.PENDING, S.REQUIRES_ACTION), created_at__lt=before)
    return waiting.filter(Q(closing=True) | Q(order__payment_status__in=Order.PAID))


def _left_open(before: datetime) -> QuerySet[Payment]:
    return left_open().filter(created_at__lt=before, stripe_payment_intent_id__isnull=False)


def _unpaid(before: datetime) -> QuerySet[Order]:
    return Order.objects.filter(
        expires_at__lt=before, status=Order.Status.PENDING, payment_status=Order.PaymentStatus.PENDING
    )


def refund_begun(before: datetime) -> Q:
    """That a refund was to go back before that time, and Stripe is not known to have heard of it."""
    decided = Q(decided_at=None) | Q(decided_at__lt=before)
    return decided & Q(status=Refund.Status.PENDING, stripe_refund_id=None, created_at__lt=before)


def _refunds(before: datetime) -> QuerySet[Refund]:
    return Refund.objects.filter(refund_begun(before))


def _captures(before: datetime) -> QuerySet[Payment]:
    return Payment.objects.exclude(capture_decision="").filter(status=S.PROCESSING, capture_decided_at__lt=before)


def _answers(before: datetime) -> QuerySet[Dispute]:
    return Dispute.objects.exclude(decision="").filter(decision_done_at=None, decided_at__lt=before)


def _removals(before: datetime) -> QuerySet[PaymentMethod]:
    return PaymentMethod.objects.filter(state=PaymentMethod.State.REMOVING, created_at__lt=before)


INTENTIONS = (
    Intention("an attempt has no answer", _unanswered, finish_unanswered, "order__number"),
    Intention("an attempt was to be closed", _unclosed, finish_unanswered, "order__number"),
    Intention("an intent was to be cancelled", _left_open, finish_unanswered, "order__number"),
    Intention("an order's time is over", _unpaid, expire_due_orders, "number"),
    Intention(
        "a refund was not carried out", _refunds, finish_refunds, "payment__order__number", {"next_try_at": None}
    ),
    Intention(
        "an amount was not captured or released", _captures, finish_captures, "order__number", {"capture_due_at": None}
    ),
    Intention(
        "a dispute was not answered", _answers, finish_decisions, "payment__order__number", {"decision_due_at": None}
    ),
    Intention("a method was not removed", _removals, finish_removals, ""),
)


KINDS: Mapping[str, Callable[[datetime], QuerySet[Any]]] = {
    "attempt": _unanswered,
    "refund": _refunds,
    "capture": _captures,
    "dispute_answer": _answers,
    "method_removal": _removals,
}
"""What Stripe has not heard of, or has not answered, by a word for it: the rows begun before a time. Each is answered
by an index of its own, or by one of few rows.
"""


def finish_intentions(report: Report) -> Iterator[Step]:
    """Have everything finished that was begun over two minutes ago."""
    before = timezone.now() - IN_HAND
    for number, intention in enumerate(INTENTIONS):
        rows = {row.pk: row for row in intention.rows(before)}
        if rows and not report.dry_run:
            _finish(intention, before)
        undone = set(intention.rows(before).filter(pk__in=rows).values_list("pk", flat=True)) if rows else set()
        for pk, row in rows.items():
            still = "it still waits" if pk in undone else ""
            report.settle(
                "unfinished",
                _object_id(row),
                order=_number(row, intention.number),
                detail=intention.what,
                mend=lambda still=still: still,  # type: ignore[misc]
                about=_object_id(row),
            )
        yield Step("unfinished", (number + 1) / len(INTENTIONS), len(rows))


def _finish(intention: Intention, before: datetime) -> None:
    if intention.at_once:
        intention.rows(before).update(**intention.at_once)
    for _ in range(ROUNDS):
        if not intention.finish():
            return


def _object_id(row: Model) -> str:
    for name in ("stripe_dispute_id", "stripe_payment_method_id", "reference", "number"):
        found = getattr(row, name, None)
        if found:
            return str(found)
    return str(row.pk)


def _number(row: Model, path: str) -> str:
    found: Any = row
    for name in filter(None, path.split("__")):
        found = getattr(found, name)
    return found if isinstance(found, str) else ""
