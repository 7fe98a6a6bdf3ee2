"""`verify` as the shop runs it by itself, with its result kept for staff and metrics."""

from __future__ import annotations

from datetime import timedelta

from apps.payment.invariants import Verification, look
from apps.payment.models import CheckRun
from apps.payment.services import check_runs

AT_MOST_EVERY = timedelta(hours=1)
SHARE = 100
"""A look that took a minute is taken again after a hundred."""


def verify_and_keep() -> Verification:
    """Ask about every invariant and keep what was found. Raises AlreadyRunning."""
    run = check_runs.begin(CheckRun.Kind.VERIFY)
    try:
        found = look()
    except BaseException as error:
        check_runs.finish(run, ok=False, summary={"cut_off": f"It failed: {type(error).__name__}."})
        raise
    check_runs.finish(run, ok=found.ok, summary=found.as_dict())
    return found


def verify_if_due() -> int:
    """A look an hour, and fewer where looks are long. Returns how many invariants do not hold."""
    last = check_runs.last_run(CheckRun.Kind.VERIFY)
    seconds = float(last.summary.get("seconds", 0)) if last else 0.0
    if not check_runs.is_due(CheckRun.Kind.VERIFY, every=max(AT_MOST_EVERY, timedelta(seconds=SHARE * seconds))):
        return 0
    try:
        return len(verify_and_keep().broken)
    except check_runs.AlreadyRunning:
        return 0
