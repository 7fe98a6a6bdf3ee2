"""The runs of `verify` and `reconcile`: one of a kind at a time, the last result at hand for staff and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, Subquery
from django.utils import timezone

from apps.payment.models import CheckRun

SILENT_FOR = timedelta(minutes=5)
"""A run that has not shown itself for so long was cut off."""

KEPT_FOR = timedelta(days=90)


class AlreadyRunning(Exception):
    """Another process is in the middle of the same check."""


def last_run(kind: str) -> CheckRun | None:
    """The newest run that came to an end, well or not."""
    return CheckRun.objects.filter(kind=kind, finished_at__isnull=False).order_by("-started_at").first()


def last_runs(kinds: Iterable[str]) -> dict[str, CheckRun]:
    """The newest run of each of these kinds that came to an end. One statement, whatever their number."""
    ended = CheckRun.objects.filter(finished_at__isnull=False).order_by("-started_at")
    newest = Q(pk__in=[])
    for kind in kinds:
        newest |= Q(pk=Subquery(ended.filter(kind=kind).values("pk")[:1]))
    return {run.kind: run for run in CheckRun.objects.filter(newest)}


def last_good_run(kind: str) -> CheckRun | None:
    """The newest run that came to its end and left nothing to do."""
    return CheckRun.objects.filter(kind=kind, ok=True).order_by("-started_at").first()


def is_due(kind: str, *, every: timedelta) -> bool:
    """Whether the last run of a kind began that long ago, and none goes on."""
    last = CheckRun.objects.filter(kind=kind).order_by("-started_at").first()
    if last is None:
        return True
    now = timezone.now()
    running = last.finished_at is None and last.alive_at > now - SILENT_FOR
    return not running and last.started_at <= now - every


def begin(kind: str) -> CheckRun:
    """Start a run and close one that was cut off. Raises AlreadyRunning."""
    now = timezone.now()
    open_runs = CheckRun.objects.filter(kind=kind, finished_at=None)
    open_runs.filter(alive_at__lt=now - SILENT_FOR).update(finished_at=now, ok=False, summary={"cut_off": True})
    try:
        with transaction.atomic():
            return CheckRun.objects.create(kind=kind, started_at=now, alive_at=now)
    except IntegrityError:
        raise AlreadyRunning(kind) from None


def show_alive(run: CheckRun) -> None:
    """Tell that a run goes on; at most one statement in ten seconds."""
    now = timezone.now()
    if now - run.alive_at > timedelta(seconds=10):
        run.alive_at = now
        CheckRun.objects.filter(pk=run.pk, finished_at=None).update(alive_at=now)


def finish(run: CheckRun, *, ok: bool, summary: Mapping[str, Any]) -> None:
    """Keep what a run found, and forget runs of long ago."""
    now = timezone.now()
    CheckRun.objects.filter(pk=run.pk).update(finished_at=now, ok=ok, summary=dict(summary))
    old = CheckRun.objects.filter(kind=run.kind, started_at__lt=now - KEPT_FOR)
    newest = last_good_run(run.kind)
    old.exclude(pk=newest.pk if newest else run.pk).delete()
