"""Money that a buyer's bank claims back."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.common.money import Money
from apps.payment.models.payment import Payment


class Dispute(models.Model):
    """A dispute or an inquiry, as Stripe last told it. `amount` is in minor units.

    What staff decides is stored first (`decision`, its key) and then told to Stripe; `work` finishes what was cut off.
    """

    class Status(models.TextChoices):
        WARNING_NEEDS_RESPONSE = "warning_needs_response", "inquiry: needs a response"
        WARNING_UNDER_REVIEW = "warning_under_review", "inquiry: under review"
        WARNING_CLOSED = "warning_closed", "inquiry: closed"
        NEEDS_RESPONSE = "needs_response", "needs a response"
        UNDER_REVIEW = "under_review", "under review"
        WON = "won", "won"
        LOST = "lost", "lost"
        PREVENTED = "prevented", "prevented"
        APPEAL_NEEDS_RESPONSE = "appeal_needs_response", "appeal: needs a response"
        APPEAL_UNDER_REVIEW = "appeal_under_review", "appeal: under review"

    class Decision(models.TextChoices):
        SUBMIT = "submit", "submit the evidence"
        ACCEPT = "accept", "accept the dispute"

    INQUIRY = (Status.WARNING_NEEDS_RESPONSE, Status.WARNING_UNDER_REVIEW)
    APPEAL = (Status.APPEAL_NEEDS_RESPONSE, Status.APPEAL_UNDER_REVIEW)
    ANSWERABLE = (Status.WARNING_NEEDS_RESPONSE, Status.NEEDS_RESPONSE, Status.APPEAL_NEEDS_RESPONSE)
    OVER = (Status.WON, Status.LOST, Status.WARNING_CLOSED, Status.PREVENTED)

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="disputes")
    stripe_dispute_id = models.CharField(max_length=255, unique=True)
    stripe_charge_id = models.CharField(max_length=255)
    amount = models.PositiveBigIntegerField(help_text="In minor units.")
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=60)
    network_reason_code = models.CharField(max_length=20, blank=True)
    status = models.CharField(max_length=24, choices=Status.choices)
    due_by = models.DateTimeField(null=True, help_text="Until when evidence can be given.")
    past_due = models.BooleanField(default=False)
    has_evidence = models.BooleanField(default=False)
    submissions = models.PositiveSmallIntegerField(default=0)
    charge_refundable = models.BooleanField(default=False, help_text="Stripe lets the charge be refunded meanwhile.")
    net_moved = models.BigIntegerField(default=0, help_text="In minor units; negative once the money was taken.")
    evidence = models.TextField(blank=True, help_text="The draft, as JSON.")
    decision = models.CharField(max_length=6, choices=Decision.choices, blank=True)
    decision_key = models.CharField(max_length=80, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_done_at = models.DateTimeField(null=True, blank=True)
    decision_due_at = models.DateTimeField(
        null=True, blank=True, help_text="When `work` asks Stripe for what was decided; empty: now."
    )
    told_at = models.DateTimeField(help_text="When the question was asked whose answer this row shows.")
    created_at = models.DateTimeField(help_text="When Stripe opened it.")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        permissions = [("answer_dispute", "Can submit evidence and accept disputes")]
        indexes = [
            models.Index(fields=["status", "due_by"], name="dispute_by_deadline"),
            models.Index(fields=["created_at"], name="dispute_by_created"),
            models.Index(
                fields=["id"], condition=~Q(decision="") & Q(decision_done_at__isnull=True), name="dispute_undone"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stripe_dispute_id}: {self.money}, {self.status}"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def is_over(self) -> bool:
        return self.status in self.OVER

    @property
    def can_be_answered(self) -> bool:
        return self.status in self.ANSWERABLE and not self.decision
