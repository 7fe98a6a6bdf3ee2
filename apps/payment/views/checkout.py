"""Turn a cart, or an unpaid order, into a Stripe page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.cart.identity import cart_of
from apps.common import rows
from apps.common.api import parse, private
from apps.common.idempotency import run_once
from apps.common.schema import errors
from apps.orders.models import Order, OrderItem
from apps.payment.models import Payment
from apps.payment.services import checkout
from apps.payment.views.access import buyer_of, caller_of, limit, order_of, refuse_to_save_for_guests
from apps.payment.views.render import render_checkout
from apps.payment.views.schema import ERRORS, CheckoutInput, CheckoutOutput, ConfigOutput

COUNTED_ORDER = f"""
    SELECT orders.*, (SELECT SUM(quantity) FROM {OrderItem._meta.db_table} WHERE order_id = orders.id) AS items_count
    FROM {Order._meta.db_table} orders WHERE id = %s
"""  # noqa: S608 - names of the models' own
"""An order with the number of its items."""


class CheckoutView(APIView):
    """Turn the caller's cart into an order and hand back the Stripe page that collects its payment."""

    @extend_schema(request=CheckoutInput, responses={201: CheckoutOutput, 422: ERRORS[400], **ERRORS})
    def post(self, request: Request) -> Response:
        wish: dict[str, Any] = parse(CheckoutInput, request.data)
        buyer = buyer_of(request, email=wish.get("email") or "")
        save = wish["save_payment_method"]
        refuse_to_save_for_guests(buyer, save)
        number = wish.get("order_number")
        order = order_of(request, number) if number else None
        cart = None if order else cart_of(request)
        limit(request, "checkout")

        def work() -> tuple[int, str]:
            if order is not None:
                payment = checkout.retry_checkout(order=order, buyer=buyer, save_method=save)
            else:
                payment = checkout.start_checkout(cart=cart, buyer=buyer, save_method=save)
            return status.HTTP_201_CREATED, str(payment.pk)

        return run_once(request, caller=caller_of(request, cart=cart, order=order), work=work, render=render_started)


class ConfigView(APIView):
    """What a frontend needs to start Stripe.js and to ask for an address."""

    @extend_schema(responses={200: ConfigOutput, **errors(401, 503)})
    def get(self, request: Request) -> Response:
        return private(
            {
                "publishable_key": settings.STRIPE_PUBLIC_KEY,
                "payment_env": settings.PAYMENT_ENV,
                "currency": settings.DEFAULT_CURRENCY,
                "stripe_js_url": settings.STRIPE_JS_URL,
                "shipping_countries": settings.SHIPPING_COUNTRIES,
            }
        )


def render_started(payment_id: str) -> dict[str, Any]:
    """What every call that started a checkout answers."""
    payment = rows.found(Payment, "id", int(payment_id))
    if payment is None:
        raise Payment.DoesNotExist
    [order] = Order.objects.raw(COUNTED_ORDER, [payment.order_id])
    return render_checkout(payment, order, items_count=order.items_count)  # type: ignore[attr-defined]
