"""A run from beginning to end, and when one is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from django.utils import timezone

from apps.common import stopping
from apps.payment import gateway
from apps.payment.gateway import Span, StripeUnavailable
from apps.payment.models import CheckRun, Payment
from apps.payment.services import check_runs
from apps.payment.services.reconcile import attempts, events, lost, money_back, unfinished
from apps.payment.services.reconcile.report import LEFT, LEFT_KEPT, Report, Step

EVERY = timedelta(hours=1)
LONGEST = timedelta(minutes=8)
"""How long the hourly run may take: a worker's task is ended after ten minutes."""

AT_FIRST = timedelta(days=30)
"""How far back the first run looks at most: as far as Stripe lists events."""

OVERLAP = timedelta(hours=1)

Show = Callable[[Step], None]
Item = TypeVar("Item")


class CutOff(Exception):
    """The run ends before its end."""


def default_since() -> datetime:
    """From when on a run has to look: since an hour before the last one that came to its end began.

    That run is as old as the database that remembers it, so a restored backup is looked at from before it was made.
    The first run looks at thirty days, and not at the time before the shop's first payment.
    """
    last = _last_whole_run()
    if last is not None:
        return last.started_at - OVERLAP
    now = timezone.now()
    first = Payment.objects.order_by("pk").values_list("created_at", flat=True).first() or now
    return max(now - AT_FIRST, first - OVERLAP)


def reconcile(
    *,
    since: datetime | None = None,
    dry_run: bool = False,
    show: Show = lambda step: None,
    within: timedelta | None = None,
) -> Report:
    """Compare with Stripe what was created or changed `since` then, and mend what differs.

    What is open here, and what the last run left, is asked about however old it is. A dry run writes nothing at all.
    The report of a run that was cut off, by Stripe, a signal or because it did not end `within` a time, says so; the
    next one looks at the same time again. Raises AlreadyRunning, StripeRefused.
    """
    needed, again = default_since(), _left_by(_last_whole_run())
    report = Report(Span(since or needed, timezone.now()), dry_run)
    run = None if dry_run else check_runs.begin(CheckRun.Kind.RECONCILE)
    try:
        with gateway.unhurried():
            for step in _steps(report, again):
                _stop_if_asked(report, within)
                if run is not None:
                    check_runs.show_alive(run)
                show(step)
        report.cut_off = ""
    except StripeUnavailable:
        report.cut_off = "Stripe could not be reached."
    except CutOff as reason:
        report.cut_off = str(reason)
    except BaseException as error:
        report.cut_off = f"It failed: {type(error).__name__}."
        raise
    finally:
        if run is not None:
            whole = not report.cut_off and report.span.start <= needed and report.left <= LEFT_KEPT
            check_runs.finish(run, ok=report.ok, summary={**report.summary(), "whole": whole})
    return report


def _stop_if_asked(report: Report, within: timedelta | None) -> None:
    if stopping.asked():
        raise CutOff("The process was asked to end.")
    if within is not None and timezone.now() - report.span.end > within:
        raise CutOff("There is more than an hourly run can read; `manage.py reconcile` reads it all.")


def _last_whole_run() -> CheckRun | None:
    """The newest run that read all that it had to, whatever it found."""
    return CheckRun.objects.filter(kind=CheckRun.Kind.RECONCILE, summary__whole=True).order_by("-started_at").first()


def _left_by(run: CheckRun | None) -> list[tuple[str, str]]:
    """Kind and Stripe's id of what a run could not mend."""
    found = run.summary["differences"] if run else []
    return [(each["kind"], each["object_id"]) for each in found if each["outcome"] == LEFT]


def reconcile_if_due() -> int:
    """A run an hour, whichever process comes first. Returns how many differences it found."""
    if not check_runs.is_due(CheckRun.Kind.RECONCILE, every=EVERY):
        return 0
    try:
        return len(reconcile(within=LONGEST).differences)
    except check_runs.AlreadyRunning:
        return 0


def _steps(report: Report, again: list[tuple[str, str]]) -> Iterator[Step]:
    """The phases in their order: a lost attempt is known again before anything can end its order."""
    found, back = attempts.Findings(), money_back.MoneyBack()
    attempts.look_again(again, found)
    back.look_again(again)
    yield from attempts.read_sessions(report, found)
    yield from attempts.read_intents(report, found)
    yield from _each("lost", sorted(found.lost.values(), key=_created), lambda told: lost.settle_lost(report, told))
    yield from _each(
        "payments", sorted(found.suspects, key=_created), lambda told: attempts.settle_suspect(report, told)
    )
    yield from attempts.look_for_unlisted(report, found)
    yield from unfinished.finish_intentions(report)
    yield from money_back.read_refunds(report, back)
    yield from money_back.read_disputes(report, back)
    money_back.add_unlisted(report, back)
    yield from _each("refunds differ", list(back.refunds), lambda key: money_back.settle_refund(report, key))
    yield from _each("disputes differ", list(back.disputes), lambda key: money_back.settle_dispute(report, key))
    missing: list[events.Event] = []
    yield from events.read_events(report, missing)
    missing.sort(key=lambda event: int(event["created"]))
    yield from _each("events missing", missing, lambda event: events.settle_event(report, event))


def _each(phase: str, items: list[Item], act: Callable[[Item], None]) -> Iterator[Step]:
    for number, item in enumerate(items, start=1):
        act(item)
        yield Step(phase, number / len(items), number)


def _created(told: attempts.Told) -> datetime:
    return told.created
