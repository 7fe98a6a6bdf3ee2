"""A run from beginning to end, and when one is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from apps.common import stopping
from apps.payment import gateway
from apps.payment.gateway import Span, StripeUnavailable
from apps.payment.models import CheckRun
from apps.payment.services import check_runs
from apps.payment.services.reconcile import attempts, events, lost, money_back, unfinished
from apps.payment.services.reconcile.report import Report, Step

EVERY = timedelta(hours=1)
AT_FIRST = timedelta(days=30)
"""How far back a run looks when none has come to a good end yet: as far as Stripe lists events."""

OVERLAP = timedelta(hours=1)

Show = Callable[[Step], None]


class Stopped(Exception):
    """The process was asked to end."""


def default_since() -> datetime:
    """From when on a run has to look: since an hour before the last one that left nothing to do began.

    That run is as old as the database that remembers it, so a restored backup is looked at from before it was made.
    """
    good = CheckRun.objects.filter(kind=CheckRun.Kind.RECONCILE, ok=True, summary__whole=True)
    last = good.order_by("-started_at").values_list("started_at", flat=True).first()
    return last - OVERLAP if last else timezone.now() - AT_FIRST


def reconcile(*, since: datetime | None = None, dry_run: bool = False, show: Show = lambda step: None) -> Report:
    """Compare with Stripe what was created or changed `since` then, and mend what differs.

    Whatever is open here is asked about, however old it is. A dry run writes nothing at all. The report of a run that
    Stripe or a signal cut off says so; the next one looks at the same time again. Raises AlreadyRunning.
    """
    needed = default_since()
    report = Report(Span(since or needed, timezone.now()), dry_run)
    run = None if dry_run else check_runs.begin(CheckRun.Kind.RECONCILE)
    try:
        with gateway.unhurried():
            for step in _steps(report):
                if stopping.asked():
                    raise Stopped
                if run is not None:
                    check_runs.show_alive(run)
                show(step)
        report.cut_off = ""
    except StripeUnavailable:
        report.cut_off = "Stripe could not be reached."
    except Stopped:
        report.cut_off = "The process was asked to end."
    except BaseException as error:
        report.cut_off = f"It failed: {type(error).__name__}."
        raise
    finally:
        if run is not None:
            summary: dict[str, Any] = {**report.summary(), "whole": report.span.start <= needed}
            check_runs.finish(run, ok=report.ok, summary=summary)
    return report


def reconcile_if_due() -> int:
    """A run an hour, whichever process comes first. Returns how many differences it found."""
    if not check_runs.is_due(CheckRun.Kind.RECONCILE, every=EVERY):
        return 0
    try:
        return len(reconcile().differences)
    except check_runs.AlreadyRunning:
        return 0


def _steps(report: Report) -> Iterator[Step]:
    """The phases in their order: a lost attempt is known again before anything can end its order."""
    found = attempts.Findings()
    yield from attempts.read_sessions(report, found)
    yield from attempts.read_intents(report, found)
    yield from _each("lost", sorted(found.lost.values(), key=_created), lambda told: lost.settle_lost(report, told))
    yield from _each(
        "payments", sorted(found.suspects, key=_created), lambda told: attempts.settle_suspect(report, told)
    )
    yield from attempts.look_for_unlisted(report, found)
    yield from unfinished.finish_intentions(report)
    back = money_back.MoneyBack()
    yield from money_back.read_refunds(report, back)
    yield from money_back.read_disputes(report, back)
    money_back.add_unlisted(report, back)
    yield from _each("refunds differ", back.refunds, lambda key: money_back.settle_refund(report, key))
    yield from _each("disputes differ", back.disputes, lambda key: money_back.settle_dispute(report, key))
    missing: list[events.Event] = []
    yield from events.read_events(report, missing)
    missing.sort(key=lambda event: int(event["created"]))
    yield from _each("events missing", missing, lambda event: events.settle_event(report, event))


def _each(phase: str, items: list[Any], act: Callable[[Any], None]) -> Iterator[Step]:
    for number, item in enumerate(items, start=1):
        act(item)
        yield Step(phase, number / len(items), number)


def _created(told: attempts.Told) -> datetime:
    return told.created
