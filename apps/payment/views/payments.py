"""Payments as their buyers see them."""

from __future__ import annotations

from django.db.models import Q
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.api import Pages, private
from apps.common.errors import NotFound, SignInRequired
from apps.payment.models import Payment
from apps.payment.views.access import order_of_token
from apps.payment.views.render import render_payment
from apps.payment.views.schema import ERRORS, PaymentOutput, PaymentPage


def _mine(request: Request) -> Q:
    """The caller's own payments, or those of the order whose token was sent."""
    mine = Q(pk__in=[])
    if request.user.is_authenticated:
        mine |= Q(order__user=request.user)
    public_id = order_of_token(request)
    if public_id:
        mine |= Q(order__public_id=public_id)
    return mine


class PaymentListView(APIView):
    """Own payments, newest first."""

    @extend_schema(operation_id="payments_list", responses={200: PaymentPage, **ERRORS})
    def get(self, request: Request) -> Response:
        if not request.user.is_authenticated and not order_of_token(request):
            raise SignInRequired
        pages = Pages()
        rows = Payment.objects.filter(_mine(request)).select_related("order").order_by("-pk")
        page = pages.paginate_queryset(rows, request, view=self) or []
        answer = pages.get_paginated_response(
            [render_payment(payment, order_number=payment.order.number) for payment in page]
        )
        answer["Cache-Control"] = "no-store"
        return answer


class PaymentView(APIView):
    """One payment of one's own."""

    @extend_schema(responses={200: PaymentOutput, **ERRORS})
    def get(self, request: Request, payment_id: int) -> Response:
        payment = Payment.objects.filter(_mine(request), pk=payment_id).select_related("order").first()
        if payment is None:
            raise NotFound("There is no such payment.", code="payment_not_found")
        return private(render_payment(payment, order_number=payment.order.number))
