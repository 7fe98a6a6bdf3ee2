"""Payments, refunds, cases and events for staff: everything can be found, and only what is safe can be done."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from apps.common.admin import MajorUnits, ReadOnlyAdmin, ReadOnlyInline
from apps.payment.models import (
    AttentionCase,
    Payment,
    PaymentLog,
    Refund,
    StripeWebhookEvent,
    StripeWebhookSecret,
)
from apps.payment.webhooks import inbox


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


@admin.register(Refund)
class RefundAdmin(MajorUnits, ReadOnlyAdmin):
    list_display = ("pk", "payment", "total", "currency", "status", "reason", "created_at")
    list_filter = ("status", "reason", "currency", "created_at")
    search_fields = ("stripe_refund_id__exact", "payment__order__number__startswith")
    list_select_related = ("payment",)
    exclude = ("amount", "idempotency_key")
    money_fields = {"total": "amount"}


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


@admin.register(StripeWebhookEvent)
class StripeWebhookEventAdmin(ReadOnlyAdmin):
    """The inbox. An event that was given up can be replayed; replaying one that is done changes nothing."""

    list_display = ("stripe_id", "type", "state", "attempts", "reason", "created", "received_at")
    list_filter = ("state", "type", "livemode", "received_at")
    search_fields = ("stripe_id__exact", "object_id__exact")
    date_hierarchy = "received_at"
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
