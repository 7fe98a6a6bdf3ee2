"""The cart over HTTP: parse, call one service, render."""

from __future__ import annotations

from typing import Any

from django.middleware.csrf import get_token
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.cart import services
from apps.cart.identity import cart_for_writing, cart_of
from apps.cart.models import Cart
from apps.cart.schema import ERRORS, AddInput, CartOutput, QuantityInput
from apps.cart.selectors import render_cart
from apps.common.api import parse, private
from apps.common.errors import NotFound


def _answer(cart: Cart | None, code: int = status.HTTP_200_OK) -> Response:
    body = render_cart(cart)
    headers = {"X-Cart-Token": body["token"]} if body["token"] else {}
    return private(body, code, headers)


def _present(request: Request) -> Cart:
    cart = cart_of(request)
    if cart is None:
        raise NotFound("There is no such item.", code="item_not_found")
    return cart


class CartView(APIView):
    """The caller's cart."""

    @extend_schema(responses={200: CartOutput, **ERRORS})
    def get(self, request: Request) -> Response:
        get_token(request._request)  # sets the csrftoken cookie that later writes of this session need
        return _answer(cart_of(request))

    @extend_schema(responses={204: None, **ERRORS})
    def delete(self, request: Request) -> Response:
        cart = cart_of(request)
        if cart is not None:
            services.clear(cart=cart)
        return Response(status=status.HTTP_204_NO_CONTENT)


class AddView(APIView):
    """Put a variant into the cart; adding it again raises its line."""

    @extend_schema(request=AddInput, responses={201: CartOutput, **ERRORS})
    def post(self, request: Request) -> Response:
        wish: dict[str, Any] = parse(AddInput, request.data)
        cart = cart_for_writing(request)
        return _answer(services.add_item(cart=cart, **wish), status.HTTP_201_CREATED)


class ItemView(APIView):
    """One line of the caller's cart."""

    @extend_schema(request=QuantityInput, responses={200: CartOutput, **ERRORS})
    def patch(self, request: Request, item_id: int) -> Response:
        wish = parse(QuantityInput, request.data)
        cart = _present(request)
        services.set_quantity(cart=cart, item_id=item_id, quantity=wish["quantity"])
        return _answer(cart)

    @extend_schema(responses={200: CartOutput, **ERRORS})
    def delete(self, request: Request, item_id: int) -> Response:
        cart = _present(request)
        services.remove_item(cart=cart, item_id=item_id)
        return _answer(cart)
