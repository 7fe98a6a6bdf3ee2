"""Stripe's fees, nets and payouts, read from the account's balance and kept beside the payments they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, QuerySet, Subquery
from django.utils import timezone

from apps.payment import gateway
from apps.payment.gateway import BalanceMovement, Span, StripeRefused, StripeUnavailable
from apps.payment.models import BalanceEntry, CheckRun, Dispute, Payment, Refund
from apps.payment.services import check_runs

EVERY = timedelta(hours=1)
OVERLAP = timedelta(days=1)
"""What was booked may be listed a while later."""

PAYOUT = "payout"


def read_balance(since: datetime) -> int:
    """Take over what was booked since then. Running it again changes nothing. Returns how many entries were new.

    Raises StripeUnavailable, StripeRefused.
    """
    new = 0
    with gateway.unhurried():
        for movements in gateway.balance_movements(Span(since, timezone.now())):
            new += _keep(movements)
        link_entries()
        for payout_id in _payouts_to_open():
            _open_payout(payout_id)
    return new


def read_if_due() -> int:
    """Read the balance once an hour, since the last time that it was read to its end. Returns how many were new."""
    if not check_runs.is_due(CheckRun.Kind.BALANCE, every=EVERY):
        return 0
    since = _since()
    if since is None:
        return 0
    try:
        run = check_runs.begin(CheckRun.Kind.BALANCE)
    except check_runs.AlreadyRunning:
        return 0
    summary: dict[str, Any] = {"cut_off": "It failed; the log says why."}
    new = 0
    try:
        new = read_balance(since)
        summary = {"new": new}
    except StripeUnavailable:
        summary = {"cut_off": "Stripe could not be reached."}
    except StripeRefused:
        summary = {"cut_off": "Stripe does not let this key read the balance."}
    finally:
        check_runs.finish(run, ok="new" in summary, summary=summary)
    return new


def link_entries() -> int:
    """Tell which payment each entry is about, by its charge, refund or dispute. Returns how many became known."""
    charge = Payment.objects.filter(stripe_charge_id=OuterRef("source_id"))
    refund = Refund.objects.filter(stripe_refund_id=OuterRef("source_id"))
    dispute = Dispute.objects.filter(stripe_dispute_id=OuterRef("source_id"))
    return sum(_link(rows, column) for rows, column in ((charge, "pk"), (refund, "payment"), (dispute, "payment")))


def _link(rows: QuerySet[Any], column: str) -> int:
    unknown = BalanceEntry.objects.filter(Exists(rows), payment=None)
    return unknown.update(payment_id=Subquery(rows.values(column)[:1]))


def _since() -> datetime | None:
    """A day before the last whole run began, else since the first payment; nothing where there is none."""
    last = check_runs.last_good_run(CheckRun.Kind.BALANCE)
    if last is not None:
        return last.started_at - OVERLAP
    first = Payment.objects.order_by("pk").values_list("created_at", flat=True).first()
    return None if first is None else first - OVERLAP


def _keep(movements: Iterable[BalanceMovement]) -> int:
    known = set(
        BalanceEntry.objects.filter(stripe_id__in=[each.id for each in movements]).values_list("stripe_id", flat=True)
    )
    rows = [
        BalanceEntry(
            stripe_id=each.id,
            kind=each.kind[:40],
            category=each.category[:60],
            source_id=each.source_id,
            amount=each.amount,
            fee=each.fee,
            net=each.net,
            currency=each.currency,
            created=each.created,
            available_on=each.available_on,
        )
        for each in movements
        if each.id not in known
    ]
    BalanceEntry.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _payouts_to_open() -> list[str]:
    """Payouts whose parts are not known yet. A payout's own entry names it once they are."""
    rows = BalanceEntry.objects.filter(kind=PAYOUT, payment=None, payout_id="").exclude(source_id="")
    return list(rows.order_by("created").values_list("source_id", flat=True))


def _open_payout(payout_id: str) -> None:
    """Note on every entry that it is part of this payout. A manual payout has no parts that Stripe would list."""
    try:
        for ids in gateway.movements_of_payout(payout_id):
            BalanceEntry.objects.filter(stripe_id__in=ids).update(payout_id=payout_id)
    except StripeRefused:
        pass
    BalanceEntry.objects.filter(kind=PAYOUT, source_id=payout_id).update(payout_id=F("source_id"))
