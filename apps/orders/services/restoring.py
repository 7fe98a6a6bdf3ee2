"""An order that was placed and is not here any more: written again under its own number, from what is still known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.catalog.models import ProductVariant
from apps.common.errors import Conflict
from apps.inventory import services as inventory
from apps.orders.models import Order, OrderItem
from apps.orders.services import state
from apps.orders.services.numbers import day_of, note_number


class NotRestorable(Conflict):
    """The order cannot be written as it was; the message says why, for staff."""

    code = "order_not_restorable"


@dataclass(frozen=True, slots=True)
class LostLine:
    """What was bought. `unit_price` is in minor units."""

    sku: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class LostOrder:
    """What is known of an order that is missing. `total` is in minor units."""

    number: str
    public_id: str
    currency: str
    total: int
    lines: Sequence[LostLine]
    placed_at: datetime
    user: Any = None
    email: str = ""
    address: dict[str, str] | None = None
    language: str = ""


def refuse_unless_restorable(lost: LostOrder) -> None:
    """Raises NotRestorable where `restore_order` would. Writes nothing."""
    _variants_of(lost)


def restore_order(lost: LostOrder, *, expires_at: datetime) -> Order:
    """Write a missing order, waiting for its money and holding its stock, in the caller's transaction.

    Number, lines, prices and the id that a guest's token is made of are the old ones, so the links that the buyer
    was mailed open it again. Its cart is not known any more. Raises NotRestorable.
    """
    variants = _variants_of(lost)
    wanted = {variants[line.sku].pk: line.quantity for line in lost.lines}
    order = Order.objects.create(
        number=lost.number,
        public_id=lost.public_id,
        user=lost.user,
        email=lost.email,
        currency=lost.currency,
        subtotal=lost.total,
        total=lost.total,
        shipping_address=lost.address,
        language=lost.language,
        transitions=1,
        expires_at=expires_at,
    )
    Order.objects.filter(pk=order.pk).update(created_at=lost.placed_at)
    OrderItem.objects.bulk_create(_item(order, variants[line.sku], line) for line in lost.lines)
    try:
        inventory.hold(order_id=order.pk, cart_id=None, wanted=wanted)
    except inventory.OutOfStock as short:
        raise _out_of_stock(short.data["items"]) from short
    note_number(lost.number)
    state.open_log(order, reason="restored from Stripe")
    return order


def _variants_of(lost: LostOrder) -> dict[str, ProductVariant]:
    """The variants by sku. Raises NotRestorable."""
    if day_of(lost.number) is None or len(lost.public_id) != 32:
        raise NotRestorable("its number is not known")
    if Order.objects.filter(number=lost.number).exists():
        raise NotRestorable(f"another order has the number {lost.number} now")
    skus = [line.sku for line in lost.lines]
    known = {v.sku: v for v in ProductVariant.objects.filter(sku__in=skus).select_related("product")}
    missing = sorted(set(skus) - set(known))
    if missing or not skus or len(set(skus)) != len(skus):
        raise NotRestorable(f"no such sku: {', '.join(missing)}" if missing else "its lines are not known")
    if sum(line.quantity * line.unit_price for line in lost.lines) != lost.total:
        raise NotRestorable("its lines do not add up to its total")
    short = [
        {"sku": line.sku, "requested": line.quantity, "available": max(0, available)}
        for line in lost.lines
        if (available := known[line.sku].available) is not None and available < line.quantity
    ]
    if short:
        raise _out_of_stock(short)
    return known


def _out_of_stock(items: Sequence[dict[str, Any]]) -> NotRestorable:
    told = ", ".join(f"{item['sku']} ({item['requested']} bought, {item['available']} left)" for item in items)
    return NotRestorable(f"out of stock: {told}", items=items)


def _item(order: Order, variant: ProductVariant, line: LostLine) -> OrderItem:
    return OrderItem(
        order=order,
        variant=variant,
        sku=variant.sku,
        name=str(variant),
        kind=variant.product.kind,
        image_url=variant.product.image_url,
        quantity=line.quantity,
        unit_price=line.unit_price,
        line_total=line.unit_price * line.quantity,
    )
