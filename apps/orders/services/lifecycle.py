"""What happens to an order after it was placed. Each runs in its caller's transaction on a locked order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from apps.cart import services as cart_services
from apps.common import rows
from apps.inventory import services as inventory
from apps.orders.models import Order, OrderItem
from apps.orders.services import state
from apps.outbox.services import publish

S, P = Order.Status, Order.PaymentStatus


def lock_order(order_id: int) -> Order:
    order = rows.locked(Order, "id", order_id)
    if order is None:
        raise Order.DoesNotExist
    return order


def mark_order_paid(order: Order, *, paid_at: datetime, email: str, address: dict[str, str] | None) -> None:
    """The order's money is here: what it held is sold. What the hosted page asked for fills empty fields."""
    inventory.sell(order_id=order.pk)
    state.move(
        order,
        status=S.CONFIRMED,
        payment_status=P.PAID,
        reason="paid",
        ended="",
        paid_at=paid_at,
        expires_at=None,
        **_contact(order, email, address),
    )
    publish("order.paid", str(order.pk), {"order_id": order.pk})


def learn_contact(order: Order, *, email: str, address: dict[str, str] | None) -> None:
    """Fill in what only the hosted page asked for, when it comes after the money did.

    The same payment is told by several events, and not all of them carry the buyer's e-mail and address.
    """
    known = {"email": order.email, "shipping_address": order.shipping_address}
    told = _contact(order, email, address)
    new = {name: value for name, value in told.items() if value != known[name]}
    if not new:
        return
    Order.objects.filter(pk=order.pk).update(**new)
    # Each is learned once; the two may come with different events.
    publish("order.contact_learned", f"{order.pk}/{'+'.join(new)}", {"order_id": order.pk})


def _contact(order: Order, email: str, address: dict[str, str] | None) -> dict[str, Any]:
    """What is told fills empty columns of a locked order. Of a forgotten buyer nothing is learned again."""
    if order.erased_at is not None:
        return {}
    return {"email": order.email or email, "shipping_address": order.shipping_address or address}


def correct_contact(order_id: int, *, email: str, address: dict[str, str] | None) -> None:
    """Take over the e-mail and address that a buyer gives anew for an order that is not paid yet."""
    new: dict[str, object] = {}
    if email:
        new["email"] = email
    if address:
        new["shipping_address"] = address
    if new:
        Order.objects.filter(pk=order_id, status=S.PENDING).update(**new)


def apply_refunds(order: Order, *, refunded: int, lines: Mapping[int, int], reason: str) -> None:
    """Show on a locked, paid order what of its money and of which lines went back.

    `refunded` is the sum of succeeded refunds in minor units, `lines` the quantity per line that they name. The
    refund that completes the total refunds every line. Both may go down again: a refund can fail days later.
    """
    for item in order.items.all():
        quantity = item.quantity if refunded >= order.total else min(item.quantity, lines.get(item.pk, 0))
        if quantity != item.refunded_quantity:
            OrderItem.objects.filter(pk=item.pk).update(refunded_quantity=quantity)
    if order.is_paid:
        state.move(
            order, payment_status=state.payment_status_after(total=order.total, refunded=refunded), reason=reason
        )


def flag_dispute(order: Order, *, disputed: bool) -> None:
    Order.objects.filter(pk=order.pk).update(disputed=disputed)


def mark_order_processing(order: Order, *, email: str, address: dict[str, str] | None) -> None:
    """A delayed payment is on its way: hold and order have no expiry until it arrives or fails."""
    state.move(
        order,
        payment_status=P.PROCESSING,
        reason="payment on its way",
        expires_at=None,
        **_contact(order, email, address),
    )
    publish("order.processing", f"{order.pk}/{order.transitions}", {"order_id": order.pk})


def end_order(order: Order, *, ended: str, reason: str) -> None:
    """Cancel an unpaid order and free what it held."""
    inventory.release(order_ids=[order.pk])
    state.move(order, status=S.CANCELLED, payment_status=P.FAILED, reason=reason, ended=ended, expires_at=None)
    if ended == Order.Ended.PAYMENT_FAILED:
        publish("order.payment_failed", f"{order.pk}/{order.transitions}", {"order_id": order.pk})


def retake_stock(order: Order) -> None:
    """Hold what a cancelled order needs once more, for money that came late. Raises OutOfStock."""
    wanted = dict(OrderItem.objects.filter(order=order).values_list("variant_id", "quantity"))
    inventory.hold(order_id=order.pk, cart_id=order.cart_id, wanted=wanted)


def take_bought_off_cart(order_id: int) -> None:
    """Take a paid order's quantities off the cart it came from, once. What was added later stays.

    Locks the cart before the order, as everybody does.
    """
    cart_id = Order.objects.values_list("cart_id", flat=True).get(pk=order_id)
    if cart_id is not None:
        cart_services.lock_cart(cart_id)
    order = lock_order(order_id)
    if order.cart_settled_at is not None:
        return
    if cart_id is not None:
        bought = dict(OrderItem.objects.filter(order=order).values_list("variant_id", "quantity"))
        cart_services.take_off(cart_id=cart_id, quantities=bought)
    Order.objects.filter(pk=order.pk).update(cart_settled_at=timezone.now())
