"""Payments as staff see them."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import TabularInline

from apps.common.admin import MajorUnits, ReadOnlyAdmin, ReadOnlyInline
from apps.payment.models import Payment, PaymentLog


class PaymentLogInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    model = PaymentLog
    fields = ("at", "kind", "from_status", "to_status", "detail", "object_id", "event_id")
    readonly_fields = fields


@admin.register(Payment)
class PaymentAdmin(MajorUnits, ReadOnlyAdmin):
    """What Stripe and the ledger own is read here and changed nowhere."""

    list_display = ("pk", "order", "status", "total", "currency", "applied", "problem", "card", "created_at")
    list_filter = ("status", "problem", "applied", "currency", "brand", "livemode", "created_at")
    search_fields = (
        "order__number__startswith",
        "order__email__istartswith",
        "stripe_session_id__exact",
        "stripe_payment_intent_id__exact",
        "stripe_charge_id__exact",
        "reference__exact",
        "last4__exact",
    )
    date_hierarchy = "created_at"
    list_select_related = ("order",)
    inlines = (PaymentLogInline,)
    exclude = ("amount", "amount_captured", "amount_refunded", "request_params", "checkout_url")
    money_fields = {"total": "amount", "captured": "amount_captured", "refunded": "amount_refunded"}

    @admin.display(description="card")
    def card(self, payment: Payment) -> str:
        return f"{payment.brand} {payment.last4}".strip() or payment.method_type
