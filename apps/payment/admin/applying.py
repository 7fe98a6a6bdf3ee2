"""The page on which staff applies money that paid for nothing to its order."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.common.errors import DomainError
from apps.common.money import Money
from apps.payment.admin.pages import PagesAdmin, address_of, draw, posted, staff_of
from apps.payment.models import AttentionCase
from apps.payment.services.applying import apply_payment, foresee_applying
from apps.payment.services.giving_back import sentence_of


class ApplyForm(forms.Form):
    reason = forms.CharField(max_length=500, label="Why", widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}))


def apply(model_admin: PagesAdmin, request: HttpRequest, case: AttentionCase) -> HttpResponseBase:
    """Show money, order and stock as they are now, ask why, and apply the money."""
    payment = case.payment
    form = ApplyForm(posted(request))
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            payment = apply_payment(payment, reason=reason, by=staff_of(request))
        except DomainError as refusal:
            messages.error(request, f"Nothing was applied. {sentence_of(refusal)}")
        else:
            model_admin.note(request, case, f"Applied to the order: {reason}")
            messages.success(request, f"{payment.money} is applied: order {payment.order.number} is paid.")
        return redirect(address_of(case))
    prospect = foresee_applying(payment)
    return draw(
        model_admin,
        request,
        "apply.html",
        title=f"Apply {payment.money} to order {payment.order.number}",
        row=case,
        form=form,
        prospect=prospect,
        captured=Money(payment.amount_captured, payment.currency),
        total=Money(prospect.order.total, prospect.order.currency),
    )
