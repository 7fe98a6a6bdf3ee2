"""Payments as their buyers see them."""

from __future__ import annotations

import contextlib

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.api import Pages, private
from apps.common.errors import SignInRequired
from apps.payment.gateway import StripeRefused, StripeUnavailable
from apps.payment.models import Payment
from apps.payment.services import intents
from apps.payment.services.provider import ask_stripe, take_turn
from apps.payment.views.access import order_of_token, payment_of, payments_of
from apps.payment.views.render import render_payment, render_payment_state
from apps.payment.views.schema import ERRORS, PaymentOutput, PaymentPage, PaymentStateOutput


class PaymentListView(APIView):
    """Own payments, newest first."""

    @extend_schema(operation_id="payments_list", responses={200: PaymentPage, **ERRORS})
    def get(self, request: Request) -> Response:
        if not request.user.is_authenticated and not order_of_token(request):
            raise SignInRequired
        pages = Pages()
        rows = Payment.objects.filter(payments_of(request)).select_related("order").order_by("-pk")
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
        payment = payment_of(request, payment_id)
        return private(render_payment(payment, order_number=payment.order.number))


class PaymentStateView(APIView):
    """A payment as Stripe has it now. When Stripe says paid and no webhook came, this settles it."""

    @extend_schema(responses={200: PaymentStateOutput, **ERRORS})
    def get(self, request: Request, payment_id: int) -> Response:
        payment = payment_of(request, payment_id)
        if payment.is_open and take_turn(payment):
            # Without Stripe the stored state is the best answer there is.
            with contextlib.suppress(StripeUnavailable, StripeRefused):
                ask_stripe(payment)
        return _state(request, payment_id)


class ConfirmPaymentView(APIView):
    """Take the money with the saved method that the payment has; otherwise tell how it stands at Stripe."""

    @extend_schema(request=None, responses={200: PaymentStateOutput, 402: ERRORS[400], **ERRORS})
    def post(self, request: Request, payment_id: int) -> Response:
        payment = payment_of(request, payment_id)
        if payment.is_open:
            intents.confirm(payment, return_url=f"{settings.FRONTEND_URL}/orders/{payment.order.number}")
        return _state(request, payment_id)


class CancelPaymentView(APIView):
    """Close an open attempt at Stripe; the order goes on waiting until it expires or is cancelled."""

    @extend_schema(request=None, responses={200: PaymentStateOutput, **ERRORS})
    def post(self, request: Request, payment_id: int) -> Response:
        intents.cancel(payment_of(request, payment_id))
        return _state(request, payment_id)


def _state(request: Request, payment_id: int) -> Response:
    return private(render_payment_state(payment_of(request, payment_id)))
