"""Money on its way and money received."""

from __future__ import annotations

from django.conf import settings
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

    class Channel(models.TextChoices):
        """How the buyer is asked for the money."""

        SESSION = "session", "Stripe's hosted page"
        INTENT = "intent", "the frontend's own form"

    class CaptureDecision(models.TextChoices):
        """What staff wants done with an amount that is reserved on a card."""

        CAPTURE = "capture", "take the money"
        RELEASE = "release", "give the reservation up"

    SETTLED = (Status.SUCCEEDED, Status.PARTIALLY_REFUNDED, Status.REFUNDED)

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="payments", db_index=False)
    attempt = models.PositiveSmallIntegerField()
    channel = models.CharField(max_length=8, choices=Channel.choices, default=Channel.SESSION, db_default="session")
    reference = models.CharField(
        max_length=40, unique=True, help_text="What we call it at Stripe: client_reference_id and metadata."
    )
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING)
    applied = models.BooleanField(default=False, help_text="This money is what made the order paid.")
    closing = models.BooleanField(
        default=False, help_text="We are ending this attempt at Stripe; its end does not end the order."
    )
    disputed = models.BooleanField(
        default=False, db_default=False, help_text="A dispute is open against it, or was lost."
    )
    problem = models.CharField(max_length=16, choices=Problem.choices, blank=True)
    amount = models.PositiveBigIntegerField(help_text="The order's total, in minor units.")
    amount_captured = models.PositiveBigIntegerField(default=0, help_text="What Stripe took, in minor units.")
    amount_refunded = models.PositiveBigIntegerField(default=0, help_text="In minor units.")
    amount_lost = models.PositiveBigIntegerField(default=0, db_default=0, help_text="To lost disputes, in minor units.")
    currency = models.CharField(max_length=3)
    livemode = models.BooleanField()

    idempotency_key = models.CharField(max_length=80, unique=True)
    request_params = models.TextField(help_text="What Stripe is asked for, as JSON, so that it can be repeated.")
    stripe_session_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    stripe_payment_intent_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    stripe_charge_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    intent_status = models.CharField(
        max_length=30,
        blank=True,
        default="",
        db_default="",
        help_text="As last told; empty while a hosted page has told nothing of its intent.",
    )
    capture_decision = models.CharField(
        max_length=7, choices=CaptureDecision.choices, blank=True, default="", db_default=""
    )
    capture_key = models.CharField(
        max_length=80, blank=True, default="", db_default="", help_text="The idempotency key of what was decided."
    )
    capture_decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    capture_decided_at = models.DateTimeField(null=True, blank=True)
    capture_due_at = models.DateTimeField(
        null=True, blank=True, help_text="When `work` asks Stripe for what was decided; empty: now."
    )
    stripe_customer_id = models.CharField(max_length=255, blank=True, default="", db_default="")
    stripe_method_id = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="The saved method that it is to be paid with."
    )
    saves_method = models.BooleanField(
        default=False, db_default=False, help_text="The buyer asked to keep the payment method."
    )
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
    erased_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when nothing in it tells who paid; nothing is learned anew."
    )

    class Meta:
        ordering = ["-pk"]
        permissions = [("capture_payment", "Can take amounts that are reserved, and give them up")]
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
            models.Index(fields=["paid_at"], condition=Q(paid_at__isnull=False), name="payment_by_paid_at"),
            models.Index(fields=["last4"], condition=~Q(last4=""), name="payment_by_last4"),
            models.Index(fields=["currency", "amount"], name="payment_by_amount"),
            models.Index(
                fields=["method_type"], condition=~Q(method_type__in=["", "card"]), name="payment_by_rarer_method"
            ),
            models.Index(
                fields=["brand"],
                condition=~Q(brand__in=["", "visa", "mastercard"]),
                name="payment_by_rarer_brand",
            ),
            models.Index(
                fields=["created_at"],
                condition=Q(status="pending", stripe_session_id__isnull=True, stripe_payment_intent_id__isnull=True),
                name="payment_unanswered",
            ),
            models.Index(
                fields=["id"],
                condition=Q(closing=True, status__in=["pending", "processing", "requires_action"]),
                name="payment_closing",
            ),
            models.Index(
                fields=["id"],
                condition=Q(closing=True, channel="intent", status__in=["failed", "cancelled"])
                & ~Q(intent_status__in=["canceled", "succeeded"]),
                name="payment_intent_left_open",
            ),
            models.Index(
                fields=["id"], condition=~Q(capture_decision="") & Q(status="processing"), name="payment_capture_undone"
            ),
            models.Index(
                fields=["capture_decided_by"],
                condition=Q(capture_decided_by__isnull=False),
                name="payment_by_capture_decider",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}/{self.attempt} {self.money} {self.status}"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def is_opened(self) -> bool:
        """Whether Stripe's object for this attempt is known here."""
        if self.channel == self.Channel.INTENT:
            return self.stripe_payment_intent_id is not None
        return self.stripe_session_id is not None

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
        indexes = [models.Index(fields=["at"], condition=Q(kind="declined"), name="payment_log_declined")]

    def __str__(self) -> str:
        return f"{self.payment_id}: {self.kind}"
