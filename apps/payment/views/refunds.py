"""Refunds: staff gives money back at once, a buyer's request waits for staff."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.common.api import Pages, parse
from apps.common.errors import InvalidInput, SignInRequired
from apps.common.idempotency import run_once
from apps.common.money import InvalidAmount, to_minor
from apps.payment.models import Payment, Refund
from apps.payment.services.carrying_out import carry_out
from apps.payment.services.refund_requests import request_refund
from apps.payment.services.refunds import Line, RefundWish, intend_refund
from apps.payment.views.access import caller_of, is_staff_with, order_of_token, payment_of
from apps.payment.views.render import render_refund
from apps.payment.views.schema import ERRORS, RefundInput, RefundOutput, RefundPage

ISSUE = "payment.issue_refund"


class RefundListView(APIView):
    """Refunds of one's own payments, newest first; and money goes back, or is asked back."""

    @extend_schema(operation_id="refunds_list", responses={200: RefundPage, **ERRORS})
    def get(self, request: Request) -> Response:
        if not request.user.is_authenticated and not order_of_token(request):
            raise SignInRequired
        pages = Pages()
        rows = _visible(request).select_related("payment__order").prefetch_related("items").order_by("-pk")
        page = pages.paginate_queryset(rows, request, view=self) or []
        answer = pages.get_paginated_response([render_refund(refund) for refund in page])
        answer["Cache-Control"] = "no-store"
        return answer

    @extend_schema(
        operation_id="refunds_create",
        request=RefundInput,
        responses={201: RefundOutput, 202: RefundOutput, 422: ERRORS[400], **ERRORS},
    )
    def post(self, request: Request) -> Response:
        wish: dict[str, Any] = parse(RefundInput, request.data)
        payment = payment_of(request, wish["payment_id"], permission=ISSUE)
        staff = is_staff_with(request, ISSUE)
        if wish["reason"] == Refund.Reason.FRAUDULENT and not staff:
            raise PermissionDenied("Only staff can call a payment fraudulent.")
        by = request.user if isinstance(request.user, User) else None

        def work() -> tuple[int, str]:
            wanted = _wish(wish, payment, staff=staff)
            if not staff:
                return status.HTTP_202_ACCEPTED, str(request_refund(payment=payment, wish=wanted, by=by).pk)
            refund = intend_refund(payment=payment, wish=wanted, source=Refund.Source.STAFF, by=by)
            return status.HTTP_201_CREATED, str(carry_out(refund).pk)

        return run_once(request, caller=caller_of(request, order=payment.order), work=work, render=_render)


def _visible(request: Request) -> QuerySet[Refund]:
    if is_staff_with(request, ISSUE):
        return Refund.objects.all()
    mine = Q(pk__in=[])
    if request.user.is_authenticated:
        mine |= Q(payment__order__user=request.user)
    public_id = order_of_token(request)
    if public_id:
        mine |= Q(payment__order__public_id=public_id, payment__order__erased_at=None)
    return Refund.objects.filter(mine)


def _wish(wish: dict[str, Any], payment: Payment, *, staff: bool) -> RefundWish:
    amount = None
    if wish.get("amount") is not None:
        try:
            amount = to_minor(wish["amount"], payment.currency)
        except InvalidAmount as reason:
            raise InvalidInput(fields={"amount": [str(reason)]}) from None
        if amount <= 0:
            raise InvalidInput(fields={"amount": ["More than nothing."]})
    if wish.get("items") == []:
        raise InvalidInput(fields={"items": ["Name lines, or leave this out."]})
    return RefundWish(
        amount=amount,
        lines=[
            Line(line["order_item_id"], line["quantity"], restock=staff and line["restock"])
            for line in wish.get("items") or ()
        ],
        reason=wish["reason"],
        description=wish["description"],
    )


def _render(refund_id: str) -> dict[str, Any]:
    refund = Refund.objects.select_related("payment__order").prefetch_related("items").get(pk=int(refund_id))
    return render_refund(refund)
