"""Deliveries for staff: failed ones can be made due again."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.common.admin import ReadOnlyAdmin
from apps.outbox import services
from apps.outbox.models import Delivery


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("kind", "key", "subscriber", "state", "attempts", "due_at", "done_at")
    list_filter = ("state", "kind", "subscriber")
    search_fields = ("key__exact",)
    actions = ("deliver_again",)

    @admin.action(description="Make the selected failed deliveries due again", permissions=["revive"])
    def deliver_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        messages.success(request, f"{services.revive(queryset)} deliveries are due again; done ones stay done.")

    def has_revive_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("outbox.change_delivery"))
