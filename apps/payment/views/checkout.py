"""Turn a cart, or an unpaid order, into a Stripe page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Sum
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.cart.identity import cart_of
from apps.common import limits
from apps.common.api import parse, private
from apps.common.errors import DomainError
from apps.common.idempotency import run_once
from apps.orders.models import Order, OrderItem
from apps.payment.models import Payment
from apps.payment.services import checkout
from apps.payment.views.access import buyer_of, order_of
from apps.payment.views.render import render_checkout
from apps.payment.views.schema import ERRORS, CheckoutInput, CheckoutOutput, ConfigOutput


class CheckoutView(APIView):
    """Turn the caller's cart into an order and hand back the Stripe page that collects its payment."""

    @extend_schema(request=CheckoutInput, responses={201: CheckoutOutput, 422: ERRORS[400], **ERRORS})
    def post(self, request: Request) -> Response:
        wish: dict[str, Any] = parse(CheckoutInput, request.data)
        buyer = buyer_of(request, email=wish.get("email") or "")
        if wish["save_payment_method"] and buyer.user is None:
            raise DomainError("Sign in to save a payment method.", code="sign_in_to_save")
        number = wish.get("order_number")
        order = order_of(request, number) if number else None
        cart = None if order else cart_of(request)
        who = f"user:{buyer.user.pk}" if buyer.user else f"net:{buyer.network}"
        limits.enforce("checkout", who, settings.CHECKOUT_RATE)

        def work() -> tuple[int, str]:
            if order is not None:
                payment = checkout.retry_checkout(order=order)
            else:
                payment = checkout.start_checkout(cart=cart, buyer=buyer)
            return status.HTTP_201_CREATED, str(payment.pk)

        return run_once(request, caller=_caller(buyer, cart, order), work=work, render=_render)


class ConfigView(APIView):
    """What a frontend needs to start Stripe.js."""

    @extend_schema(responses={200: ConfigOutput})
    def get(self, request: Request) -> Response:
        return private(
            {
                "publishable_key": settings.STRIPE_PUBLIC_KEY,
                "payment_env": settings.PAYMENT_ENV,
                "currency": settings.DEFAULT_CURRENCY,
            }
        )


def _caller(buyer: checkout.Buyer, cart: Any, order: Order | None) -> str | None:
    """Whose idempotency keys these are: the user's, else the cart's, else the order's."""
    if buyer.user is not None:
        return f"user:{buyer.user.pk}"
    if cart is not None:
        return f"cart:{cart.pk}"
    return f"order:{order.pk}" if order is not None else None


def _render(payment_id: str) -> dict[str, Any]:
    payment = Payment.objects.select_related("order").get(pk=int(payment_id))
    count = OrderItem.objects.filter(order=payment.order_id).aggregate(n=Sum("quantity"))["n"]
    return render_checkout(payment, payment.order, items_count=count)
