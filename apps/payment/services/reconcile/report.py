"""What a run found, and what became of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from apps.common.errors import DATABASE_AWAY, DomainError
from apps.payment.gateway import Page, Span, StripeUnavailable

logger = logging.getLogger(__name__)

MENDED, LEFT, FOUND = "mended", "left", "found"

MENDED_KEPT, LEFT_KEPT = 100, 500
"""How many differences the summary of a run names; they are counted in full."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the shop and Stripe did not agree.

    `object_id` is Stripe's where it has one. `outcome`: mended, left for a person, or found by a dry run.
    """

    kind: str
    object_id: str
    order: str
    detail: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Step:
    """How far a phase is: `share` from 0 to 1, and how many objects it has seen."""

    phase: str
    share: float
    count: int


@dataclass(slots=True)
class Report:
    """A run from its start. Objects that were created in `span` are read; `dry_run` writes nothing."""

    span: Span
    dry_run: bool
    read: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    cut_off: str = "Nothing was read yet."
    about: set[str] = field(default_factory=set)

    @property
    def left(self) -> int:
        """How many differences are still there."""
        return sum(difference.outcome != MENDED for difference in self.differences)

    @property
    def ok(self) -> bool:
        """Everything was read, and nothing differs any more."""
        return not self.cut_off and not self.left

    def as_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "complete": not self.cut_off,
            "cut_off": self.cut_off,
            "dry_run": self.dry_run,
            "since": self.span.start.isoformat(),
            "until": self.span.end.isoformat(),
            "read": dict(self.read),
            "counts": {MENDED: 0, LEFT: 0, FOUND: 0} | Counter(each.outcome for each in self.differences),
            "differences": [asdict(each) for each in self.differences],
        }

    def summary(self) -> dict[str, Any]:
        """As `as_dict`, with what is left first and not more than 600 differences."""
        told = self.as_dict()
        left = [each for each in told["differences"] if each["outcome"] != MENDED]
        mended = [each for each in told["differences"] if each["outcome"] == MENDED]
        return {**told, "differences": left[:LEFT_KEPT] + mended[:MENDED_KEPT]}

    def page_read(self, phase: str, page: Page, span: Span) -> Step:
        self.read[phase] += len(page.objects)
        whole = (span.end - span.start).total_seconds() or 1.0
        done = (span.end - page.reaches).total_seconds() / whole
        return Step(phase, min(1.0, max(0.0, done)), self.read[phase])

    def settle(
        self, kind: str, object_id: str, *, order: str, detail: str, mend: Callable[[], str], about: str = ""
    ) -> None:
        """Note a difference and have it mended, unless this is a dry run.

        `mend` tells what still differs, and nothing when all is well. Whatever goes wrong with one difference
        leaves the others their turn; Stripe or the database being away ends the run. Several lists show the same
        payment: a dry run, which mends nothing in between, names what a difference is `about` once.
        """
        outcome = FOUND
        if self.dry_run and about:
            if about in self.about:
                return
            self.about.add(about)
        if not self.dry_run:
            try:
                still = mend()
            except (StripeUnavailable, *DATABASE_AWAY):
                raise
            except DomainError as refusal:
                still = refusal.message
            except Exception as error:  # a fault in one row must not hide the others
                logger.exception("not_mended", extra={"kind": kind, "object": object_id})
                still = f"could not be mended: {type(error).__name__}, the log says more"
            outcome = LEFT if still else MENDED
            detail = f"{detail}; {still}" if still and still != detail else detail
        self.differences.append(Difference(kind, object_id, order, detail[:500], outcome))

    def leave(self, kind: str, object_id: str, *, order: str, detail: str) -> None:
        """Note a difference that only a person can do something about."""
        self.settle(kind, object_id, order=order, detail=detail, mend=lambda: detail)
