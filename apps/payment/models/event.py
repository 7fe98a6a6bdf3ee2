"""What Stripe told."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class StripeWebhookEvent(models.Model):
    """One event as Stripe signed it, and how far the shop has come with it.

    Stored once. The work columns change, and one function trims the payload; what is older than records are kept goes.
    """

    class State(models.TextChoices):
        DUE = "due", "due"
        PARKED = "parked", "parked until its object is known"
        DONE = "done", "done"
        IGNORED = "ignored", "ignored"
        DEAD = "dead", "dead"

    WAITING = (State.DUE, State.PARKED)

    stripe_id = models.CharField(max_length=255, unique=True)
    type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=255, blank=True)
    about = models.CharField(
        max_length=255,
        blank=True,
        default="",
        db_default="",
        help_text="The payment's reference that its object names, else the intent, charge or customer.",
    )
    api_version = models.CharField(max_length=40, blank=True)
    livemode = models.BooleanField()
    created = models.DateTimeField(help_text="When Stripe made it.")
    payload = models.TextField(help_text="The event as ASCII JSON, client secrets blanked.")
    trimmed_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when the payload has ids, amounts and states only."
    )
    sha256 = models.CharField(max_length=64, help_text="Of the raw bytes as they came.")
    received_at = models.DateTimeField()
    waiting_since = models.DateTimeField(help_text="When it came, or was last replayed.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.DUE)
    reason = models.CharField(max_length=200, blank=True, help_text="Why it was ignored, parked or given up.")
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state__in=["due", "parked"]), name="event_due"),
            models.Index(fields=["type", "received_at"], name="event_by_type"),
            models.Index(fields=["object_id"], name="event_by_object"),
            models.Index(fields=["about"], condition=~Q(about=""), name="event_by_subject"),
            models.Index(fields=["received_at"], condition=Q(trimmed_at__isnull=True), name="event_untrimmed"),
            models.Index(fields=["state", "received_at"], name="event_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.stripe_id} {self.type}"
