"""What Stripe told, and which secrets proved it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import ReadOnlyAdmin
from apps.payment.admin.filters import EventType
from apps.payment.admin.pages import PagesAdmin, address_of, draw, opens_page
from apps.payment.models import StripeWebhookEvent, StripeWebhookSecret
from apps.payment.webhooks import inbox
from apps.payment.webhooks.snapshots import trimmed

State = StripeWebhookEvent.State
REPLAYED = (*StripeWebhookEvent.WAITING, State.DEAD)


@admin.register(StripeWebhookEvent)
class StripeWebhookEventAdmin(PagesAdmin):
    """The inbox. An event that was given up can be replayed; replaying one that is done changes nothing."""

    list_display = ("stripe_id", "type", "state", "attempts", "reason", "created", "received_at")
    list_filter = ("state", EventType, "livemode", "received_at")
    search_fields = ("stripe_id__exact", "object_id__exact")
    date_hierarchy = "received_at"
    search_help_text = "Stripe's id of an event or of the object that it tells of, in full."
    actions = ("replay_events",)
    actions_detail = ("replay",)
    readonly_fields = ("told", "failure")
    fieldsets = (
        (None, {"fields": ("stripe_id", "type", "state", "reason", "attempts", "failure")}),
        ("What it tells", {"fields": ("object_id", "about", "livemode", "api_version", "told", "trimmed_at")}),
        ("Course", {"fields": ("created", "received_at", "waiting_since", "due_at", "lease_until", "done_at")}),
        ("Proof", {"fields": ("sha256",)}),
    )

    @admin.display(description="payload")
    def told(self, event: StripeWebhookEvent) -> SafeString:
        return _as_written(event.payload)

    @admin.display(description="payload, personal data left out")
    def told_masked(self, event: StripeWebhookEvent) -> SafeString:
        return _as_written(json.dumps(trimmed(json.loads(event.payload))))

    @admin.display(description="last failure")
    def failure(self, event: StripeWebhookEvent) -> SafeString | str:
        return format_html("<pre class=pay-text>{}</pre>", event.last_error) if event.last_error else "None."

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A payload holds what Stripe knows of a buyer: a permission of its own opens that part of it."""
        if self.has_replay_permission(request):
            return self.fieldsets
        return [
            (title, {"fields": tuple("told_masked" if name == "told" else name for name in given["fields"])})
            for title, given in self.fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*super().get_readonly_fields(request, obj), "told_masked")

    @admin.action(description="Replay the selected events", permissions=["replay"])
    def replay_events(self, request: HttpRequest, queryset: QuerySet[StripeWebhookEvent]) -> None:
        count = inbox.replay(queryset)
        messages.success(request, f"{count} events are due again; those that were done stay done.")

    def has_replay_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("payment.change_stripewebhookevent"))

    def useful_pages(self, row: Any) -> Iterable[str]:
        if row.state in REPLAYED:
            yield "replay"

    @opens_page(title="Replay", path="replay", permission="replay")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        event = self.row_or_404(request, object_id)
        if request.method != "POST" and event.state in REPLAYED:
            return draw(self, request, "replay.html", title=f"Replay {event.stripe_id}", row=event)
        if inbox.replay(StripeWebhookEvent.objects.filter(pk=event.pk)):
            self.note(request, event, "Replayed.")
            messages.success(request, "The event is due again; the worker takes it at once.")
        else:
            messages.warning(request, f"This event is {event.get_state_display()}. Nothing was replayed.")
        return redirect(address_of(event))


@admin.register(StripeWebhookSecret)
class StripeWebhookSecretAdmin(ReadOnlyAdmin):
    """Which secret verifies events; one that stopped when it was rolled can be taken out of the environment."""

    list_display = ("fingerprint", "first_seen_at", "last_verified_at")


def _as_written(payload: str) -> SafeString:
    """JSON as people read it, in the letters that it stands for."""
    text = json.dumps(json.loads(payload), indent=2, ensure_ascii=False).encode("utf-8", "replace").decode()
    return format_html("<pre class=pay-text>{}</pre>", text.replace("\x00", "\ufffd"))
