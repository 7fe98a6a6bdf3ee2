"""Orders as their buyers see them. A URL does not decide the app: they show payments, so they live here."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.audit.images import image_of
from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.cart.identity import cart_of
from apps.cart.models import Cart
from apps.cart.selectors import lines_of
from apps.common.api import Pages, parse, private
from apps.common.errors import InvalidInput, SignInRequired
from apps.common.idempotency import run_once
from apps.orders.models import Order
from apps.orders.services.claiming import claim_order
from apps.payment.services.ordering import Buyer, cancel_order, place_cart
from apps.payment.views.access import buyer_of, caller_of, is_staff_with, limit, order_of, order_of_token
from apps.payment.views.render import render_order
from apps.payment.views.schema import ERRORS, OrderInput, OrderOutput, OrderPage, PlacedOrderOutput

CANCEL = "orders.change_order"


class OrderListView(APIView):
    """The signed-in buyer's orders, newest first; and a cart becomes an order, to be paid with a PaymentIntent."""

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

    @extend_schema(
        operation_id="orders_place",
        request=OrderInput,
        responses={200: PlacedOrderOutput, 201: PlacedOrderOutput, 422: ERRORS[400], **ERRORS},
    )
    def post(self, request: Request) -> Response:
        wish: dict[str, Any] = parse(OrderInput, request.data)
        buyer = buyer_of(request, email=wish.get("email") or "", address=wish.get("shipping_address"))
        cart = cart_of(request)
        _refuse_incomplete(cart, buyer)
        limit(request, "orders")

        def work() -> tuple[int, str]:
            order, new = place_cart(cart=cart, buyer=buyer)
            return status.HTTP_201_CREATED if new else status.HTTP_200_OK, str(order.pk)

        return run_once(request, caller=caller_of(request, cart=cart), work=work, render=_render_placed)


class OrderView(APIView):
    """One order, for its owner or the holder of its token."""

    @extend_schema(responses={200: OrderOutput, **ERRORS})
    def get(self, request: Request, number: str) -> Response:
        return private(render_order(order_of(request, number)))


class CancelOrderView(APIView):
    """Cancel an unpaid order; its open attempt is closed at Stripe first."""

    @extend_schema(request=None, responses={200: OrderOutput, **ERRORS})
    def post(self, request: Request, number: str) -> Response:
        order = order_of(request, number, permission=CANCEL)
        before = image_of(order)
        order = cancel_order(order=order)
        if is_staff_with(request, CANCEL) and order.status != before["status"]:
            record(request.user, "cancel", order, before, image_of(order), source=AuditEntry.Source.API)
        return private(render_order(order))


class ClaimOrderView(APIView):
    """A guest's order becomes the signed-in caller's, with the token as the proof."""

    @extend_schema(request=None, responses={200: OrderOutput, **ERRORS})
    def post(self, request: Request, number: str) -> Response:
        if not request.user.is_authenticated:
            raise SignInRequired
        order = claim_order(number=number, public_id=order_of_token(request), user=request.user)
        return private(render_order(order))


def _refuse_incomplete(cart: Cart | None, buyer: Buyer) -> None:
    """An order that no hosted page completes has to know whom it is for, and where goods go."""
    missing = {}
    if not buyer.email:
        missing["email"] = ["Where the order's confirmation goes."]
    if buyer.address is None and cart is not None and any(line.kind == "physical" for line in lines_of(cart)):
        missing["shipping_address"] = ["Where the goods go."]
    if missing:
        raise InvalidInput(fields=missing)


def _render_placed(order_id: str) -> dict[str, Any]:
    return render_order(
        Order.objects.prefetch_related("items", "payments").get(pk=int(order_id)),
        with_token=True,
    )
