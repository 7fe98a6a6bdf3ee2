"""What must happen after a commit, one row per subscriber."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Delivery(models.Model):
    """One thing that happened, on its way to one subscriber.

    Written in the transaction in which it happened, so it exists exactly when that did. A subscriber's effects in
    the database and `state = done` are one transaction, so they happen once whatever crashes or repeats.
    """

    class State(models.TextChoices):
        DUE = "due", "due"
        DONE = "done", "done"
        DEAD = "dead", "dead"

    kind = models.CharField(max_length=60, help_text="What happened, such as order.paid.")
    key = models.CharField(max_length=80, help_text="The object it happened to; unique per kind and subscriber.")
    subscriber = models.CharField(max_length=60)
    payload = models.TextField(help_text="JSON with ids only, no personal data.")
    state = models.CharField(max_length=4, choices=State.choices, default=State.DUE)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["kind", "key", "subscriber"], name="delivery_once_per_subscriber")
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="due"), name="delivery_due"),
            models.Index(fields=["created_at"], condition=Q(state="dead"), name="delivery_dead"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} to {self.subscriber}"
