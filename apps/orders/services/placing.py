"""From a cart, or one variant, to an order that holds its stock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.cart.models import Cart
from apps.cart.selectors import Line, lines_of
from apps.catalog.models import Price, ProductVariant
from apps.common import money, rows
from apps.common.errors import Conflict, DomainError, SignInRequired, TooManyRequests
from apps.inventory import services as inventory
from apps.orders.models import Order, OrderItem
from apps.orders.services import state
from apps.orders.services.numbers import next_number


class PriceChanged(Conflict):
    """The promise of some prices ran out and they are others by now; the lines are to take the new ones."""

    code = "price_changed"
    message = "Some prices have changed since you put the items into your cart."

    def __init__(self, lines: list[Line], currency: str) -> None:
        self.item_ids = [line.id for line in lines]
        super().__init__(
            items=[
                {
                    "sku": line.sku,
                    "price_at_add": money.to_major(line.price_at_add, currency),
                    "current_price": money.to_major(line.current_price or 0, currency),
                }
                for line in lines
            ]
        )


UNSETTLED = f"""
    SELECT * FROM {Order._meta.db_table} WHERE status <> 'cancelled' AND cart_settled_at IS NULL
    AND cart_id IN (SELECT id FROM {Cart._meta.db_table} WHERE id = %s OR merged_into_id = %s) ORDER BY id
"""  # noqa: S608 - names of the models' own
"""In SQL, since every checkout asks it twice."""


def unsettled_orders(cart: Cart) -> list[Order]:
    """Orders of this cart, or of one merged into it, that still stand for its lines.

    They wait for money, or are paid and their quantities have not left the cart yet.
    """
    return list(Order.objects.raw(UNSETTLED, [cart.pk, cart.pk]))


def place_order(
    *,
    cart: Cart,
    user: Any,
    email: str,
    address: dict[str, str] | None,
    placed_from: str,
    language: str,
    expires_at: datetime,
) -> Order:
    """Make the order of a locked cart and hold its stock, in the caller's transaction.

    Raises DomainError `cart_empty`, `amount_too_large` or `item_unavailable`, SignInRequired, PriceChanged,
    OutOfStock.
    """
    lines = lines_of(cart)
    _check(lines, cart.currency, user)
    order = Order(
        user=user,
        email=email,
        cart=cart,
        cart_version=cart.version,
        placed_from=placed_from,
        currency=cart.currency,
        shipping_address=address,
        language=language,
        expires_at=expires_at,
    )
    items = [
        OrderItem(
            variant_id=line.variant_id,
            sku=line.sku,
            name=line.name,
            kind=line.kind,
            image_url=line.image_url,
            quantity=line.quantity,
            unit_price=line.price_at_add,
            line_total=line.line_total,
        )
        for line in lines
    ]
    return _write(order, items)


def place_variant(
    *, variant_id: int, user: Any, email: str, currency: str, language: str, expires_at: datetime
) -> Order:
    """Make an order of one unit of a variant, without a cart, at today's price, in the caller's transaction.

    Raises OutOfStock, also when the variant is not for sale in this currency.
    """
    variant = ProductVariant.objects.select_related("product").get(pk=variant_id)
    price = Price.objects.filter(variant=variant, currency=currency).values_list("amount", flat=True).first()
    if price is None or not (variant.active and variant.product.active):
        raise inventory.OutOfStock(items=[{"sku": variant.sku, "requested": 1, "available": 0}])
    item = OrderItem(
        variant=variant,
        sku=variant.sku,
        name=str(variant),
        kind=variant.product.kind,
        image_url=variant.product.image_url,
        quantity=1,
        unit_price=price,
        line_total=price,
    )
    order = Order(user=user, email=email, currency=currency, language=language, expires_at=expires_at)
    return _write(order, [item])


def standing_order_of_variant(*, variant_id: int, user: Any) -> Order | None:
    """The person's newest unpaid order that `place_variant` made of this variant and that has not ended."""
    # An order that lost its cart still has the cart's version; one that never had a cart has none.
    made = Order.objects.filter(user=user, cart_version=None, items__variant=variant_id)
    return made.filter(status=Order.Status.PENDING).order_by("-pk").first()


def _write(order: Order, items: list[OrderItem]) -> Order:
    """Save a new order with its lines and hold what they need. Raises OutOfStock."""
    wanted = {item.variant_id: item.quantity for item in items}
    # Variants before counters, in the house's lock order: nobody waits for a variant while holding the day's row.
    variants = inventory.lock_variants(wanted)
    order.subtotal = order.total = sum(item.line_total for item in items)
    order.transitions = 1
    order.number = next_number()
    rows.insert_one(order)
    for item in items:
        item.order = order
    rows.insert(items)
    inventory.hold_locked(variants, order_id=order.pk, cart_id=order.cart_id, wanted=wanted)
    state.open_log(order, reason="placed")
    return order


def revive_order(order: Order, *, expires_at: datetime) -> None:
    """Take the stock of an order that expired or failed again, at its own prices, in the caller's transaction.

    Raises OutOfStock.
    """
    wanted = {item.variant_id: item.quantity for item in order.items.all()}
    inventory.hold(order_id=order.pk, cart_id=order.cart_id, wanted=wanted)
    state.move(
        order,
        status=Order.Status.PENDING,
        payment_status=Order.PaymentStatus.PENDING,
        reason="retried",
        ended="",
        expires_at=expires_at,
    )


def check_open_orders(*, user: Any, placed_from: str) -> None:
    """Raises TooManyRequests when this buyer has as many open unpaid orders as one may have."""
    if not settings.RATE_LIMITS:
        return
    open_orders = Order.objects.filter(status=Order.Status.PENDING)
    mine = open_orders.filter(user=user) if user else open_orders.filter(user=None, placed_from=placed_from)
    soonest = mine.order_by("expires_at").values_list("expires_at", flat=True)[: settings.OPEN_ORDERS]
    ends = list(soonest)
    if len(ends) >= settings.OPEN_ORDERS:
        waits = [(end - timezone.now()).total_seconds() for end in ends if end]
        raise TooManyRequests(
            "You have too many unpaid orders. Pay or cancel one, or wait until one expires.",
            retry_after=int(max(60, min(waits, default=60))),
            code="too_many_open_orders",
        )


def _check(lines: list[Line], currency: str, user: Any) -> None:
    if not lines:
        raise DomainError("The cart is empty.", code="cart_empty")
    personal = [line.name for line in lines if line.needs_account]
    if personal and user is None:
        raise SignInRequired(f"Sign in first: {', '.join(personal)} belongs to an account.")
    gone = [line for line in lines if not line.active or (line.price_is_stale and line.current_price is None)]
    if gone:
        raise inventory.OutOfStock(
            items=[{"sku": line.sku, "requested": line.quantity, "available": 0} for line in gone]
        )
    stale = [line for line in lines if line.price_is_stale]
    if stale:
        raise PriceChanged(stale, currency)
    if sum(line.line_total for line in lines) > money.MAX_AMOUNT:
        raise DomainError("The total is more than one payment can carry.", code="amount_too_large")
