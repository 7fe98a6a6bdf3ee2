"""The last time that the shop looked at itself, compared itself with Stripe, and looked at its webhook endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.payment.models import CheckRun
from apps.payment.services.check_runs import last_run

Kind = CheckRun.Kind
STALE_AFTER = timedelta(days=1)
"""A check that did not come to its end for so long is worth a look."""


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
        return "ok" if self.run.started_at > timezone.now() - STALE_AFTER else "old"

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the run found, as rows of columns."""
        summary = self.run.summary if self.run else {}
        return [row for name in ("broken", "differences", "drift") for row in summary.get(name, ())]

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
)


def checks() -> list[Check]:
    """Every check with its last run. A statement each."""
    return [Check(kind, title, meaning, command, last_run(kind)) for kind, title, meaning, command in CHECKS]
