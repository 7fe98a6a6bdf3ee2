"""Whose order a request may see. Somebody else's looks exactly like one that is not there."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q, QuerySet
from rest_framework.request import Request

from apps.accounts.second_factor import has_shown_second_factor
from apps.cart.models import Cart
from apps.common import limits, tokens
from apps.common.client import network
from apps.common.errors import DomainError, NotFound
from apps.common.languages import language_of
from apps.orders.models import Order
from apps.payment.models import Payment
from apps.payment.services.ordering import Buyer


def order_of(request: Request, number: str, *, permission: str = "") -> Order:
    """The order of this number, for its owner or the holder of its token. Raises NotFound.

    An order number alone never grants access, nor does the token once its buyer is forgotten. Members of staff with
    the permission reach all.
    """
    # PostgreSQL takes no NUL in a text.
    may_exist = number.isascii() and number.isprintable()
    order = _accessible(request, permission).filter(number=number).first() if may_exist else None
    if order is None:
        raise NotFound("There is no such order.", code="order_not_found")
    return order


def payments_of(request: Request) -> Q:
    """The caller's own payments, or those of the order whose token was sent."""
    mine = Q(pk__in=[])
    if request.user and request.user.is_authenticated:
        mine |= Q(order__user=request.user)
    public_id = order_of_token(request)
    if public_id:
        mine |= Q(order__public_id=public_id, order__erased_at=None)
    return mine


def payment_of(request: Request, payment_id: int, *, permission: str = "") -> Payment:
    """A payment of the caller's; staff with the permission reaches all. Raises NotFound."""
    payments = Payment.objects.select_related("order")
    if not (permission and is_staff_with(request, permission)):
        payments = payments.filter(payments_of(request))
    payment = payments.filter(pk=payment_id).first()
    if payment is None:
        raise NotFound("There is no such payment.", code="payment_not_found")
    return payment


def is_staff_with(request: Request, permission: str) -> bool:
    """Staff with a permission, in a session that has shown the second factor where one is wanted."""
    user = request.user
    return bool(
        user and user.is_authenticated and user.is_staff and user.has_perm(permission) and has_shown_second_factor(user)
    )


def caller_of(request: Request, *, cart: Cart | None = None, order: Order | None = None) -> str | None:
    """Whose idempotency keys these are: the user's, else the cart's, else the order's."""
    if request.user and request.user.is_authenticated:
        return f"user:{request.user.pk}"
    if cart is not None:
        return f"cart:{cart.pk}"
    return f"order:{order.pk}" if order is not None else None


def limit(request: Request, name: str) -> None:
    """Count one use of what CHECKOUT_RATE limits, per user, or per network when anonymous. Raises TooManyRequests."""
    buyer = buyer_of(request)
    who = f"user:{buyer.user.pk}" if buyer.user else f"net:{buyer.network}"
    limits.enforce(name, who, settings.CHECKOUT_RATE)


def refuse_to_save_for_guests(buyer: Buyer, wanted: bool) -> None:
    if wanted and buyer.user is None:
        raise DomainError("Sign in to save a payment method.", code="sign_in_to_save")


def order_of_token(request: Request) -> str | None:
    """The public id of the order that X-Order-Token opens."""
    return tokens.read("order", request.headers.get("X-Order-Token", ""))


def buyer_of(request: Request, email: str = "", address: dict[str, str] | None = None) -> Buyer:
    user = request.user if request.user and request.user.is_authenticated else None
    return Buyer(
        user=user,
        email=email or (user.email if user else ""),
        language=language_of(request._request),
        address=address,
        network=tokens.keyed_hash("network", network(request._request)),
    )


def _accessible(request: Request, permission: str) -> QuerySet[Order]:
    user = request.user if request.user and request.user.is_authenticated else None
    if permission and is_staff_with(request, permission):
        return Order.objects.all()
    mine = Q(pk__in=[])
    if user:
        mine |= Q(user=user)
    public_id = order_of_token(request)
    if public_id:
        mine |= Q(public_id=public_id, erased_at=None)
    return Order.objects.filter(mine)
