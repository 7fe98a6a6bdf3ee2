"""What is in a cart, and what of it could be had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from apps.cart.models import Cart, CartItem
from apps.catalog.models import Price, ProductVariant
from apps.common.money import to_major
from apps.inventory.services import own_holds


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a cart. Prices are of one unit, in minor units."""

    id: int
    variant_id: int
    sku: str
    name: str
    kind: str
    image_url: str
    quantity: int
    price_at_add: int
    priced_at: datetime
    current_price: int | None
    stock: int | None
    held: int
    active: bool
    needs_account: bool

    @property
    def line_total(self) -> int:
        return self.quantity * self.price_at_add

    @property
    def buyable(self) -> bool:
        return self.active and self.current_price is not None

    @property
    def price_is_stale(self) -> bool:
        """The promise of its price is over, and the price is another one by now."""
        age = timezone.now() - self.priced_at
        return age > timedelta(hours=settings.CART_PRICE_LOCK_HOURS) and self.current_price != self.price_at_add


def lines_of(cart: Cart) -> list[Line]:
    """Every line with its present price and stock, in one statement."""
    price = Price.objects.filter(variant=OuterRef("variant"), currency=cart.currency).values("amount")[:1]
    rows = (
        CartItem.objects.filter(cart=cart)
        .select_related("variant__product")
        .annotate(current_price=Subquery(price))
        .order_by("pk")
    )
    return [
        Line(
            id=row.pk,
            variant_id=row.variant_id,
            sku=row.variant.sku,
            name=str(row.variant),
            kind=row.variant.product.kind,
            image_url=row.variant.product.image_url,
            quantity=row.quantity,
            price_at_add=row.price_at_add,
            priced_at=row.priced_at,
            current_price=row.current_price,
            stock=row.variant.stock,
            held=row.variant.held,
            active=row.variant.active and row.variant.product.active,
            needs_account=row.variant.product.needs_account,
        )
        for row in rows
    ]


def family(cart: Cart) -> QuerySet[Any]:
    """The ids of this cart and of those that were merged into it: their open orders hold stock for it."""
    return Cart.objects.filter(Q(pk=cart.pk) | Q(merged_into=cart.pk)).values("pk")


def available_to(
    cart: Cart, variant_ids: Iterable[int], *, variants: Iterable[ProductVariant] | None = None
) -> dict[int, int | None]:
    """What this cart could take of each variant, its own open order's hold included; None: not counted."""
    ids = list(variant_ids)
    if variants is None:
        variants = ProductVariant.objects.filter(pk__in=ids).only("stock", "held")
    own = own_holds(variant_ids=ids, cart_ids=family(cart))
    return {v.pk: None if v.available is None else v.available + own.get(v.pk, 0) for v in variants}


EMPTY: dict[str, Any] = {"items": [], "items_count": 0}


def render_cart(cart: Cart | None) -> dict[str, Any]:
    """The cart as the API shows it. None is the empty cart of somebody who has none."""
    if cart is None:
        zero = to_major(0, settings.DEFAULT_CURRENCY)
        return {
            "token": None,
            "currency": settings.DEFAULT_CURRENCY,
            **EMPTY,
            "subtotal": zero,
            "total": zero,
        }
    lines = lines_of(cart)
    currency = cart.currency if lines else settings.DEFAULT_CURRENCY
    own = own_holds(variant_ids=[line.variant_id for line in lines], cart_ids=family(cart)) if lines else {}
    total = to_major(sum(line.line_total for line in lines), currency)
    return {
        "token": cart.token,
        "currency": currency,
        "items": [_render_line(line, currency, own.get(line.variant_id, 0)) for line in lines],
        "items_count": sum(line.quantity for line in lines),
        "subtotal": total,
        "total": total,
    }


def _render_line(line: Line, currency: str, own: int) -> dict[str, Any]:
    return {
        "id": line.id,
        "variant_id": line.variant_id,
        "sku": line.sku,
        "name": line.name,
        "kind": line.kind,
        "image_url": line.image_url,
        "quantity": line.quantity,
        "price_at_add": to_major(line.price_at_add, currency),
        "current_price": None if line.current_price is None else to_major(line.current_price, currency),
        "line_total": to_major(line.line_total, currency),
        "available": None if line.stock is None else line.stock - line.held + own,
    }
