"""What was bought, at which price, and how far it has come."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from apps.cart.models import Cart
from apps.catalog.models import ProductVariant
from apps.common import tokens


class Order(models.Model):
    """One purchase. Amounts are in the currency's minor unit.

    `status` and `payment_status` are written by `apps.orders.services.state` alone.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "pending"
        CONFIRMED = "confirmed", "confirmed"
        SHIPPED = "shipped", "shipped"
        DELIVERED = "delivered", "delivered"
        CANCELLED = "cancelled", "cancelled"

    class PaymentStatus(models.TextChoices):
        PENDING = "pending", "pending"
        PROCESSING = "processing", "processing"
        PAID = "paid", "paid"
        PARTIALLY_REFUNDED = "partially_refunded", "partially refunded"
        REFUNDED = "refunded", "refunded"
        FAILED = "failed", "failed"

    class Ended(models.TextChoices):
        """Why an order was cancelled; decides whether it may be retried."""

        EXPIRED = "expired", "expired"
        PAYMENT_FAILED = "payment_failed", "payment failed"
        BY_PERSON = "by_person", "by a person"
        SUPERSEDED = "superseded", "superseded by a newer order"
        REFUSED = "refused", "refused by Stripe"

    RETRIABLE = (Ended.EXPIRED, Ended.PAYMENT_FAILED, Ended.REFUSED)

    PAID = (PaymentStatus.PAID, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED)

    number = models.CharField(max_length=24, unique=True)
    public_id = models.CharField(max_length=32, unique=True, default=tokens.new_public_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="orders",
        db_index=False,
    )
    email = models.EmailField(max_length=254, blank=True)
    cart = models.ForeignKey(Cart, null=True, blank=True, on_delete=models.SET_NULL, related_name="orders")
    cart_version = models.PositiveIntegerField(null=True)
    cart_settled_at = models.DateTimeField(null=True, help_text="When the bought quantities were taken off the cart.")
    placed_from = models.CharField(
        max_length=32, blank=True, help_text="Keyed hash of an anonymous buyer's network, for the limits."
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    payment_status = models.CharField(max_length=20, choices=PaymentStatus.choices, default=PaymentStatus.PENDING)
    ended = models.CharField(max_length=16, choices=Ended.choices, blank=True)
    disputed = models.BooleanField(default=False)
    currency = models.CharField(max_length=3)
    subtotal = models.PositiveBigIntegerField()
    discount = models.PositiveBigIntegerField(default=0)
    shipping = models.PositiveBigIntegerField(default=0)
    tax = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField()
    shipping_address = models.JSONField(null=True, blank=True)
    language = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        help_text="Of the e-mails and the invoice; empty: English.",
    )
    tracking_number = models.CharField(max_length=100, blank=True, default="", db_default="")
    transitions = models.PositiveIntegerField(default=0, help_text="How many rows its log has.")
    created_at = models.DateTimeField(auto_now_add=True)
    paid_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, help_text="When its holds end; empty while nothing is held.")
    erased_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when nothing in it tells who the buyer was; nothing is learned anew."
    )

    class Meta:
        ordering = ["-pk"]
        permissions = [("fulfil_order", "Can ship and deliver orders")]
        constraints = [
            models.CheckConstraint(
                condition=Q(total=F("subtotal") + F("shipping") + F("tax") - F("discount")),
                name="order_total_adds_up",
            ),
            models.CheckConstraint(
                condition=Q(status="cancelled", payment_status="failed")
                | (~Q(status="cancelled") & ~Q(payment_status="failed")),
                name="order_failed_only_with_cancelled",
            ),
            models.CheckConstraint(
                condition=Q(payment_status="pending", expires_at__isnull=False)
                | (~Q(payment_status="pending") & Q(expires_at__isnull=True)),
                name="order_expires_only_while_pending",
            ),
            models.UniqueConstraint(fields=["cart"], condition=Q(status="pending"), name="order_one_pending_per_cart"),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="order_by_user"),
            models.Index(fields=["expires_at"], condition=Q(expires_at__isnull=False), name="order_expiring"),
            models.Index(fields=["placed_from"], condition=Q(status="pending"), name="order_open_by_network"),
            models.Index(fields=["created_at"], name="order_by_created"),
            models.Index(fields=["paid_at"], condition=Q(status="confirmed"), name="order_to_fulfil"),
            models.Index(fields=["email"], name="order_by_email"),
            models.Index(Lower("email"), name="order_by_address"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def token(self) -> str:
        """What opens this order to a guest; an HMAC, not stored."""
        return tokens.issue("order", self.public_id)

    @property
    def is_paid(self) -> bool:
        return self.payment_status in self.PAID


class OrderItem(models.Model):
    """A line, copied at purchase: later changes of the catalogue do not reach it."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="items")
    variant = models.ForeignKey(ProductVariant, on_delete=models.PROTECT, related_name="order_items")
    sku = models.CharField(max_length=64)
    name = models.CharField(max_length=330)
    kind = models.CharField(max_length=8)
    image_url = models.CharField(max_length=500, blank=True)
    quantity = models.PositiveIntegerField()
    unit_price = models.PositiveBigIntegerField(help_text="In minor units.")
    line_total = models.PositiveBigIntegerField(help_text="In minor units.")
    refunded_quantity = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["order", "variant"], name="order_item_variant_once"),
            models.CheckConstraint(
                condition=Q(line_total=F("unit_price") * F("quantity")), name="order_item_total_adds_up"
            ),
            models.CheckConstraint(
                condition=Q(refunded_quantity__lte=F("quantity")), name="order_item_refunded_within_bought"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"


class OrderTransition(models.Model):
    """One change of an order's state. Append-only and without gaps: `seq` counts from 1."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="log", db_index=False)
    seq = models.PositiveIntegerField()
    from_status = models.CharField(max_length=10, blank=True)
    to_status = models.CharField(max_length=10)
    from_payment_status = models.CharField(max_length=20, blank=True)
    to_payment_status = models.CharField(max_length=20)
    reason = models.CharField(max_length=120)
    at = models.DateTimeField()

    class Meta:
        ordering = ["order", "seq"]
        constraints = [models.UniqueConstraint(fields=["order", "seq"], name="order_transition_no_gap")]

    def __str__(self) -> str:
        return f"{self.order_id}/{self.seq}: {self.to_status}, {self.to_payment_status}"


class OrderCounter(models.Model):
    """The last number given on one day (UTC)."""

    day = models.DateField(primary_key=True)
    last = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.day}: {self.last}"
