"""Every e-mail that the shop sends, one row each."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower


class Mail(models.Model):
    """One e-mail: written once per kind and key, sent by `work`, tried again until the server took it."""

    class Kind(models.TextChoices):
        ORDER_CONFIRMATION = "order_confirmation", "order confirmation"
        PAYMENT_FAILED = "payment_failed", "payment failed"
        PAYMENT_ON_ITS_WAY = "payment_on_its_way", "payment on its way"
        ORDER_SHIPPED = "order_shipped", "order shipped"
        REFUND_REQUESTED = "refund_requested", "refund requested"
        REFUND_REJECTED = "refund_rejected", "refund rejected"
        REFUND_SUCCEEDED = "refund_succeeded", "refund succeeded"
        REFUND_FAILED = "refund_failed", "refund failed"
        ENROLLED = "enrolled", "enrolled"
        WITHDRAWN = "withdrawn", "withdrawn"
        SUSPENDED = "suspended", "enrollment suspended"
        RESTORED = "restored", "enrollment restored"
        PASSWORD_RESET = "password_reset", "password reset"
        ATTENTION = "attention", "attention"
        REFUND_WAITING = "refund_waiting", "refund request waits"
        DISPUTE_OPENED = "dispute_opened", "dispute opened"
        DISPUTE_CLOSED = "dispute_closed", "dispute closed"

    class State(models.TextChoices):
        DUE = "due", "due"
        SENT = "sent", "sent"
        FAILED = "failed", "failed"

    kind = models.CharField(max_length=40, choices=Kind.choices)
    key = models.CharField(max_length=80, help_text="What it is about; one e-mail per kind and key.")
    recipient = models.EmailField(max_length=254)
    context = models.TextField(help_text="JSON of ids from which subject and text are rendered when it is sent.")
    state = models.CharField(max_length=6, choices=State.choices, default=State.DUE)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)
    message_id = models.CharField(max_length=120, help_text="The same on every try, so that a second copy is known.")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="mail_once_per_kind_and_key")]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="due"), name="mail_due"),
            models.Index(Lower("recipient"), name="mail_by_recipient"),
            models.Index(fields=["created_at"], condition=Q(state="failed"), name="mail_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
