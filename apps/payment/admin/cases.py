"""What a person has to look at, what it is about and what can be done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import F, Model, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.common.errors import DomainError
from apps.payment.admin import applying
from apps.payment.admin.forms import NoteForm
from apps.payment.admin.pages import PagesAdmin, address_of, draw, link_to, opens_page, posted, staff_of
from apps.payment.models import AttentionCase, Refund
from apps.payment.services.applying import can_be_offered
from apps.payment.services.cases import solve_case, take_case
from apps.payment.services.giving_back import sentence_of

ADVICE = {
    "late": (
        "Apply it to its order, if the goods are still there, or give the money back on the payment's page. Either way "
        "the case closes by itself."
    ),
    "surplus": (
        "Another payment paid the order. Give the money back on the payment's page: the case closes by itself once all "
        "of it is back."
    ),
    "amount_mismatch": (
        "The order is not paid. Give the money back on the payment's page; the buyer may pay the right amount anew."
    ),
    "refund_failed": (
        "The money is back with the shop. Make another refund on the payment's page, or pay the buyer in another way "
        "and note how. Money that paid for nothing may be applied to its order instead."
    ),
    "dispute": (
        "Answer it before its deadline, with evidence or by accepting it. The case closes by itself when Stripe closes "
        "the dispute."
    ),
    "inquiry": (
        "No money has moved yet. Answer it before its deadline, or give the money back on the payment's page. The case "
        "closes by itself when Stripe closes the inquiry."
    ),
    "answer_refused": "Nothing was sent to the bank. Read the draft of the dispute again and answer it anew.",
    "capture_refused": "Look at the payment: as long as the amount is reserved, it can be taken or given up there.",
    "long_on_its_way": (
        "The goods are held until the payment arrives or fails. Look it up in Stripe's Dashboard, and write to the "
        "buyer."
    ),
    "lost_twice": (
        "The buyer was refunded, and the bank took the money as well. If the dispute can still be answered, give the "
        "refund as evidence; otherwise write to the buyer."
    ),
}
"""What staff can do about each kind of case."""

MOST = 200
"""How many cases somebody takes at once."""

LOOK = "Look at the payment, do what is needed and note it here."


@admin.register(AttentionCase)
class AttentionCaseAdmin(PagesAdmin):
    """Money that a person has to look at. Solving a case needs a note and stays in the list."""

    list_display = ("what", "order", "detail", "opened_at", "taken_by", "solved_at", "solved_by")
    list_filter = (
        "kind",
        ("solved_at", admin.EmptyFieldListFilter),
        ("taken_by", admin.EmptyFieldListFilter),
        "opened_at",
    )
    search_fields = ("payment__order__number__startswith", "object_id__exact")
    ordering = (F("solved_at").desc(nulls_first=True), "-opened_at")
    actions = ("take",)
    actions_detail = ("apply", "solve")
    readonly_fields = ("what", "order", "about", "advice")
    fieldsets = (
        (
            None,
            {"fields": ("what", "detail", "advice", "about", "order", "payment", "opened_at", "taken_by", "taken_at")},
        ),
        ("Solved", {"fields": ("solved_at", "solved_by", "note")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AttentionCase]:
        found: QuerySet[AttentionCase] = super().get_queryset(request)
        return found.select_related("payment__order", "taken_by", "solved_by")

    @admin.display(description="kind", ordering="kind")
    def what(self, case: AttentionCase) -> str:
        return case.kind.replace("_", " ")

    @admin.display(description="order", ordering="payment__order")
    def order(self, case: AttentionCase) -> SafeString:
        return link_to(case.payment.order)

    @admin.display(description="what can be done")
    def advice(self, case: AttentionCase) -> str:
        return ADVICE.get(case.kind, LOOK)

    @admin.display(description="about")
    def about(self, case: AttentionCase) -> SafeString:
        return format_html_join(" ", "{}", ((link_to(row, f"{row._meta.verbose_name} {row}"),) for row in _about(case)))

    def has_solve_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("payment.change_attentioncase"))

    @admin.action(description="Look after the selected cases myself", permissions=["solve"])
    def take(self, request: HttpRequest, queryset: QuerySet[AttentionCase]) -> None:
        taken = 0
        for case in queryset[:MOST]:
            try:
                take_case(case, by=staff_of(request))
            except DomainError:
                continue
            self.note(request, case, "Taken.")
            taken += 1
        messages.success(request, f"Taken: {taken}. Cases that were solved stay as they are.")

    def has_apply_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may give this money back may apply it as well; it solves the case."""
        return self.has_solve_permission(request) and bool(request.user.has_perm("payment.issue_refund"))

    def useful_pages(self, row: Any) -> Iterable[str]:
        if can_be_offered(row):
            yield "apply"
        if row.solved_at is None:
            yield "solve"

    @opens_page(title="Apply", path="apply", permission="apply")
    def apply(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        case = self.row_or_404(request, object_id)
        if not can_be_offered(case):
            messages.warning(request, "This case has no money that waits to be applied.")
            return redirect(address_of(case))
        return applying.apply(self, request, case)

    @opens_page(title="Solve", path="solve", permission="solve")
    def solve(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        case = self.row_or_404(request, object_id)
        if case.solved_at is not None:
            messages.warning(request, "This case is solved already.")
            return redirect(address_of(case))
        form = NoteForm(posted(request))
        if request.method == "POST" and form.is_valid():
            note = form.cleaned_data["note"]
            try:
                solve_case(case, note=note, by=staff_of(request))
            except DomainError as refusal:
                form.add_error(None, sentence_of(refusal))
            else:
                self.note(request, case, f"Solved: {note}")
                messages.success(request, "The case is solved.")
                return redirect(address_of(case))
        return draw(
            self,
            request,
            "solve.html",
            title=f"Solve: {self.what(case)}, order {case.payment.order.number}",
            row=case,
            form=form,
            advice=self.advice(case),
            about=self.about(case),
        )


def _about(case: AttentionCase) -> list[Model]:
    """The refund or dispute that a case names, else the payment's disputes where one is meant, else the payment."""
    payment = case.payment
    if case.kind == "refund_failed":
        named: list[Model] = list(Refund.objects.filter(payment=payment, reference=case.object_id))
    elif case.kind in ("dispute", "inquiry"):
        named = list(payment.disputes.filter(stripe_dispute_id=case.object_id))
    elif case.kind in ("answer_refused", "lost_twice"):
        named = list(payment.disputes.all())
    else:
        named = []
    return named or [payment]
