"""The catalogue for staff. What was ever sold is deactivated, never deleted; stock is moved by services alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from apps.catalog.models import Category, Price, Product, ProductVariant

STOCK = ("stock", "held", "opening_stock")


class Undeletable(ModelAdmin):  # type: ignore[misc]
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class VariantInline(TabularInline):  # type: ignore[misc]
    model = ProductVariant
    extra = 0
    can_delete = False
    show_change_link = True
    fields = ("sku", "name", "active", "position", "stock", "held")
    readonly_fields = ("stock", "held")


class PriceInline(TabularInline):  # type: ignore[misc]
    model = Price
    extra = 0


@admin.register(Category)
class CategoryAdmin(Undeletable):
    list_display = ("name", "slug", "position")
    list_editable = ("position",)
    search_fields = ("name__icontains",)
    prepopulated_fields = {"slug": ("name",)}


@admin.register(Product)
class ProductAdmin(Undeletable):
    list_display = ("name", "category", "kind", "active")
    list_filter = ("category", "kind", "active")
    list_select_related = ("category",)
    search_fields = ("name__icontains", "slug__startswith", "variants__sku__istartswith")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (VariantInline,)


@admin.register(ProductVariant)
class ProductVariantAdmin(Undeletable):
    list_display = ("sku", "product", "name", "stock", "held", "active")
    list_filter = ("active", "product__category")
    list_select_related = ("product",)
    search_fields = ("sku__istartswith", "product__name__icontains")
    readonly_fields = STOCK
    autocomplete_fields = ("product",)
    inlines = (PriceInline,)
