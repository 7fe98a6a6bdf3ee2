"""What Stripe booked on the account: charges, refunds, disputes, fees and payouts."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.payment.models.payment import Payment


class BalanceEntry(models.Model):
    """One of Stripe's balance transactions, as it was booked; it does not change but for the payout it is part of.

    Amounts are in minor units of `currency`, which is what the account settles in and may differ from what the buyer
    paid in. Negative ones left the account.
    """

    stripe_id = models.CharField(max_length=255, unique=True)
    kind = models.CharField(max_length=40, help_text="Stripe's type, such as charge, refund, adjustment or payout.")
    category = models.CharField(max_length=60, help_text="Stripe's reporting category.")
    source_id = models.CharField(max_length=255, blank=True, help_text="The charge, refund, dispute or payout.")
    payment = models.ForeignKey(
        Payment, null=True, blank=True, on_delete=models.SET_NULL, related_name="balance_entries"
    )
    amount = models.BigIntegerField()
    fee = models.BigIntegerField()
    net = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    payout_id = models.CharField(max_length=255, blank=True, default="")
    created = models.DateTimeField()
    available_on = models.DateTimeField()

    class Meta:
        ordering = ["-created", "-pk"]
        verbose_name_plural = "balance entries"
        indexes = [
            models.Index(fields=["created"], name="balance_by_time"),
            models.Index(fields=["source_id"], condition=Q(payment__isnull=True), name="balance_unlinked"),
        ]

    def __str__(self) -> str:
        return f"{self.stripe_id} {self.kind}"
