"""The dispute desk: what is due when, a draft of evidence, and the two answers, both of them final."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.catalog.filters import Currency
from apps.common.admin import MajorUnits
from apps.common.errors import DomainError, InvalidInput
from apps.common.money import Money
from apps.payment.admin.filters import Amount
from apps.payment.admin.pages import PagesAdmin, address_of, draw, link_to, opens_page, posted, staff_of
from apps.payment.models import Dispute
from apps.payment.services import disputes as service
from apps.payment.services.evidence import TEXTS
from apps.payment.services.giving_back import sentence_of

GROUPS: dict[str, tuple[str, ...]] = {
    "What was bought": ("product_description", "service_date"),
    "Who bought it": (
        "customer_name",
        "customer_email_address",
        "billing_address",
        "customer_purchase_ip",
        "access_activity_log",
    ),
    "How it was sent": ("shipping_address", "shipping_carrier", "shipping_date", "shipping_tracking_number"),
    "What was agreed": (
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
    ),
    "If it looks like a duplicate": ("duplicate_charge_id", "duplicate_charge_explanation"),
    "Everything else": ("uncategorized_text",),
}
"""Stripe's fields as the form shows them."""

SHORT = {
    "customer_name",
    "customer_email_address",
    "customer_purchase_ip",
    "duplicate_charge_id",
    "service_date",
    "shipping_carrier",
    "shipping_date",
    "shipping_tracking_number",
}


class EvidenceForm(forms.Form):
    """A draft in Stripe's own fields. Texts that are left empty are not sent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in TEXTS:
            widget = UnfoldAdminTextInputWidget() if name in SHORT else UnfoldAdminTextareaWidget(attrs={"rows": 4})
            self.fields[name] = forms.CharField(required=False, label=_label(name), widget=widget)

    def clean(self) -> dict[str, Any]:
        """Browsers send a new line as two characters."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        return {name: text.replace("\r\n", "\n") for name, text in cleaned.items()}

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [(title, [self[name] for name in names]) for title, names in GROUPS.items()]


@admin.register(Dispute)
class DisputeAdmin(MajorUnits, PagesAdmin):
    """What Stripe tells of disputes, the most urgent first."""

    list_display = ("deadline", "order", "total", "currency", "status", "reason", "decision", "created_at")
    list_display_links = ("deadline",)
    list_filter = (
        "status",
        "reason",
        "decision",
        Currency,
        Amount,
        ("closed_at", admin.EmptyFieldListFilter),
        "due_by",
    )
    search_fields = (
        "stripe_dispute_id__exact",
        "stripe_charge_id__exact",
        "payment__order__number__startswith",
        "payment__order__email__istartswith",
    )
    list_filter_submit = True
    date_hierarchy = "created_at"
    ordering = (F("closed_at").desc(nulls_first=True), "due_by", "-pk")
    actions_detail = ("evidence", "submit", "accept")
    readonly_fields = ("order", "moved")
    money_fields = {"total": "amount"}
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "order",
                    "payment",
                    "total",
                    "currency",
                    "status",
                    "reason",
                    "network_reason_code",
                    "due_by",
                    "past_due",
                    "moved",
                    "charge_refundable",
                )
            },
        ),
        (
            "Answer",
            {"fields": ("decision", "decided_by", "decided_at", "decision_done_at", "has_evidence", "submissions")},
        ),
        ("At Stripe", {"fields": ("stripe_dispute_id", "stripe_charge_id", "created_at", "told_at", "closed_at")}),
    )

    @admin.display(description="answer by", ordering="due_by")
    def deadline(self, dispute: Dispute) -> str:
        if dispute.is_over:
            return "closed"
        if dispute.due_by is None:
            return "no deadline"
        day = f"{dispute.due_by:%Y-%m-%d %H:%M}"
        return f"{day} (over)" if dispute.due_by <= timezone.now() and dispute.can_be_answered else day

    @admin.display(description="order", ordering="payment__order")
    def order(self, dispute: Dispute) -> SafeString:
        return link_to(dispute.payment.order)

    @admin.display(description="moved so far")
    def moved(self, dispute: Dispute) -> str:
        """Negative once the bank has taken the money."""
        return str(Money(dispute.net_moved, dispute.currency))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dispute]:
        found: QuerySet[Dispute] = super().get_queryset(request)
        return found.select_related("payment__order")

    def has_answer_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("payment.answer_dispute"))

    def useful_pages(self, row: Any) -> Iterable[str]:
        if row.can_be_answered:
            yield from ("evidence", "submit", "accept") if _has_draft(row) else ("evidence", "accept")

    @opens_page(title="Evidence", path="evidence", permission="answer")
    def evidence(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        dispute = self.row_or_404(request, object_id)
        if not dispute.can_be_answered:
            return _not_answerable(request, dispute)
        form = EvidenceForm(posted(request), initial=service.evidence_of(dispute))
        if request.method == "POST" and form.is_valid():
            try:
                service.save_draft(dispute, form.cleaned_data, by=staff_of(request))
            except InvalidInput as refusal:
                for name, sentences in refusal.data["fields"].items():
                    form.add_error(name, sentences)
            except DomainError as refusal:
                messages.error(request, sentence_of(refusal))
                return redirect(address_of(dispute))
            else:
                self.note(request, dispute, "Saved a draft of the evidence.")
                messages.success(request, "The draft is saved. The bank has not seen it.")
                return redirect(_page(dispute, "submit" if "then_submit" in request.POST else "evidence"))
        return draw(
            self,
            request,
            "evidence.html",
            title=f"Evidence for {dispute.money}, {dispute.reason.replace('_', ' ')}",
            row=dispute,
            form=form,
            saved=_has_draft(dispute),
        )

    @opens_page(title="Submit", path="submit", permission="answer")
    def submit(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        dispute = self.row_or_404(request, object_id)
        if not dispute.can_be_answered:
            return _not_answerable(request, dispute)
        draft = service.evidence_of(dispute) if _has_draft(dispute) else {}
        if not draft:
            messages.error(request, service.EvidenceMissing.message)
            return redirect(_page(dispute, "evidence"))
        if request.method == "POST" and request.POST.get("seen") == _digest(draft):
            return self._answer(request, dispute, "Submitted the evidence", service.submit)
        if request.method == "POST":
            messages.error(request, "The draft has changed since this page was opened. Read it again.")
            return redirect(_page(dispute, "submit"))
        return draw(
            self,
            request,
            "submit.html",
            title=f"Submit the evidence for {dispute.money}",
            row=dispute,
            texts=[(_label(name), draft[name]) for names in GROUPS.values() for name in names if name in draft],
            seen=_digest(draft),
            inquiry=dispute.status in Dispute.INQUIRY,
        )

    @opens_page(title="Accept", path="accept", permission="answer", danger=True)
    def accept(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        dispute = self.row_or_404(request, object_id)
        if not dispute.can_be_answered:
            return _not_answerable(request, dispute)
        if request.method == "POST":
            return self._answer(request, dispute, "Accepted the dispute", service.accept)
        return draw(
            self,
            request,
            "accept.html",
            title=f"Accept the dispute of {dispute.money}",
            row=dispute,
            inquiry=dispute.status in Dispute.INQUIRY,
        )

    def _answer(self, request: HttpRequest, dispute: Dispute, what: str, answer: Any) -> HttpResponseBase:
        try:
            answered = answer(dispute, by=staff_of(request))
        except DomainError as refusal:
            messages.error(request, sentence_of(refusal))
        else:
            self.note(request, dispute, f"{what}.")
            if answered.decision_done_at is None and answered.decision:
                messages.warning(request, f"{what}: Stripe has not answered yet. The shop goes on by itself.")
            else:
                messages.success(request, f"{what}. The dispute is now: {answered.get_status_display()}.")
        return redirect(address_of(dispute))


def _has_draft(dispute: Dispute) -> bool:
    """Whether anybody saved a draft with something in it."""
    return dispute.evidence not in ("", "{}")


def _page(dispute: Dispute, name: str) -> str:
    return reverse(f"admin:payment_dispute_{name}", args=[dispute.pk])


def _not_answerable(request: HttpRequest, dispute: Dispute) -> HttpResponseBase:
    state = dispute.get_decision_display() if dispute.decision else dispute.get_status_display()
    messages.warning(request, f"This dispute does not wait for an answer: {state}.")
    return redirect(address_of(dispute))


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize().replace(" ip", " IP")


def _digest(draft: Mapping[str, str]) -> str:
    """What marks a draft that somebody has read."""
    return hashlib.sha256(repr(sorted(draft.items())).encode()).hexdigest()
