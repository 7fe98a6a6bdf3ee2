"""Compare the shop with Stripe and mend what differs."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from apps.payment.gateway import StripeRefused
from apps.payment.services.check_runs import AlreadyRunning
from apps.payment.services.reconcile import Report, Step, reconcile

LEFT, USAGE = 1, 2
"""Exit codes; 0 means that nothing differs any more."""

BAR_WIDTH = 30
REDRAW_SECONDS = 0.1
STRIPE_BEGAN = datetime(2010, 1, 1, tzinfo=UTC)
AGO = re.compile(r"(\d{1,5})([hd])", re.ASCII)


class Command(BaseCommand):
    help = (
        "Compare payments, refunds, disputes and events with Stripe and mend what differs; a second run changes "
        "nothing. Exit code 0: nothing differs any more; 1: something is left, or the run was cut off; 2: wrong usage."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            type=moment,
            metavar="WHEN",
            help="How far back to look: 2026-11-01, 2026-11-01T12:00:00Z, 6h or 7d. When not given: an hour before the "
            "last run that left nothing began, or 30 days. What is open is asked about however old it is.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Report what differs; nothing is written anywhere.")
        parser.add_argument("--json", action="store_true", help="Print the report as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        bar = Bar(self.stderr.write) if sys.stderr.isatty() else None
        try:
            report = reconcile(
                since=options["since"],
                dry_run=options["dry_run"],
                show=bar.show if bar else lambda step: None,
            )
        except AlreadyRunning:
            raise CommandError("Another run goes on at this moment.", returncode=LEFT) from None
        except StripeRefused as refusal:
            # The library's own words name the right that a restricted key lacks.
            raise CommandError(f"Stripe: {refusal.__cause__ or refusal}", returncode=LEFT) from None
        finally:
            if bar:
                bar.clear()
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict()))
        else:
            self._print(report)
        if report.cut_off:
            raise CommandError(f"{report.cut_off} Run it again; it goes on from there.", returncode=LEFT)
        if report.left:
            word = "found" if report.dry_run else "left"
            raise CommandError(f"{report.left} differences are {word}.", returncode=LEFT)

    def _print(self, report: Report) -> None:
        for each in report.differences:
            name = " ".join(filter(None, (each.kind, each.object_id, each.order)))
            self.stdout.write(f"{each.outcome}: {name}: {each.detail}")
        read = ", ".join(f"{count} {what}" for what, count in report.read.items())
        self.stdout.write(f"Since {report.span.start:%Y-%m-%d %H:%M} UTC: {read or 'nothing'}.")
        if report.ok:
            mended = len(report.differences)
            self.stdout.write(f"{mended} differences mended. The shop and Stripe agree.")


class Bar:
    """One line on a terminal that says how far the run is."""

    def __init__(self, write: Callable[..., Any]) -> None:
        self.write = write
        self.drawn_at = 0.0

    def show(self, step: Step) -> None:
        now = time.monotonic()
        if now - self.drawn_at < REDRAW_SECONDS and step.share < 1:
            return
        self.drawn_at = now
        filled = int(BAR_WIDTH * step.share)
        line = f"{step.phase:<16}[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {step.count}"
        self.write(f"\r{line:<70}", style_func=str, ending="")

    def clear(self) -> None:
        self.write(f"\r{'':<70}\r", style_func=str, ending="")


def moment(text: str) -> datetime:
    """A date or a time (UTC where it does not say), or how long ago: 6h, 7d."""
    ago = AGO.fullmatch(text)
    if ago:
        return _plausible(timezone.now() - timedelta(**{"hours" if ago[2] == "h" else "days": int(ago[1])}), text)
    try:
        day = parse_date(text)
        found = datetime(day.year, day.month, day.day) if day else parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no date, no time and no 6h or 7d")
    return _plausible(found if found.tzinfo else found.replace(tzinfo=UTC), text)


def _plausible(found: datetime, text: str) -> datetime:
    if found > timezone.now():
        raise argparse.ArgumentTypeError(f"{text} is in the future")
    if found < STRIPE_BEGAN:
        raise argparse.ArgumentTypeError(f"{text} is before there was Stripe")
    return found
