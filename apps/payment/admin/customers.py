"""Buyers as Stripe knows them and what they saved there, for reading alone."""

from __future__ import annotations

from django.contrib import admin

from apps.common.admin import ReadOnlyAdmin
from apps.payment.admin.filters import Brand
from apps.payment.models import PaymentMethod, StripeCustomer


@admin.register(StripeCustomer)
class StripeCustomerAdmin(ReadOnlyAdmin):
    list_display = ("user", "stripe_customer_id", "livemode", "stale", "created_at")
    list_filter = ("livemode", "stale", "created_at")
    search_fields = ("user__email__istartswith", "stripe_customer_id__exact")
    list_select_related = ("user",)
    # The parameters hold the buyer's address and name as they once were.
    exclude = ("idempotency_key", "request_params")


@admin.register(PaymentMethod)
class PaymentMethodAdmin(ReadOnlyAdmin):
    """Brand, last four and expiry: more than that never leaves Stripe."""

    list_display = ("user", "type", "brand", "last4", "expiry", "is_default", "state", "created_at")
    list_filter = ("state", "is_default", Brand, "created_at")
    search_fields = ("user__email__istartswith", "stripe_payment_method_id__exact", "last4__exact")
    list_select_related = ("user",)
    fields = (
        "user",
        "customer",
        "type",
        "brand",
        "last4",
        "expiry",
        "is_default",
        "state",
        "stripe_payment_method_id",
        "told_at",
        "created_at",
    )
    readonly_fields = ("expiry",)

    @admin.display(description="expiry", ordering="exp_year")
    def expiry(self, method: PaymentMethod) -> str:
        return f"{method.exp_month:02}/{method.exp_year}" if method.exp_month and method.exp_year else ""
