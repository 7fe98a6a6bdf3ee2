"""Deliveries for staff: failed ones can be made due again."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.common.admin import ReadOnlyAdmin
from apps.common.filters import by_choice
from apps.outbox import services
from apps.outbox.models import Delivery


def kinds() -> list[tuple[str, str]]:
    return [(kind, kind) for kind in sorted(services.subscribers())]


def subscribers() -> list[tuple[str, str]]:
    names = {name for each in services.subscribers().values() for name in each}
    return [(name, name) for name in sorted(names)]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("kind", "key", "subscriber", "state", "attempts", "due_at", "done_at")
    list_filter = ("state", by_choice("kind", kinds), by_choice("subscriber", subscribers))
    search_fields = ("key__exact",)
    actions = ("deliver_again",)

    @admin.action(description="Make the selected failed deliveries due again", permissions=["revive"])
    def deliver_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        messages.success(request, f"{services.revive(queryset)} deliveries are due again; done ones stay done.")

    def has_revive_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("outbox.change_delivery"))
