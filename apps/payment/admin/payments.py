"""Payments as staff see them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.admin import TabularInline

from apps.catalog.filters import Currency
from apps.common.admin import MajorUnits, ReadOnlyInline
from apps.common.money import to_major
from apps.payment.admin import capturing, refunding
from apps.payment.admin.filters import Amount, Brand, Method, Reserved, found_by
from apps.payment.admin.pages import PagesAdmin, link_to, opens_page
from apps.payment.models import Dispute, Payment, PaymentLog, Refund
from apps.payment.services.capturing import is_reserved
from apps.payment.services.giving_back import MOST
from apps.payment.services.refunds import left_of


class PaymentLogInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    model = PaymentLog
    hide_title = True
    fields = ("at", "kind", "change", "detail", "object_id", "event_id")
    readonly_fields = fields

    @admin.display(description="status")
    def change(self, row: PaymentLog) -> str:
        return row.to_status if row.from_status in ("", row.to_status) else f"{row.from_status} → {row.to_status}"


class MoneyInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    hide_title = True

    @admin.display(description="amount")
    def total(self, row: Refund | Dispute) -> SafeString:
        return link_to(row, str(row.money))


class RefundInline(MoneyInline):
    model = Refund
    fields = ("total", "status", "reason", "source", "created_at")
    readonly_fields = fields


class DisputeInline(MoneyInline):
    model = Dispute
    fields = ("total", "status", "reason", "due_by")
    readonly_fields = fields


PLACES = (
    (r"ORD-.*", "order__number__startswith"),
    (r"cs_.*", "stripe_session_id"),
    (r"pi_.*", "stripe_payment_intent_id"),
    (r"ch_.*|py_.*", "stripe_charge_id"),
    (r"pp_.*", "reference"),
    (r"\d{4}", "last4"),
    (r".*", "order__email"),
)


@admin.register(Payment)
class PaymentAdmin(MajorUnits, PagesAdmin):
    """What Stripe and the ledger own is read here and changed nowhere."""

    list_display = ("pk", "order", "status", "total", "currency", "applied", "problem", "card", "created_at")
    list_filter = (
        "status",
        Reserved,
        "problem",
        "applied",
        "disputed",
        Currency,
        Amount,
        Method,
        Brand,
        "livemode",
        "created_at",
    )
    list_filter_submit = True
    date_hierarchy = "created_at"
    search_fields = ("order__number", "order__email", "stripe_payment_intent_id", "last4")
    search_help_text = "An order's number, an e-mail address, an id of Stripe's, or a card's last four digits."
    list_select_related = ("order",)
    actions = ("process_refunds",)
    actions_detail = ("refund", "capture", "release")
    inlines = (RefundInline, DisputeInline, PaymentLogInline)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "order",
                    "status",
                    "total",
                    "captured",
                    "refunded",
                    "lost",
                    "left",
                    "currency",
                    "applied",
                    "problem",
                    "disputed",
                    "failure_code",
                    "failure_message",
                )
            },
        ),
        ("Method", {"fields": ("method_type", "brand", "last4", "saves_method", "receipt_url")}),
        (
            "At Stripe",
            {
                "fields": (
                    "channel",
                    "stripe_session_id",
                    "session_status",
                    "session_payment_status",
                    "session_expires_at",
                    "stripe_payment_intent_id",
                    "intent_status",
                    "stripe_charge_id",
                    "stripe_customer_id",
                    "stripe_method_id",
                    "reference",
                    "livemode",
                )
            },
        ),
        (
            "Course",
            {
                "fields": (
                    "attempt",
                    "closing",
                    "created_at",
                    "asked_at",
                    "paid_at",
                    "capture_decision",
                    "capture_decided_by",
                    "capture_decided_at",
                )
            },
        ),
    )
    readonly_fields = ("left",)
    money_fields = {
        "total": "amount",
        "captured": "amount_captured",
        "refunded": "amount_refunded",
        "lost": "amount_lost",
    }

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Payment], search_term: str
    ) -> tuple[QuerySet[Payment], bool]:
        return found_by(queryset, search_term, PLACES), False

    @admin.display(description="card")
    def card(self, payment: Payment) -> str:
        return f"{payment.brand} {payment.last4}".strip() or payment.method_type

    @admin.display(description="left to refund")
    def left(self, payment: Payment) -> str:
        return to_major(left_of(payment), payment.currency)

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "process-refunds/",
            self.admin_site.admin_view(self.process_refunds_view),
            name="payment_payment_process_refunds",
        )
        return [own, *super().get_urls()]

    def has_issue_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("payment.issue_refund"))

    @admin.action(description="Process Stripe refunds", permissions=["issue"])
    def process_refunds(self, request: HttpRequest, queryset: QuerySet[Payment]) -> HttpResponseBase:
        selected = queryset.select_related("order")[: MOST + 1]
        return refunding.choose_amounts(self, request, list(selected))

    def process_refunds_view(self, request: HttpRequest) -> HttpResponseBase:
        if not (self.has_issue_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        if request.method != "POST":
            return redirect(refunding.LIST)
        return refunding.process_many(self, request)

    @opens_page(title="Refund", path="refund", permission="issue")
    def refund(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        return refunding.refund_one(self, request, self.row_or_404(request, object_id))

    def has_capture_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("payment.capture_payment"))

    @opens_page(title="Take the money", path="capture", permission="capture")
    def capture(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        return capturing.take(self, request, self.row_or_404(request, object_id))

    @opens_page(title="Give the reservation up", path="release", permission="capture", danger=True)
    def release(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        return capturing.give_up(self, request, self.row_or_404(request, object_id))

    def useful_pages(self, row: Any) -> Iterable[str]:
        if row.is_settled:
            yield "refund"
        if is_reserved(row) and not row.capture_decision:
            yield from ("capture", "release")
