"""The pages on which staff takes an amount that is reserved on a card, or gives it up."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from apps.common.errors import DomainError
from apps.payment.admin.pages import PagesAdmin, address_of, draw, staff_of
from apps.payment.models import Payment
from apps.payment.services.capturing import NothingReserved, capture, is_reserved, release
from apps.payment.services.giving_back import sentence_of


def take(model_admin: PagesAdmin, request: HttpRequest, payment: Payment) -> HttpResponseBase:
    """Take the whole amount."""
    return _decide(model_admin, request, payment, capture, "capture.html", "Take")


def give_up(model_admin: PagesAdmin, request: HttpRequest, payment: Payment) -> HttpResponseBase:
    """Give the reservation up."""
    return _decide(model_admin, request, payment, release, "release.html", "Give up")


def _decide(
    model_admin: PagesAdmin,
    request: HttpRequest,
    payment: Payment,
    service: Callable[..., Payment],
    template: str,
    verb: str,
) -> HttpResponseBase:
    if not is_reserved(payment):
        messages.warning(request, NothingReserved.message)
        return redirect(address_of(payment))
    if request.method != "POST":
        return draw(model_admin, request, template, title=f"{verb} {payment.money}", row=payment)
    before = payment.capture_decision
    try:
        payment = service(payment, by=staff_of(request))
    except DomainError as refusal:
        messages.error(request, sentence_of(refusal))
        return redirect(address_of(payment))
    if not before:
        model_admin.note(request, payment, f"{verb} {payment.money}: {payment.get_status_display()}.")
    if payment.status == Payment.Status.PROCESSING:
        messages.warning(request, f"{verb} {payment.money}: Stripe has not answered yet. The shop goes on by itself.")
    else:
        messages.success(request, f"The payment's status is now: {payment.get_status_display()}.")
    return redirect(address_of(payment))
