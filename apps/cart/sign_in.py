"""When somebody signs in, the anonymous cart that the request names becomes part of theirs."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request

from apps.cart.identity import anonymous_cart_of, forget_session_cart
from apps.cart.models import Cart
from apps.cart.selectors import render_cart
from apps.cart.services import merge_into_user_cart
from apps.common.errors import NotFound


class MergeCart:
    """Registered with `accounts.registry.on_sign_in` by the composition root."""

    name = "cart"

    def before(self, request: Request) -> None:
        """Raises PermissionDenied when a session's cart would merge without proof that our page asked."""
        _anonymous(request)

    def after(self, request: Request, user: Any) -> dict[str, Any] | None:
        cart = _anonymous(request)
        if cart is None:
            return None
        merge = merge_into_user_cart(anonymous=cart, user=user)
        forget_session_cart(request._request)
        return render_cart(merge.cart) | {"merged": {"capped": merge.capped, "dropped": merge.dropped}}


def _anonymous(request: Request) -> Cart | None:
    """A token that opens no cart must not keep a person from signing in."""
    try:
        return anonymous_cart_of(request)
    except NotFound:
        return None
