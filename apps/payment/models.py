"""Money on its way, money received, and what Stripe told about it."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from apps.common.money import Money
from apps.orders.models import Order


class Payment(models.Model):
    """One attempt to collect one order's total. Amounts are in the currency's minor unit."""

    class Status(models.TextChoices):
        PENDING = "pending", "pending"
        PROCESSING = "processing", "processing"
        REQUIRES_ACTION = "requires_action", "requires action"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"
        PARTIALLY_REFUNDED = "partially_refunded", "partially refunded"
        REFUNDED = "refunded", "refunded"

    class Problem(models.TextChoices):
        """Why money that arrived was not applied to the order."""

        AMOUNT_MISMATCH = "amount_mismatch", "amount or currency differ"
        LATE = "late", "came after the order had ended"
        SURPLUS = "surplus", "the order was paid already"

    OPEN = (Status.PENDING, Status.PROCESSING, Status.REQUIRES_ACTION)
    SETTLED = (Status.SUCCEEDED, Status.PARTIALLY_REFUNDED, Status.REFUNDED)

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="payments")
    attempt = models.PositiveSmallIntegerField()
    reference = models.CharField(
        max_length=40, unique=True, help_text="What we call it at Stripe: client_reference_id and metadata."
    )
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING)
    applied = models.BooleanField(default=False, help_text="This money is what made the order paid.")
    closing = models.BooleanField(
        default=False, help_text="We are ending this attempt at Stripe; its end does not end the order."
    )
    problem = models.CharField(max_length=16, choices=Problem.choices, blank=True)
    amount = models.PositiveBigIntegerField(help_text="The order's total, in minor units.")
    amount_captured = models.PositiveBigIntegerField(default=0, help_text="What Stripe took, in minor units.")
    amount_refunded = models.PositiveBigIntegerField(default=0, help_text="In minor units.")
    currency = models.CharField(max_length=3)
    livemode = models.BooleanField()

    idempotency_key = models.CharField(max_length=80, unique=True)
    request_params = models.TextField(help_text="What Stripe is asked for, as JSON, so that it can be repeated.")
    stripe_session_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    stripe_payment_intent_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    stripe_charge_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    checkout_url = models.TextField(blank=True)
    session_status = models.CharField(max_length=10, blank=True)
    session_payment_status = models.CharField(max_length=20, blank=True)
    session_expires_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True, help_text="When Stripe was last asked about it by a poll.")

    method_type = models.CharField(max_length=40, blank=True)
    brand = models.CharField(max_length=40, blank=True)
    last4 = models.CharField(max_length=4, blank=True)
    receipt_url = models.TextField(blank=True)
    failure_code = models.CharField(max_length=80, blank=True)
    failure_message = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    paid_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_refunded__lte=F("amount_captured")), name="payment_refunds_within_captured"
            ),
            models.UniqueConstraint(fields=["order", "attempt"], name="payment_attempt_once"),
            models.UniqueConstraint(fields=["order"], condition=Q(applied=True), name="payment_one_applied_per_order"),
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(status__in=["pending", "processing", "requires_action"]),
                name="payment_one_open_per_order",
            ),
            models.CheckConstraint(
                condition=Q(applied=False) | Q(status__in=["succeeded", "partially_refunded", "refunded"]),
                name="payment_applied_has_succeeded",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "created_at"], name="payment_by_status"),
            models.Index(
                fields=["created_at"],
                condition=Q(status="pending", stripe_session_id__isnull=True),
                name="payment_unanswered",
            ),
            models.Index(
                fields=["id"],
                condition=Q(closing=True, status__in=["pending", "processing", "requires_action"]),
                name="payment_closing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}/{self.attempt} {self.money} {self.status}"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN

    @property
    def is_settled(self) -> bool:
        return self.status in self.SETTLED


class PaymentLog(models.Model):
    """One thing that happened to a payment. Rows are never changed or removed.

    `(kind, object_id)` is unique: one payment arrives as several events, and an effect happens once.
    """

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="log")
    kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=255, blank=True, help_text="The Stripe object that brought it about.")
    event_id = models.CharField(max_length=255, blank=True)
    from_status = models.CharField(max_length=20, blank=True)
    to_status = models.CharField(max_length=20)
    detail = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "object_id"], condition=~Q(object_id=""), name="payment_log_effect_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.payment_id}: {self.kind}"


class Refund(models.Model):
    """Money to give back: first an intention, committed with its idempotency key, then what Stripe says of it."""

    class Status(models.TextChoices):
        REQUESTED = "requested", "requested"
        REJECTED = "rejected", "rejected"
        PENDING = "pending", "pending"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    amount = models.PositiveBigIntegerField(help_text="In minor units.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    reason = models.CharField(max_length=40)
    idempotency_key = models.CharField(max_length=80, unique=True)
    stripe_refund_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="refund_positive")]

    def __str__(self) -> str:
        return f"{Money(self.amount, self.currency)} of payment {self.payment_id}"


class AttentionCase(models.Model):
    """Something about money that a person has to look at."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="cases")
    kind = models.CharField(max_length=24)
    detail = models.CharField(max_length=500)
    opened_at = models.DateTimeField(auto_now_add=True)
    solved_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["solved_at", "-opened_at"]
        constraints = [models.UniqueConstraint(fields=["payment", "kind"], name="case_once_per_payment")]

    def __str__(self) -> str:
        return f"{self.kind}: payment {self.payment_id}"


class StripeWebhookEvent(models.Model):
    """One event as Stripe signed it, and how far the shop has come with it.

    Stored once, never removed. Only the work columns change.
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
    api_version = models.CharField(max_length=40, blank=True)
    livemode = models.BooleanField()
    created = models.DateTimeField(help_text="When Stripe made it.")
    payload = models.TextField(help_text="The event as ASCII JSON, client secrets blanked.")
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
            models.Index(fields=["state", "received_at"], name="event_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.stripe_id} {self.type}"
