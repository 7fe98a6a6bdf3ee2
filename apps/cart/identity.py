"""Whose cart a request means: a person's, the token's, or the anonymous session's."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.authentication import CSRFCheck
from rest_framework.request import Request

from apps.cart.models import Cart
from apps.cart.services import cart_of_user, make_anonymous_cart
from apps.common import tokens
from apps.common.errors import NotFound

SESSION_KEY = "cart"


def cart_of(request: Request) -> Cart | None:
    """The cart that the request means, or None when there is none yet. Stores nothing.

    Raises NotFound `cart_not_found` for a token that opens no cart.
    """
    if request.user and request.user.is_authenticated:
        return Cart.objects.filter(user=request.user).first()
    return anonymous_cart_of(request)


def anonymous_cart_of(request: Request) -> Cart | None:
    """The anonymous cart that the request names, whoever asks."""
    token = request.headers.get("X-Cart-Token")
    if token:
        public_id = tokens.read("cart", token)
        cart = Cart.objects.filter(public_id=public_id, merged_into=None).first() if public_id else None
        if cart is None:
            raise NotFound("There is no such cart.", code="cart_not_found")
        return cart
    public_id = request._request.session.get(SESSION_KEY)
    if not public_id:
        return None
    cart = Cart.objects.filter(public_id=public_id, merged_into=None).first()
    if cart is not None:
        _enforce_csrf(request)
    return cart


def cart_for_writing(request: Request) -> Cart:
    """The cart that the request means, made when there is none; an anonymous one is kept in the session."""
    cart = cart_of(request)
    if cart is not None:
        return cart
    if request.user and request.user.is_authenticated:
        return cart_of_user(request.user)
    cart = make_anonymous_cart()
    request._request.session[SESSION_KEY] = cart.public_id
    return cart


def forget_session_cart(request: HttpRequest) -> None:
    request.session.pop(SESSION_KEY, None)


def _enforce_csrf(request: Request) -> None:
    """A browser sends the session cookie by itself, so a session's cart needs proof that our page asked."""

    def unused(request: Any) -> Any:
        return None

    check = CSRFCheck(unused)
    check.process_request(request._request)
    reason = check.process_view(request._request, None, (), {})  # type: ignore[arg-type]
    if reason:
        raise exceptions.PermissionDenied(f"CSRF verification failed: {reason}", code="csrf_failed")
