"""What a person has to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.payment.models import AttentionCase


@admin.register(AttentionCase)
class AttentionCaseAdmin(ModelAdmin):  # type: ignore[misc]
    """Money that a person has to look at. Solving a case needs a note and stays in the list."""

    list_display = ("kind", "payment", "detail", "opened_at", "solved_at")
    list_filter = ("kind", ("solved_at", admin.EmptyFieldListFilter))
    search_fields = ("payment__order__number__startswith",)
    list_select_related = ("payment",)
    readonly_fields = ("payment", "kind", "detail", "opened_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
