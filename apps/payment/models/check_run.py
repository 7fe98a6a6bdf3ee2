"""What the shop last found when it looked at itself and compared itself with Stripe."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class CheckRun(models.Model):
    """One run of `verify`, `reconcile`, `purge`, the look at the webhook endpoint or the reading of the balance.

    Rows say when it ran, whether all was well, and what was found. A run that was cut off has no end; the next one
    closes it. Old rows are forgotten.
    """

    class Kind(models.TextChoices):
        VERIFY = "verify", "verify"
        RECONCILE = "reconcile", "reconcile"
        ENDPOINT = "endpoint", "endpoint"
        BALANCE = "balance", "balance"
        PURGE = "purge", "purge"

    kind = models.CharField(max_length=9, choices=Kind.choices)
    started_at = models.DateTimeField()
    alive_at = models.DateTimeField(help_text="When it last showed that it goes on.")
    finished_at = models.DateTimeField(null=True)
    ok = models.BooleanField(null=True, help_text="It came to its end and left nothing to do.")
    summary = models.JSONField(default=dict, help_text="What it found, without personal data.")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], condition=Q(finished_at__isnull=True), name="check_run_one_at_a_time"
            )
        ]
        indexes = [models.Index(fields=["kind", "-started_at"], name="check_run_by_kind")]

    def __str__(self) -> str:
        state = {True: "ok", False: "not ok", None: "running"}[self.ok]
        return f"{self.kind} of {self.started_at:%Y-%m-%d %H:%M}: {state}"
