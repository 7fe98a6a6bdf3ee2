"""Writes to carts. Each runs in a transaction of its own and locks the cart first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, OuterRef, Subquery
from django.utils import timezone

from apps.cart.models import Cart, CartItem
from apps.cart.selectors import available_to, lines_of
from apps.catalog.models import Price, ProductVariant
from apps.common import money, rows, tokens
from apps.common.errors import DomainError, InvalidInput, NotFound
from apps.inventory.services import OutOfStock

MAX_LINES = 100
MAX_QUANTITY = 999
ANONYMOUS_CARTS_LIVE = timedelta(days=30)


def make_anonymous_cart() -> Cart:
    return Cart.objects.create(public_id=tokens.new_public_id())


def cart_of_user(user: Any) -> Cart:
    """The person's cart, made when there is none. Two at once end with the same one."""
    return Cart.objects.get_or_create(user=user)[0]


def add_item(*, cart: Cart, variant_id: int, quantity: int, currency: str | None = None) -> Cart:
    """Put `quantity` more of a variant into the cart, at today's price when the line is new.

    Raises NotFound, OutOfStock, InvalidInput, DomainError `currency_mismatch`, `no_price_in_currency`,
    `cart_too_large`.
    """
    with transaction.atomic(durable=True):
        cart = _lock(cart)
        lines = {line.variant_id: line for line in lines_of(cart)}
        wanted = _currency_for(cart, currency, has_lines=bool(lines))
        variant, price = _buyable(variant_id, wanted)
        present = lines.get(variant_id)
        total = quantity + (present.quantity if present else 0)
        if present is None and len(lines) >= MAX_LINES:
            raise DomainError(f"A cart has at most {MAX_LINES} lines.", code="cart_too_large")
        _check_quantity(cart, variant, total)
        if present:
            CartItem.objects.filter(pk=present.id).update(quantity=total)
        else:
            CartItem.objects.create(
                cart=cart, variant=variant, quantity=total, price_at_add=price, priced_at=timezone.now()
            )
        _touch(cart, currency=wanted)
    cart.currency = wanted
    return cart


def set_quantity(*, cart: Cart, item_id: int, quantity: int) -> None:
    """Raises NotFound when the line is not in this cart, OutOfStock when there is not enough."""
    with transaction.atomic(durable=True):
        cart = _lock(cart)
        item = CartItem.objects.select_related("variant").filter(cart=cart, pk=item_id).first()
        if item is None:
            raise NotFound(code="item_not_found")
        if item.quantity == quantity:
            return
        _check_quantity(cart, item.variant, quantity)
        CartItem.objects.filter(pk=item.pk).update(quantity=quantity)
        _touch(cart)


def remove_item(*, cart: Cart, item_id: int) -> None:
    with transaction.atomic(durable=True):
        cart = _lock(cart)
        if not CartItem.objects.filter(cart=cart, pk=item_id).delete()[0]:
            raise NotFound(code="item_not_found")
        _touch(cart)


def clear(*, cart: Cart) -> None:
    with transaction.atomic(durable=True):
        cart = _lock(cart)
        if CartItem.objects.filter(cart=cart).delete()[0]:
            _touch(cart)


def take_off(*, cart_id: int, quantities: Mapping[int, int]) -> None:
    """Take what was bought out of the cart, in the caller's transaction; what was added later stays.

    A cart that was merged passes it on to the one that it became part of.
    """
    cart = lock_cart(cart_id)
    if cart is None:
        return
    if cart.merged_into_id:
        take_off(cart_id=cart.merged_into_id, quantities=quantities)
        return
    changed = False
    for item in CartItem.objects.filter(cart=cart, variant_id__in=quantities):
        left = item.quantity - quantities[item.variant_id]
        changed = True
        if left > 0:
            CartItem.objects.filter(pk=item.pk).update(quantity=left)
        else:
            item.delete()
    if changed:
        _touch(cart)


def accept_current_prices(*, cart_id: int, item_ids: list[int]) -> None:
    """Let lines whose promise ran out take today's price, which is promised anew."""
    with transaction.atomic(durable=True):
        cart = lock_cart(cart_id)
        if cart is None:
            return
        for line in lines_of(cart):
            if line.id in item_ids and line.current_price is not None:
                CartItem.objects.filter(pk=line.id).update(price_at_add=line.current_price, priced_at=timezone.now())
        _touch(cart)


def lock_cart(cart_id: int) -> Cart | None:
    """Lock a cart's row; None when it is gone. First in the lock order."""
    return rows.locked(Cart, "id", cart_id)


@dataclass(frozen=True)
class Merge:
    """What a sign-in did to the lines of the anonymous cart."""

    cart: Cart
    capped: list[dict[str, Any]]
    dropped: list[dict[str, Any]]


def merge_into_user_cart(*, anonymous: Cart, user: Any) -> Merge:
    """Add an anonymous cart's lines to the person's cart, capped by what is available.

    The emptied cart stays as a signpost: an order that was placed from it still finds the way when it is paid.
    """
    target = cart_of_user(user)
    capped: list[dict[str, Any]] = []
    dropped: list[dict[str, Any]] = []
    with transaction.atomic(durable=True):
        locked = {
            c.pk: c
            for c in Cart.objects.select_for_update(no_key=True).filter(pk__in=[anonymous.pk, target.pk]).order_by("pk")
        }
        source, target = locked[anonymous.pk], locked[target.pk]
        if source.merged_into_id or source.user_id:
            return Merge(target, [], [])
        Cart.objects.filter(pk=source.pk).update(merged_into=target)
        present = {line.variant_id: line for line in lines_of(target)}
        currency = target.currency if present else source.currency
        incoming = lines_of(source)
        room = available_to(target, [line.variant_id for line in incoming])
        for line in incoming:
            own = present.get(line.variant_id)
            wanted = line.quantity + (own.quantity if own else 0)
            free = room.get(line.variant_id)
            granted = min(wanted, MAX_QUANTITY, wanted if free is None else max(free, 0))
            if (
                source.currency != currency
                or not line.buyable
                or granted < 1
                or (own is None and len(present) >= MAX_LINES)
            ):
                dropped.append({"sku": line.sku, "quantity": line.quantity})
                continue
            if granted < wanted:
                capped.append({"sku": line.sku, "requested": wanted, "quantity": granted})
            if own:
                CartItem.objects.filter(pk=own.id).update(quantity=granted)
            else:
                CartItem.objects.filter(pk=line.id).update(cart=target, quantity=granted)
                present[line.variant_id] = line
        CartItem.objects.filter(cart=source).delete()
        _touch(target, currency=currency)
        target.refresh_from_db()
    return Merge(target, capped, dropped)


def forget_old_anonymous_carts() -> int:
    """Remove anonymous carts that nobody touched for 30 days. Their orders stay."""
    old = Cart.objects.filter(user=None, updated_at__lt=timezone.now() - ANONYMOUS_CARTS_LIVE)
    return old.delete()[0]


def _lock(cart: Cart) -> Cart:
    locked = lock_cart(cart.pk)
    if locked is None or locked.merged_into_id:
        raise NotFound("This cart is not there any more.", code="cart_not_found")
    return locked


def _touch(cart: Cart, **columns: Any) -> None:
    Cart.objects.filter(pk=cart.pk).update(version=F("version") + 1, updated_at=timezone.now(), **columns)


def _currency_for(cart: Cart, asked: str | None, *, has_lines: bool) -> str:
    currency = (asked or (cart.currency if has_lines else "") or settings.DEFAULT_CURRENCY).upper()
    if has_lines and currency != cart.currency:
        raise DomainError(
            f"The cart is in {cart.currency}; empty it to pay in another currency.", code="currency_mismatch"
        )
    if currency not in money.CURRENCIES:
        raise InvalidInput(fields={"currency": ["This currency is not supported."]})
    return currency


def _buyable(variant_id: int, currency: str) -> tuple[ProductVariant, int]:
    """An active variant and its price of one unit in minor units."""
    price = Price.objects.filter(variant=OuterRef("pk"), currency=currency).values("amount")[:1]
    variant = (
        ProductVariant.objects.filter(pk=variant_id, active=True, product__active=True)
        .annotate(price=Subquery(price))
        .first()
    )
    if variant is None:
        raise NotFound("There is no such variant.", code="variant_not_found")
    if variant.price is None:
        raise DomainError(f"This item has no price in {currency}.", code="no_price_in_currency")
    return variant, variant.price


def _check_quantity(cart: Cart, variant: ProductVariant, total: int) -> None:
    if total > MAX_QUANTITY:
        raise InvalidInput(fields={"quantity": [f"At most {MAX_QUANTITY} of one item."]})
    if variant.available is None or total <= variant.available:
        return
    # Only now does it matter what this cart's own open order holds.
    free = available_to(cart, [variant.pk], variants=[variant])[variant.pk]
    if free is not None and total > free:
        raise OutOfStock(items=[{"sku": variant.sku, "requested": total, "available": max(0, free)}])
