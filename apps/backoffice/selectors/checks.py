"""The last time that the shop looked at itself, compared itself with Stripe, looked at its endpoint and purged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.payment.models import CheckRun
from apps.payment.services.check_runs import last_runs

Kind = CheckRun.Kind
STALE_AFTER = timedelta(days=1)
"""A check that did not come to its end for so long is worth a look."""

STALE_AFTER_OF = {Kind.PURGE: timedelta(days=2)}
"""Where it is another time: the purge begins once a day."""


@dataclass(frozen=True, slots=True)
class Check:
    """What is checked, by which command, and the last run that came to an end; none is none so far."""

    kind: str
    title: str
    meaning: str
    command: str
    run: CheckRun | None

    @property
    def state(self) -> str:
        if self.run is None:
            return "never run"
        if not self.run.ok:
            return "not ok"
        stale_after = STALE_AFTER_OF.get(Kind(self.kind), STALE_AFTER)
        return "ok" if self.run.started_at > timezone.now() - stale_after else "old"

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the run found, as rows of columns."""
        summary = self.run.summary if self.run else {}
        found = [row for name in ("broken", "differences", "drift") for row in summary.get(name, ())]
        # What stays after a purge that failed says nothing: why it failed does.
        stays = summary.get("stays", {}) if self.state != "not ok" else {}
        return found + [{"why": why, "orders": count} for why, count in sorted(stays.items())]

    @property
    def cut_off(self) -> str:
        said = self.run.summary.get("cut_off") if self.run else ""
        return said if isinstance(said, str) else "It was cut off." if said else ""


CHECKS = (
    (Kind.VERIFY, "Invariants", "What must be true of the shop's own rows.", "manage.py verify"),
    (
        Kind.RECONCILE,
        "Agreement with Stripe",
        "Payments, refunds and disputes as Stripe has them.",
        "manage.py reconcile",
    ),
    (Kind.ENDPOINT, "Webhook endpoint", "Whether Stripe sends what the shop needs.", "manage.py stripe_webhook check"),
    (
        Kind.PURGE,
        "Keeping of records",
        "Orders go when the years of keeping are over. What is found here are those that stay, and why.",
        "manage.py purge",
    ),
)


def checks() -> list[Check]:
    """Every check with its last run. One statement."""
    runs = last_runs([kind for kind, *_ in CHECKS])
    return [Check(kind, title, meaning, command, runs.get(kind)) for kind, title, meaning, command in CHECKS]
