"""Stock that is promised (holds) and stock that moved (movements)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from apps.catalog.models import ProductVariant


class StockHold(models.Model):
    """A quantity promised to one order until it is paid or ends.

    Orders and carts stand to the left of this app, so they are named by id here.
    """

    class State(models.TextChoices):
        ACTIVE = "active", "active"
        SOLD = "sold", "sold"
        RELEASED = "released", "released"

    variant = models.ForeignKey(ProductVariant, on_delete=models.PROTECT, related_name="holds")
    order_id = models.BigIntegerField()
    cart_id = models.BigIntegerField(null=True, db_index=True)
    quantity = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="hold_quantity_positive"),
            models.UniqueConstraint(
                fields=["order_id", "variant"], condition=Q(state="active"), name="hold_one_active_per_line"
            ),
        ]
        indexes = [
            models.Index(fields=["variant"], condition=Q(state="active"), name="hold_active_by_variant"),
            models.Index(fields=["order_id"], name="hold_by_order"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.variant_id} for order {self.order_id}"


class StockMovement(models.Model):
    """One change of a variant's stock, with its reason. Rows are never changed or removed."""

    class Kind(models.TextChoices):
        SALE = "sale", "sale"
        RESTOCK = "restock", "restock"
        ADJUSTMENT = "adjustment", "adjustment"
        IMPORT = "import", "import"

    variant = models.ForeignKey(ProductVariant, on_delete=models.PROTECT, related_name="movements", db_index=False)
    quantity = models.IntegerField(help_text="Positive into stock, negative out of it.")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    order_id = models.BigIntegerField(null=True)
    reason = models.CharField(max_length=200, blank=True)
    effect = models.CharField(
        max_length=80,
        null=True,
        blank=True,
        unique=True,
        help_text="What brought it about, where that may happen only once.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(quantity=0), name="movement_moves_something"),
            models.UniqueConstraint(
                fields=["order_id", "variant"], condition=Q(kind="sale"), name="movement_line_sold_once"
            ),
        ]
        indexes = [
            models.Index(fields=["variant", "created_at"], name="movement_by_variant"),
            models.Index(fields=["order_id"], name="movement_by_order"),
        ]
        permissions = [("adjust_stock", "Can correct stock by a movement")]

    def __str__(self) -> str:
        return f"{self.quantity:+d} of {self.variant_id} ({self.kind})"
