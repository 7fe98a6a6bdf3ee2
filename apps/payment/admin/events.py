"""What Stripe told, and which secrets proved it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.common.admin import ReadOnlyAdmin
from apps.payment.admin.filters import EventType
from apps.payment.models import StripeWebhookEvent, StripeWebhookSecret
from apps.payment.webhooks import inbox


@admin.register(StripeWebhookEvent)
class StripeWebhookEventAdmin(ReadOnlyAdmin):
    """The inbox. An event that was given up can be replayed; replaying one that is done changes nothing."""

    list_display = ("stripe_id", "type", "state", "attempts", "reason", "created", "received_at")
    list_filter = ("state", EventType, "livemode", "received_at")
    search_fields = ("stripe_id__exact", "object_id__exact")
    actions = ("replay_events",)

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A payload holds what Stripe knows of a buyer: a permission of its own opens it."""
        return () if request.user.has_perm("payment.change_stripewebhookevent") else ("payload",)

    @admin.action(description="Replay the selected events", permissions=["replay"])
    def replay_events(self, request: HttpRequest, queryset: QuerySet[StripeWebhookEvent]) -> None:
        count = inbox.replay(queryset)
        messages.success(request, f"{count} events are due again; those that were done stay done.")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("payment.change_stripewebhookevent"))


@admin.register(StripeWebhookSecret)
class StripeWebhookSecretAdmin(ReadOnlyAdmin):
    """Which secret verifies events; one that stopped when it was rolled can be taken out of the environment."""

    list_display = ("fingerprint", "first_seen_at", "last_verified_at")
