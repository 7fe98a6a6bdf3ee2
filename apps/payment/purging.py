"""What payments have of orders whose time is over, and what Stripe told that is about no payment here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from apps.audit.keeping import entries_about, touched_since
from apps.orders.purging import YOUNG, Ids, Rows, Share, got
from apps.payment.models import (
    AttentionCase,
    BalanceEntry,
    Dispute,
    Payment,
    PaymentLog,
    Refund,
    RefundItem,
    StripeWebhookEvent,
)

State = StripeWebhookEvent.State
SETTLED = (State.DONE, State.IGNORED)

NAMES = ("reference", "stripe_session_id", "stripe_payment_intent_id", "stripe_charge_id")
"""What a payment is called in events."""

HANGING = (Refund, Dispute, AttentionCase)


def _stays(ids: Ids, before: datetime) -> Mapping[str, Iterable[int]]:
    payments = Payment.objects.filter(order__in=ids)
    refunds = Refund.objects.filter(payment__order__in=ids)
    disputes = Dispute.objects.filter(payment__order__in=ids)
    cases = AttentionCase.objects.filter(payment__order__in=ids)
    left_open = Q(closing=True, channel=Payment.Channel.INTENT) & ~Q(intent_status__in=("canceled", "succeeded"))
    undecided = Q(status__in=(Refund.Status.REQUESTED, Refund.Status.PENDING))
    unanswered = ~Q(decision="") & Q(decision_done_at=None)
    return {
        "a payment is open": _orders(payments.filter(Q(status__in=Payment.OPEN) | left_open), "order"),
        "a refund is asked for or on its way": _orders(refunds.filter(undecided)),
        "a dispute is open": _orders(disputes.filter(~Q(status__in=Dispute.OVER) | unanswered)),
        "a case is open": _orders(cases.filter(solved_at=None)),
        "an event about it is not applied": _untold(payments),
        YOUNG: _young(ids, before),
    }


def _young(ids: Ids, before: datetime) -> set[int]:
    """Orders of which something happened since then."""

    def since(*columns: str) -> Q:
        found = Q()
        for column in columns:
            found |= Q(**{f"{column}__gte": before})
        return found

    rows: tuple[tuple[Any, Q], ...] = (
        (PaymentLog, since("at")),
        (Refund, since("created_at", "decided_at", "succeeded_at", "told_at")),
        (Dispute, since("created_at", "closed_at", "told_at", "decided_at")),
        (AttentionCase, since("opened_at", "taken_at", "solved_at")),
        (BalanceEntry, since("created", "available_on")),
    )
    found = set(_orders(Payment.objects.filter(since("created_at", "paid_at"), order__in=ids), "order"))
    for model, recent in rows:
        found |= set(_orders(model.objects.filter(recent, payment__order__in=ids)))
    for model in (Payment, *HANGING):
        path = "order" if model is Payment else "payment__order"
        of_orders = dict(model.objects.filter(**{f"{path}__in": ids}).values_list("pk", path))
        touched = touched_since(before, model._meta.label_lower, of_orders)
        found |= {of_orders[pk] for pk in touched}
    return found


def _untold(payments: QuerySet[Payment]) -> set[int]:
    """Orders about which Stripe told something that waits, or was given up."""
    orders = dict(_names(payments))
    told = _about(orders).filter(state__in=(*StripeWebhookEvent.WAITING, State.DEAD))
    return {orders[name] for names in told.values_list("about", "object_id") for name in names if name in orders}


def _rows(ids: Ids, before: datetime) -> Rows:
    payments = Payment.objects.filter(order__in=ids)
    names = {name for name, _ in _names(payments)}
    logged = PaymentLog.objects.filter(payment__in=payments).exclude(event_id="").values_list("event_id", flat=True)
    named = _about(names).values_list("stripe_id", flat=True)
    events = StripeWebhookEvent.objects.filter(stripe_id__in={*logged, *named})
    # One that came since is not applied: it stays, and is given up with its reason before staff's eyes.
    yield "events", events.filter(state__in=SETTLED, received_at__lt=before)
    yield "audit entries", entries_about(_objects(payments))
    yield "balance entries", BalanceEntry.objects.filter(payment__in=payments)
    yield "cases", AttentionCase.objects.filter(payment__in=payments)
    yield "lines of refunds", RefundItem.objects.filter(refund__payment__in=payments)
    yield "refunds", Refund.objects.filter(payment__in=payments)
    yield "disputes", Dispute.objects.filter(payment__in=payments)
    yield "steps of payments", PaymentLog.objects.filter(payment__in=payments)
    yield "payments", payments


def _lock(ids: Ids) -> Ids:
    return got(Payment.objects.filter(order__in=ids), "order", ids)


def _aged(before: datetime) -> Rows:
    known = Q()
    for name in ("about", "object_id"):
        for column in NAMES:
            known |= Q(Exists(Payment.objects.filter(**{column: OuterRef(name)})))
    told = StripeWebhookEvent.objects.filter(state__in=SETTLED, received_at__lt=before)
    yield "events", told.exclude(known).exclude(_logged())
    yield "balance entries", BalanceEntry.objects.filter(payment=None, created__lt=before).exclude(_in_open_payout())


def _logged() -> Exists:
    """A payment that is here has a step which the event brought about."""
    return Exists(PaymentLog.objects.filter(event_id=OuterRef("stripe_id")))


def _in_open_payout() -> Q:
    """A payout whose parts are not known yet."""
    return Q(kind="payout", payout_id="")


def _names(payments: QuerySet[Payment]) -> Iterator[tuple[str, int]]:
    """What Stripe calls payments, their refunds and disputes, and the order of each."""
    for order_id, *names in payments.values_list("order", *NAMES):
        yield from ((name, order_id) for name in names if name)
    refunds = Refund.objects.filter(payment__in=payments).exclude(stripe_refund_id=None)
    yield from refunds.values_list("stripe_refund_id", F("payment__order"))
    yield from Dispute.objects.filter(payment__in=payments).values_list("stripe_dispute_id", F("payment__order"))


def _about(names: Iterable[str]) -> QuerySet[StripeWebhookEvent]:
    wanted = list(names)
    return StripeWebhookEvent.objects.filter(Q(about__in=wanted) | Q(object_id__in=wanted))


def _objects(payments: QuerySet[Payment]) -> Iterator[tuple[str, int]]:
    yield from ((Payment._meta.label_lower, pk) for pk in payments.values_list("pk", flat=True))
    for model in HANGING:
        rows: Any = model._default_manager.filter(payment__in=payments)
        yield from ((model._meta.label_lower, pk) for pk in rows.values_list("pk", flat=True))


def _orders(rows: Any, column: str = "payment__order") -> Iterable[int]:
    found: Iterable[int] = rows.values_list(column, flat=True)
    return found


SHARE = Share("payments", stays=_stays, rows=_rows, lock=_lock, aged=_aged)
