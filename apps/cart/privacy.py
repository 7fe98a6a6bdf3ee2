"""What carts keep of a person: what they meant to buy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from apps.accounts.privacy.holders import Holder, Rows, Subject
from apps.cart.models import Cart
from apps.common.money import to_major


def _export(subject: Subject) -> list[dict[str, Any]]:
    return [
        {
            "sku": item.variant.sku,
            "quantity": item.quantity,
            "price_at_add": to_major(item.price_at_add, cart.currency),
            "currency": cart.currency,
            "priced_at": item.priced_at,
        }
        for cart in _carts(subject)
        for item in cart.items.select_related("variant")
    ]


def _rows(subject: Subject) -> Sequence[Rows]:
    return [Rows("carts", "deleted", _carts(subject))]


def _erase(subject: Subject) -> None:
    _carts(subject).delete()


def _carts(subject: Subject) -> QuerySet[Cart]:
    """Guests' carts have nobody's name: they go by themselves, and their orders let go of them."""
    return Cart.objects.none() if subject.user_id is None else Cart.objects.filter(user=subject.user_id)


HOLDER = Holder("cart", export=_export, rows=_rows, erase=_erase)
