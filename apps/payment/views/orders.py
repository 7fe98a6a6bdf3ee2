"""Orders as their buyers see them. A URL does not decide the app: they show payments, so they live here."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.api import Pages, private
from apps.common.errors import SignInRequired
from apps.orders.models import Order
from apps.orders.services.claiming import claim_order
from apps.payment.services.checkout import cancel_checkout
from apps.payment.views.access import order_of, order_of_token
from apps.payment.views.render import render_order
from apps.payment.views.schema import ERRORS, OrderOutput, OrderPage


class OrderListView(APIView):
    """The signed-in buyer's orders, newest first."""

    @extend_schema(operation_id="orders_list", responses={200: OrderPage, **ERRORS})
    def get(self, request: Request) -> Response:
        if not request.user.is_authenticated:
            raise SignInRequired
        orders = Order.objects.filter(user=request.user).prefetch_related("items", "payments").order_by("-pk")
        pages = Pages()
        page = pages.paginate_queryset(orders, request, view=self) or []
        answer = pages.get_paginated_response([render_order(order) for order in page])
        answer["Cache-Control"] = "no-store"
        return answer


class OrderView(APIView):
    """One order, for its owner or the holder of its token."""

    @extend_schema(responses={200: OrderOutput, **ERRORS})
    def get(self, request: Request, number: str) -> Response:
        return private(render_order(order_of(request, number)))


class CancelOrderView(APIView):
    """Cancel an unpaid order; its open attempt is closed at Stripe first."""

    @extend_schema(request=None, responses={200: OrderOutput, **ERRORS})
    def post(self, request: Request, number: str) -> Response:
        order = cancel_checkout(order=order_of(request, number, staff=True))
        return private(render_order(order))


class ClaimOrderView(APIView):
    """A guest's order becomes the signed-in caller's, with the token as the proof."""

    @extend_schema(request=None, responses={200: OrderOutput, **ERRORS})
    def post(self, request: Request, number: str) -> Response:
        if not request.user.is_authenticated:
            raise SignInRequired
        order = claim_order(number=number, public_id=order_of_token(request), user=request.user)
        return private(render_order(order))
