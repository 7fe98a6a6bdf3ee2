"""Holds and movements for staff."""

from __future__ import annotations

from django.contrib import admin

from apps.common.admin import ReadOnlyAdmin
from apps.inventory.models import StockHold, StockMovement


@admin.register(StockHold)
class StockHoldAdmin(ReadOnlyAdmin):
    list_display = ("variant", "order_id", "quantity", "state", "created_at", "ended_at")
    list_filter = ("state", "created_at")
    search_fields = ("variant__sku__startswith", "order_id__exact")
    list_select_related = ("variant__product",)


@admin.register(StockMovement)
class StockMovementAdmin(ReadOnlyAdmin):
    list_display = ("variant", "quantity", "kind", "order_id", "reason", "created_at")
    list_filter = ("kind", "created_at")
    search_fields = ("variant__sku__startswith", "order_id__exact")
    date_hierarchy = "created_at"
    list_select_related = ("variant__product",)
