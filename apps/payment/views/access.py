"""Whose order a request may see. Somebody else's looks exactly like one that is not there."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from rest_framework.request import Request

from apps.common import tokens
from apps.common.client import network
from apps.common.errors import NotFound
from apps.orders.models import Order
from apps.payment.services.checkout import Buyer


def order_of(request: Request, number: str, *, staff: bool = False) -> Order:
    """The order of this number, for its owner or the holder of its token. Raises NotFound.

    An order number alone never grants access. `staff` lets members of staff through as well.
    """
    order = _accessible(request, staff=staff).filter(number=number).first() if number.isascii() else None
    if order is None:
        raise NotFound("There is no such order.", code="order_not_found")
    return order


def order_of_token(request: Request) -> str | None:
    """The public id of the order that X-Order-Token opens."""
    return tokens.read("order", request.headers.get("X-Order-Token", ""))


def buyer_of(request: Request, email: str = "") -> Buyer:
    user = request.user if request.user and request.user.is_authenticated else None
    return Buyer(
        user=user,
        email=email or (user.email if user else ""),
        network=tokens.keyed_hash("network", network(request._request)),
    )


def _accessible(request: Request, *, staff: bool) -> QuerySet[Order]:
    user = request.user if request.user and request.user.is_authenticated else None
    if staff and user and user.is_staff and user.has_perm("orders.change_order"):
        return Order.objects.all()
    mine = Q(pk__in=[])
    if user:
        mine |= Q(user=user)
    public_id = order_of_token(request)
    if public_id:
        mine |= Q(public_id=public_id)
    return Order.objects.filter(mine)
