"""Money to give back."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.common.money import Money
from apps.orders.models import OrderItem
from apps.payment.models.payment import Payment


def new_reference() -> str:
    return "pr_" + secrets.token_hex(16)


class Refund(models.Model):
    """Money to give back: first an intention, committed with its idempotency key, then what Stripe says of it.

    `amount` is in minor units. The state may go back: a refund that succeeded can fail days later.
    """

    class Status(models.TextChoices):
        REQUESTED = "requested", "requested"
        REJECTED = "rejected", "rejected"
        PENDING = "pending", "pending"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    class Reason(models.TextChoices):
        REQUESTED_BY_CUSTOMER = "requested_by_customer", "requested by customer"
        DUPLICATE = "duplicate", "duplicate"
        FRAUDULENT = "fraudulent", "fraudulent"
        OTHER = "other", "other"

    class Source(models.TextChoices):
        """Who began it."""

        BUYER = "buyer", "the buyer"
        STAFF = "staff", "staff"
        COMMAND = "command", "the command line"
        SHOP = "shop", "the shop itself: late or surplus money"
        STRIPE = "stripe", "Stripe's Dashboard"

    COMMITTED = (Status.PENDING, Status.SUCCEEDED)
    """Money that is on its way back or there: it counts against what is left."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    reference = models.CharField(
        max_length=60, null=True, blank=True, unique=True, help_text="What we call it at Stripe: metadata."
    )
    amount = models.PositiveBigIntegerField(help_text="In minor units.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    reason = models.CharField(max_length=40)
    description = models.CharField(max_length=500, blank=True, default="", db_default="")
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.SHOP, db_default="shop")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_note = models.CharField(max_length=500, blank=True, default="", db_default="")
    idempotency_key = models.CharField(max_length=80, unique=True)
    key_used_at = models.DateTimeField(null=True, help_text="When Stripe was first asked with this key.")
    stripe_refund_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    stripe_status = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="In Stripe's words."
    )
    failure_code = models.CharField(max_length=80, blank=True, default="", db_default="")
    told_at = models.DateTimeField(null=True, help_text="When the question was asked whose answer this row shows.")
    next_try_at = models.DateTimeField(null=True, help_text="When `work` asks Stripe about a pending one; empty: now.")
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    succeeded_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        permissions = [("issue_refund", "Can give money back"), ("decide_refund", "Can decide refund requests")]
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="refund_positive")]
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(status="pending"), name="refund_due"),
            models.Index(fields=["status", "created_at"], name="refund_by_status"),
            models.Index(
                fields=["succeeded_at"], condition=Q(succeeded_at__isnull=False), name="refund_by_succeeded_at"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.money} of payment {self.payment_id}"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


class RefundItem(models.Model):
    """How much of an order's line a refund gives back, and whether the goods return to stock."""

    refund = models.ForeignKey(Refund, on_delete=models.PROTECT, related_name="items")
    order_item = models.ForeignKey(OrderItem, on_delete=models.PROTECT, related_name="refund_items")
    quantity = models.PositiveIntegerField()
    restock = models.BooleanField(default=False)
    restocked_at = models.DateTimeField(null=True, help_text="The goods came back to stock, once and for good.")

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="refund_item_quantity_positive"),
            models.UniqueConstraint(fields=["refund", "order_item"], name="refund_item_line_once"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of line {self.order_item_id}"
