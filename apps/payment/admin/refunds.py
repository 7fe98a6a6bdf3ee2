"""Refunds as staff see them."""

from __future__ import annotations

from django.contrib import admin

from apps.common.admin import MajorUnits, ReadOnlyAdmin
from apps.payment.models import Refund


@admin.register(Refund)
class RefundAdmin(MajorUnits, ReadOnlyAdmin):
    list_display = ("pk", "payment", "total", "currency", "status", "reason", "created_at")
    list_filter = ("status", "reason", "currency", "created_at")
    search_fields = ("stripe_refund_id__exact", "payment__order__number__startswith")
    list_select_related = ("payment",)
    exclude = ("amount", "idempotency_key")
    money_fields = {"total": "amount"}
