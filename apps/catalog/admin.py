"""The catalogue for staff. What was ever sold is deactivated, never deleted; stock is moved by services alone."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import get_language
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.catalog.models import Category, Price, Product, ProductVariant
from apps.catalog.selectors import low_on_stock
from apps.common import money

STOCK = ("stock", "held", "opening_stock")


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A price as a person writes it: `12.50 USD`."""

    price = forms.CharField(
        max_length=16, widget=UnfoldAdminTextInputWidget, help_text="Of one unit, such as 12.50, tax included."
    )

    class Meta:
        model = Price
        fields = ("currency", "price")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["price"] = money.to_major(self.instance.amount, self.instance.currency)

    def clean_currency(self) -> str:
        currency = str(self.cleaned_data["currency"]).upper()
        if currency not in money.CURRENCIES:
            raise forms.ValidationError("Not a currency that Stripe supports.")
        return currency

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "currency" in cleaned and "price" in cleaned:
            try:
                amount = money.to_minor(cleaned["price"], cleaned["currency"])
                money.check_amount(amount, cleaned["currency"])
            except money.InvalidAmount as reason:
                self.add_error("price", str(reason))
            else:
                self.instance.amount = amount
        return cleaned


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

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProductVariant]:
        """With the product, whose name stands above each row."""
        found: QuerySet[ProductVariant] = super().get_queryset(request)
        return found.select_related("product")


class PriceInline(TabularInline):  # type: ignore[misc]
    model = Price
    form = PriceForm
    fields = ("currency", "price")
    extra = 0


@admin.register(Category)
class CategoryAdmin(Undeletable):
    list_display = ("name", "slug", "position")
    list_editable = ("position",)
    search_fields = ("name__icontains",)
    prepopulated_fields = {"slug": ("name",)}


@admin.register(Product)
class ProductAdmin(Undeletable):
    list_display = ("name", "category", "kind", "needs_account", "active")
    list_filter = ("category", "kind", "needs_account", "active")
    list_select_related = ("category",)
    search_fields = ("name__icontains", "slug__startswith", "variants__sku__istartswith")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (VariantInline,)


class LowOnStock(admin.SimpleListFilter):
    title = "stock"
    parameter_name = "low"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "low, and on sale")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=low_on_stock().values("pk")) if self.value() == "1" else queryset


@admin.register(ProductVariant)
class ProductVariantAdmin(Undeletable):
    list_display = ("sku", "product", "name", "stock", "held", "active")
    list_filter = (LowOnStock, "active", "product__category")
    list_select_related = ("product",)
    search_fields = ("sku__istartswith", "product__name__icontains")
    readonly_fields = STOCK
    autocomplete_fields = ("product",)
    inlines = (PriceInline,)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """A price below the smallest payment is advised against, not refused: a cart may hold more than this."""
        super().save_formset(request, form, formset, change)
        if formset.model is not Price:
            return
        for price in (*formset.new_objects, *(row for row, _ in formset.changed_objects)):
            if money.is_below_minimum(price.amount, price.currency):
                smallest = money.SMALLEST_PAYMENTS[price.currency]
                shown, least = (
                    money.format_money(amount, price.currency, get_language() or "en")
                    for amount in (price.amount, smallest)
                )
                messages.warning(request, f"{shown} is less than Stripe takes in one payment, which is {least}.")
