"""What a buyer means to buy."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.catalog.models import ProductVariant
from apps.common import tokens


class Cart(models.Model):
    """A signed-in person's cart, or an anonymous one that its token opens.

    `version` goes up with every change of the lines, so that an order can tell whether the cart is still the one
    it was placed from.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="cart"
    )
    public_id = models.CharField(max_length=32, null=True, blank=True, unique=True)
    merged_into = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="merged_carts"
    )
    currency = models.CharField(max_length=3, blank=True, help_text="Fixed by the first line, empty before it.")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=True, public_id__isnull=False) | Q(user__isnull=False, public_id__isnull=True),
                name="cart_owner_or_token",
            )
        ]

    def __str__(self) -> str:
        return f"cart {self.pk}"

    @property
    def token(self) -> str | None:
        """What opens an anonymous cart; None for a person's own."""
        return tokens.issue("cart", self.public_id) if self.public_id else None


class CartItem(models.Model):
    """One variant in a cart, at the price that it had when it was put there."""

    cart = models.ForeignKey(Cart, on_delete=models.CASCADE, related_name="items")
    variant = models.ForeignKey(ProductVariant, on_delete=models.PROTECT, related_name="cart_items")
    quantity = models.PositiveIntegerField()
    price_at_add = models.PositiveBigIntegerField(help_text="One unit, in the minor unit of the cart's currency.")
    priced_at = models.DateTimeField(help_text="Since when price_at_add is promised.")

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["cart", "variant"], name="cart_item_variant_once"),
            models.CheckConstraint(condition=Q(quantity__gte=1, quantity__lte=999), name="cart_item_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.variant_id}"
