"""Refunds as staff see them: requests are decided, and refunds by amount get their lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.safestring import SafeString
from unfold.admin import TabularInline

from apps.catalog.filters import Currency
from apps.common.admin import MajorUnits, ReadOnlyInline
from apps.common.errors import DomainError
from apps.payment.admin.filters import Amount, Reason, found_by
from apps.payment.admin.forms import ApproveForm, LinesForm, NoteForm
from apps.payment.admin.pages import PagesAdmin, address_of, draw, link_to, opens_page, posted, staff_of
from apps.payment.models import Refund, RefundItem
from apps.payment.services import refund_requests
from apps.payment.services.assigning import NotAssignable, assign_lines, can_be_assigned, lines_left
from apps.payment.services.carrying_out import carry_out
from apps.payment.services.giving_back import offers_of, sentence_of

PLACES = (
    (r"ORD-.*", "payment__order__number__startswith"),
    (r"re_.*|pyr_.*", "stripe_refund_id"),
    (r"pi_.*", "payment__stripe_payment_intent_id"),
    (r"ch_.*|py_.*", "payment__stripe_charge_id"),
    (r"pr_.*", "reference"),
    (r".*", "payment__order__email"),
)


class RefundItemInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    model = RefundItem
    hide_title = True
    fields = ("order_item", "quantity", "restock", "restocked_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("order_item")


@admin.register(Refund)
class RefundAdmin(MajorUnits, PagesAdmin):
    """Refunds are made on a payment's page. Here requests are decided and lines assigned."""

    list_display = ("pk", "order", "total", "currency", "status", "source", "why", "created_at")
    list_filter = ("status", "source", Reason, Currency, Amount, "created_at")
    list_filter_submit = True
    date_hierarchy = "created_at"
    search_fields = ("payment__order__number", "stripe_refund_id")
    search_help_text = "An order's number, an e-mail address, or an id of Stripe's."
    actions_detail = ("approve", "reject", "assign")
    inlines = (RefundItemInline,)
    readonly_fields = ("order", "why")
    money_fields = {"total": "amount"}
    fieldsets = (
        (None, {"fields": ("order", "payment", "total", "currency", "status", "why", "description", "source")}),
        ("People", {"fields": ("requested_by", "decided_by", "decided_at", "decision_note")}),
        (
            "At Stripe",
            {
                "fields": (
                    "stripe_refund_id",
                    "stripe_status",
                    "failure_code",
                    "reference",
                    "tries",
                    "next_try_at",
                    "created_at",
                    "succeeded_at",
                )
            },
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Refund], search_term: str
    ) -> tuple[QuerySet[Refund], bool]:
        return found_by(queryset, search_term, PLACES), False

    @admin.display(description="order", ordering="payment__order")
    def order(self, refund: Refund) -> SafeString:
        return link_to(refund.payment.order)

    @admin.display(description="reason", ordering="reason")
    def why(self, refund: Refund) -> str:
        return refund.reason.replace("_", " ")

    def has_decide_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("payment.decide_refund"))

    def has_issue_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("payment.issue_refund"))

    def useful_pages(self, row: Any) -> Iterable[str]:
        if row.status == Refund.Status.REQUESTED:
            yield from ("approve", "reject")
        elif can_be_assigned(row):
            yield "assign"

    @opens_page(title="Approve", path="approve", permission="decide")
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        refund = self.row_or_404(request, object_id)
        if refund.status != Refund.Status.REQUESTED:
            return _decided_already(request, refund)
        form = ApproveForm(posted(request))
        if request.method == "POST" and form.is_valid():
            try:
                refund = refund_requests.approve(refund, by=staff_of(request), restock=form.cleaned_data["restock"])
                self.note(request, refund, f"Approved: {refund.money}.")
                refund = carry_out(refund)
            except DomainError as refusal:
                messages.error(request, sentence_of(refusal))
            else:
                messages.success(
                    request, f"{refund.money}, approved. The refund's status is now: {refund.get_status_display()}."
                )
            return redirect(address_of(refund))
        [offer] = offers_of([refund.payment])
        items = list(refund.items.select_related("order_item__variant"))
        return draw(
            self,
            request,
            "approve.html",
            title=f"Approve the refund of {refund.money}",
            row=refund,
            form=form,
            reason=self.why(refund),
            items=items,
            counted=any(item.order_item.variant.stock is not None for item in items),
            offer=offer,
        )

    @opens_page(title="Reject", path="reject", permission="decide", danger=True)
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        refund = self.row_or_404(request, object_id)
        if refund.status != Refund.Status.REQUESTED:
            return _decided_already(request, refund)
        form = NoteForm(posted(request))
        if request.method == "POST" and form.is_valid():
            try:
                refund = refund_requests.reject(refund, by=staff_of(request), note=form.cleaned_data["note"])
            except DomainError as refusal:
                messages.error(request, sentence_of(refusal))
            else:
                self.note(request, refund, f"Rejected: {form.cleaned_data['note']}")
                messages.success(request, f"The request for {refund.money} is rejected.")
            return redirect(address_of(refund))
        return draw(
            self,
            request,
            "reject.html",
            title=f"Reject the refund of {refund.money}",
            row=refund,
            form=form,
            reason=self.why(refund),
        )

    @opens_page(title="Assign lines", path="assign", permission="issue")
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        refund = self.row_or_404(request, object_id)
        if not can_be_assigned(refund):
            messages.error(request, NotAssignable.message)
            return redirect(address_of(refund))
        form = LinesForm(lines_left(refund.payment), posted(request))
        if request.method == "POST" and form.is_valid():
            lines = form.chosen()
            try:
                assign_lines(refund, lines=lines, by=staff_of(request))
            except DomainError as refusal:
                form.add_error(None, sentence_of(refusal))
            else:
                units = sum(line.quantity for line in lines)
                self.note(request, refund, f"Assigned to lines, {units} units in all.")
                messages.success(request, "The lines are assigned.")
                return redirect(address_of(refund))
        return draw(self, request, "assign.html", title=f"Lines of the refund of {refund.money}", row=refund, form=form)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("payment__order")


def _decided_already(request: HttpRequest, refund: Refund) -> HttpResponseBase:
    messages.warning(request, f"This refund is not waiting for a decision: it is {refund.get_status_display()}.")
    return redirect(address_of(refund))
