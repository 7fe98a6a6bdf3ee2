"""E-mails for staff: what was sent, what failed and why."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.common.admin import ReadOnlyAdmin
from apps.notifications.models import Mail
from apps.notifications.services import send_again


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    list_display = ("kind", "key", "recipient", "state", "attempts", "created_at", "sent_at")
    list_filter = ("state", "kind", "created_at")
    search_fields = ("recipient__istartswith", "key__exact")
    actions = ("send_again",)

    @admin.action(description="Send the selected e-mails again", permissions=["resend"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Mail]) -> None:
        messages.success(request, f"{send_again(queryset)} e-mails are due again.")

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("notifications.change_mail"))
