"""What the shop sells: categories, products, their variants and a price per currency."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from apps.common.money import Money


class Category(models.Model):
    """A shelf of the shop."""

    slug = models.SlugField(unique=True, max_length=80, allow_unicode=True)
    name = models.CharField(max_length=120)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """One thing on the shelf; what is bought is one of its variants."""

    class Kind(models.TextChoices):
        PHYSICAL = "physical", "physical"
        DIGITAL = "digital", "digital"

    slug = models.SlugField(unique=True, max_length=140)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="products")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.PHYSICAL)
    image_url = models.CharField(max_length=500, blank=True)
    active = models.BooleanField(default=True, help_text="Shown in the shop and buyable.")
    needs_account = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Only a signed-in person can buy it.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "pk"]
        indexes = [models.Index(fields=["category", "name"], name="product_by_category")]

    def __str__(self) -> str:
        return self.name


class ProductVariant(models.Model):
    """What a line of a cart names.

    `stock` and `held` are written by `apps.inventory` alone. An empty stock is not counted (digital goods) and has
    neither holds nor movements. `stock = opening_stock + sum of movements` at any moment.
    """

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="variants")
    sku = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=120, blank=True)
    active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)
    stock = models.IntegerField(null=True, blank=True)
    held = models.IntegerField(default=0)
    opening_stock = models.IntegerField(null=True, blank=True)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(held__gte=0), name="variant_held_not_negative"),
            models.CheckConstraint(
                condition=Q(stock__isnull=True, held=0) | Q(stock__gte=F("held")), name="variant_held_within_stock"
            ),
            models.CheckConstraint(
                condition=Q(stock__isnull=True, opening_stock__isnull=True)
                | Q(stock__isnull=False, opening_stock__isnull=False),
                name="variant_counted_from_an_opening",
            ),
        ]
        # No index is to name `stock` or `held`: every sale changes them, and would change all indexes with them.

    def __str__(self) -> str:
        return f"{self.product.name} {self.name}".strip()

    @property
    def available(self) -> int | None:
        """What a buyer could still take, or None where stock is not counted."""
        return None if self.stock is None else self.stock - self.held


class Price(models.Model):
    """What one unit costs in one currency, in that currency's minor unit."""

    variant = models.ForeignKey(ProductVariant, on_delete=models.CASCADE, related_name="prices")
    currency = models.CharField(max_length=3)
    amount = models.PositiveBigIntegerField(help_text="In the currency's minor unit, tax included.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["variant", "currency"], name="price_one_per_currency")]

    def __str__(self) -> str:
        return str(Money(self.amount, self.currency))
