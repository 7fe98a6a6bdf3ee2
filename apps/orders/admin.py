"""Orders for staff: found by number, e-mail or what Stripe calls them."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import TabularInline

from apps.common.admin import MajorUnits, ReadOnlyAdmin, ReadOnlyInline
from apps.common.money import to_major
from apps.orders.models import Order, OrderItem, OrderTransition


class OrderItemInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    model = OrderItem
    fields = ("sku", "name", "quantity", "price", "line", "refunded_quantity")
    readonly_fields = fields

    @admin.display(description="unit price")
    def price(self, item: OrderItem) -> str:
        return to_major(item.unit_price, item.order.currency)

    @admin.display(description="line total")
    def line(self, item: OrderItem) -> str:
        return to_major(item.line_total, item.order.currency)


class OrderTransitionInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    model = OrderTransition
    fields = ("seq", "at", "to_status", "to_payment_status", "reason")
    readonly_fields = fields


@admin.register(Order)
class OrderAdmin(MajorUnits, ReadOnlyAdmin):
    """States are moved by payments and by the shop's services, never typed in."""

    list_display = ("number", "status", "payment_status", "grand_total", "currency", "email", "created_at", "paid_at")
    list_filter = ("status", "payment_status", "ended", "disputed", "currency", "created_at")
    search_fields = (
        "number__startswith",
        "email__istartswith",
        "payments__stripe_session_id__exact",
        "payments__stripe_payment_intent_id__exact",
    )
    date_hierarchy = "created_at"
    inlines = (OrderItemInline, OrderTransitionInline)
    exclude = ("subtotal", "discount", "shipping", "tax", "total", "placed_from")
    money_fields = {"sub_total": "subtotal", "grand_total": "total"}
