"""Carts for staff, to help a buyer who calls."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import TabularInline

from apps.cart.models import Cart, CartItem
from apps.catalog.filters import Currency
from apps.common.admin import ReadOnlyAdmin, ReadOnlyInline


class CartItemInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    model = CartItem
    fields = ("variant", "quantity", "price_at_add", "priced_at")
    readonly_fields = fields


@admin.register(Cart)
class CartAdmin(ReadOnlyAdmin):
    """The id that a cart's token is made of is not shown."""

    list_display = ("pk", "user", "currency", "version", "created_at", "updated_at")
    list_filter = (Currency, ("user", admin.EmptyFieldListFilter), "updated_at")
    search_fields = ("user__email__istartswith",)
    list_select_related = ("user",)
    exclude = ("public_id",)
    inlines = (CartItemInline,)
