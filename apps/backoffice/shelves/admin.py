"""Products and variants with what hangs on them: prices, pictures, holds and movements."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from apps.catalog.admin import ProductAdmin, ProductVariantAdmin, VariantInline
from apps.catalog.models import Product, ProductVariant
from apps.common.errors import DomainError
from apps.inventory.imports.rows import MAX_STOCK
from apps.inventory.models import StockHold, StockMovement
from apps.inventory.services import adjust, begin_counting
from apps.orders.models import Order
from apps.payment.admin.pages import address_of, opens_page, posted

SHOWN = 20

for model in (Product, ProductVariant):
    admin.site.unregister(model)


class StockForm(forms.Form):
    """How many come or go, and why. The page's mark makes it work once."""

    page = forms.RegexField(r"^[0-9a-f]{32}$", widget=forms.HiddenInput)
    quantity = forms.IntegerField(
        min_value=-MAX_STOCK,
        max_value=MAX_STOCK,
        label="Units",
        widget=UnfoldAdminIntegerFieldWidget(attrs={"autofocus": True}),
    )
    reason = forms.CharField(max_length=200, label="Why", widget=UnfoldAdminTextInputWidget)

    def __init__(self, variant: ProductVariant, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.variant = variant
        counted = variant.stock is not None
        self.fields["quantity"].help_text = (
            "12 adds twelve, -3 takes three out."
            if counted
            else "How many there are now. From then on the stock is counted, and no more can be sold."
        )

    def clean_quantity(self) -> int:
        quantity = int(self.cleaned_data["quantity"])
        if self.variant.stock is None and quantity < 0:
            raise forms.ValidationError("There cannot be less than nothing.")
        if self.variant.stock is not None and quantity == 0:
            raise forms.ValidationError("Nothing would move.")
        return quantity


class PricedVariantInline(VariantInline):
    """With its prices in every currency; they are edited on the variant's page."""

    fields = (*VariantInline.fields, "prices_shown")  # type: ignore[assignment]
    readonly_fields = (*VariantInline.readonly_fields, "prices_shown")  # type: ignore[assignment]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProductVariant]:
        return super().get_queryset(request).prefetch_related("prices")

    @admin.display(description="prices")
    def prices_shown(self, variant: ProductVariant) -> str:
        return ", ".join(map(str, variant.prices.all())) or "none: it cannot be bought"


@admin.register(Product)
class ProductPages(ProductAdmin):
    inlines = (PricedVariantInline,)
    readonly_fields = ("picture",)

    @admin.display(description="picture")
    def picture(self, product: Product) -> SafeString | str:
        """As the shop's pages show it."""
        if not product.image_url:
            return "None. Write its address into the image url."
        return format_html('<img src="{}" alt="" loading="lazy" style="max-width:12rem">', product.image_url)


@admin.register(ProductVariant)
class VariantPages(ProductVariantAdmin):
    """Stock is read here and moved on a page of its own, never typed over."""

    actions_detail = ("move_stock",)

    def has_stock_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("inventory.adjust_stock"))

    @opens_page(title="Stock", path="stock", permission="stock")
    def move_stock(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        variant = self.get_object(request, object_id)
        if not isinstance(variant, ProductVariant):
            raise Http404
        form = StockForm(variant, posted(request), initial={"page": secrets.token_hex(16)})
        if request.method == "POST" and form.is_valid():
            try:
                said = _move(variant, **form.cleaned_data)
            except DomainError as refusal:
                form.add_error(None, f"{refusal.message} Nothing was moved.")
            else:
                self.log_change(request, variant, said)
                messages.success(request, f"{variant.sku}: {said}")
                return redirect(address_of(variant))
        holds = StockHold.objects.filter(variant=variant, state=StockHold.State.ACTIVE).order_by("pk")[:SHOWN]
        numbers = dict(Order.objects.filter(pk__in=[hold.order_id for hold in holds]).values_list("pk", "number"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Stock of {variant.sku}",
            "opts": self.opts,
            "original": variant,
            "form": form,
            "holds": [(hold, numbers.get(hold.order_id, "")) for hold in holds],
            "movements": StockMovement.objects.filter(variant=variant).order_by("-pk")[:SHOWN],
            "sees_orders": request.user.has_perm("orders.view_order"),
        }
        return TemplateResponse(request, "backoffice/stock.html", context)


def _move(variant: ProductVariant, *, page: str, quantity: int, reason: str) -> str:
    """Raises DomainError; nothing has moved then."""
    effect = f"page-{page}/{variant.pk}"
    with transaction.atomic():
        if variant.stock is None:
            begin_counting(variant_id=variant.pk, quantity=quantity, reason=reason, effect=effect)
            return f"Counted from now on, {quantity} in stock."
        adjust(variant_id=variant.pk, quantity=quantity, reason=reason, effect=effect)
        return f"{quantity:+d} in stock."
