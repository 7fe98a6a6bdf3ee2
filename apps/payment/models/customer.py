"""Buyers as Stripe knows them, and the payment methods they keep there."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class StripeCustomer(models.Model):
    """One person's customer at Stripe, per mode. The row is there before Stripe is asked, with its key."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="stripe_customers")
    livemode = models.BooleanField()
    stripe_customer_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    generation = models.PositiveIntegerField(default=1, help_text="Counts up when Stripe says that it is gone.")
    idempotency_key = models.CharField(max_length=80, unique=True)
    request_params = models.TextField(help_text="What Stripe is asked for, as JSON, so that it can be repeated.")
    stale = models.BooleanField(default=False, help_text="E-mail or name changed here since Stripe was told.")
    created_at = models.DateTimeField(auto_now_add=True)
    erased_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when its person is forgotten; it is deleted at Stripe and never used."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "livemode"], name="customer_one_per_user_and_mode")]
        indexes = [models.Index(fields=["id"], condition=Q(stale=True), name="customer_stale")]

    def __str__(self) -> str:
        return self.stripe_customer_id or f"of user {self.user_id}, not made yet"


class PaymentMethod(models.Model):
    """A saved payment method: brand, last four and expiry, never more.

    Removed ones stay as rows, so that a late event does not bring them back.
    """

    class State(models.TextChoices):
        SAVED = "saved", "saved"
        REMOVING = "removing", "being removed at Stripe"
        REMOVED = "removed", "removed"

    customer = models.ForeignKey(StripeCustomer, on_delete=models.PROTECT, related_name="methods")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="payment_methods")
    stripe_payment_method_id = models.CharField(max_length=255, unique=True)
    type = models.CharField(max_length=40)
    brand = models.CharField(max_length=40, blank=True)
    last4 = models.CharField(max_length=4, blank=True)
    exp_month = models.PositiveSmallIntegerField(null=True)
    exp_year = models.PositiveSmallIntegerField(null=True)
    is_default = models.BooleanField(default=False)
    state = models.CharField(max_length=8, choices=State.choices, default=State.SAVED)
    told_at = models.DateTimeField(help_text="When Stripe last told how it looks.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-is_default", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(is_default=True), name="method_one_default_per_user"),
            models.CheckConstraint(
                condition=Q(is_default=False) | Q(state="saved"), name="method_default_only_while_saved"
            ),
        ]
        indexes = [
            models.Index(fields=["user"], condition=Q(state="saved"), name="method_saved_by_user"),
            models.Index(fields=["id"], condition=Q(state="removing"), name="method_removing"),
        ]

    def __str__(self) -> str:
        return f"{self.brand or self.type} {self.last4}".strip()
