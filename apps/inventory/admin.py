"""Holds and movements for staff."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from apps.catalog.models import ProductVariant
from apps.common.admin import ReadOnlyAdmin
from apps.inventory.models import StockHold, StockMovement

MOST_VARIANTS = 200
"""How many variants a search looks at whose SKUs begin as it does."""


class FoundByOrder:
    """By the beginning of a SKU or by an order's id, each by an index."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.replace("\x00", "").strip()
        if not term:
            return queryset, False
        variants = ProductVariant.objects.filter(sku__startswith=term).order_by("sku").values_list("pk", flat=True)
        meant = Q(variant__in=list(variants[:MOST_VARIANTS]))
        if re.fullmatch(r"\d{1,18}", term, re.ASCII):  # what is longer is no id, and too long for Python to read
            meant |= Q(order_id=int(term))
        return queryset.filter(meant), False


@admin.register(StockHold)
class StockHoldAdmin(FoundByOrder, ReadOnlyAdmin):
    list_display = ("variant", "order_id", "quantity", "state", "created_at", "ended_at")
    list_filter = ("state", "created_at")
    search_fields = ("variant__sku__startswith", "order_id__exact")
    list_select_related = ("variant__product",)


@admin.register(StockMovement)
class StockMovementAdmin(FoundByOrder, ReadOnlyAdmin):
    list_display = ("variant", "quantity", "kind", "order_id", "reason", "created_at")
    list_filter = ("kind", "created_at")
    search_fields = ("variant__sku__startswith", "order_id__exact")
    date_hierarchy = "created_at"
    list_select_related = ("variant__product",)
