"""From a cart, or an unpaid order, to the Stripe page that collects its total.

Each round looks at what stands, closes at Stripe what has to make room, and only then places the order in one
transaction that checks that nothing has changed meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from apps.cart import services as cart_services
from apps.cart.models import Cart
from apps.common.errors import Conflict, DomainError, Unavailable
from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.orders.services.placing import (
    PriceChanged,
    check_open_orders,
    place_order,
    revive_order,
    unsettled_orders,
)
from apps.payment.gateway import StripeUnavailable
from apps.payment.models import Payment
from apps.payment.services.attempts import hold_end, next_attempt_number, open_attempt_of, open_checkout_attempt
from apps.payment.services.sessions import (
    AlreadyPaid,
    NeverOpened,
    ask_stripe,
    close_open_attempt,
    open_session,
)

ROUNDS = 5


class OrderCancelled(Conflict):
    code = "order_cancelled"
    message = "This order was cancelled."


class _Moved(Exception):
    """Somebody else changed cart or order since this round looked; look again."""


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who asks for a checkout. `network` is a keyed hash of an anonymous buyer's address."""

    user: Any = None
    email: str = ""
    network: str = ""


def start_checkout(*, cart: Cart | None, buyer: Buyer) -> Payment:
    """Place the cart as an order and open its session; the same unchanged cart gets the same open session again.

    Raises DomainError `cart_empty`, `amount_too_large`; OutOfStock, PriceChanged, AlreadyPaid, StripeUnavailable.
    """
    if cart is None:
        raise DomainError("The cart is empty.", code="cart_empty")
    for attempt in range(ROUNDS):
        if attempt:
            cart.refresh_from_db()
        standing = unsettled_orders(cart)
        for order in standing:
            if order.payment_status != Order.PaymentStatus.PENDING:
                raise AlreadyPaid(order.number)
        own = next((o for o in standing if o.cart_id == cart.pk and o.cart_version == cart.version), None)
        try:
            if own is not None:
                return _resume(own)
            _close_attempts(standing)
            payment = _place(cart, buyer, superseded=standing)
            return _opened(payment)
        except (_Moved, NeverOpened):
            continue
    raise Unavailable("The cart is being changed elsewhere. Try again.", code="cart_busy")


def retry_checkout(*, order: Order) -> Payment:
    """Open a new session for an unpaid order, after a decline, an expiry or a closed tab.

    Raises AlreadyPaid, OrderCancelled, OutOfStock, StripeUnavailable.
    """
    for _ in range(ROUNDS):
        order.refresh_from_db()
        _refuse_unless_payable(order)
        rivals = _rivals(order)
        try:
            _close_attempts([order, *rivals])
            payment = _new_attempt(order, superseded=rivals)
            return _opened(payment)
        except (_Moved, NeverOpened):
            continue
    raise Unavailable("The order is being changed elsewhere. Try again.", code="order_busy")


def cancel_checkout(*, order: Order) -> Order:
    """Cancel an unpaid order on somebody's word; its open attempt is closed at Stripe first.

    Raises AlreadyPaid, StripeUnavailable. Cancelling again changes nothing.
    """
    for _ in range(ROUNDS):
        order.refresh_from_db()
        if order.status == Order.Status.CANCELLED:
            return order
        if order.payment_status != Order.PaymentStatus.PENDING:
            raise AlreadyPaid(order.number)
        _close_attempts([order])
        try:
            with transaction.atomic(durable=True):
                locked = _lock_unattempted(order)
                lifecycle.end_order(locked, ended=Order.Ended.BY_PERSON, reason="cancelled by a person")
                return locked
        except _Moved:
            continue
    raise Unavailable("The order is being changed elsewhere. Try again.", code="order_busy")


def expire_order(order: Order) -> bool:
    """End an order whose time is over, once Stripe said that its session is expired or never was.

    Returns whether it ended; one that turned out to be paid is settled instead. Raises StripeUnavailable.
    """
    try:
        _close_attempts([order])
    except AlreadyPaid:
        return False
    try:
        with transaction.atomic(durable=True):
            lifecycle.end_order(_lock_unattempted(order), ended=Order.Ended.EXPIRED, reason="not paid in time")
    except _Moved:
        return False
    return True


def _resume(order: Order) -> Payment:
    """The open session of an order, as Stripe sees it now; a new attempt where there is none any more."""
    payment = open_attempt_of(order)
    if payment is not None and not payment.closing:
        if payment.stripe_session_id is None:
            return _opened(payment)
        try:
            payment = ask_stripe(payment)
        except StripeUnavailable:
            return payment  # the stored page may well work; a second session never would be right
        if payment.status == Payment.Status.PENDING:
            return payment
        order.refresh_from_db()
        if order.is_paid or order.payment_status == Order.PaymentStatus.PROCESSING:
            raise AlreadyPaid(order.number)
        raise _Moved
    _close_attempts([order])
    return _opened(_new_attempt(order, superseded=[]))


def _opened(payment: Payment) -> Payment:
    """The attempt with its session; _Moved when somebody closed it while Stripe was asked."""
    payment = open_session(payment)
    if payment.status != Payment.Status.PENDING or payment.closing:
        raise _Moved
    return payment


def _close_attempts(orders: list[Order]) -> None:
    for order in orders:
        payment = open_attempt_of(order)
        if payment is not None:
            close_open_attempt(payment)


def _place(cart: Cart, buyer: Buyer, *, superseded: list[Order]) -> Payment:
    check_open_orders(user=buyer.user, placed_from=buyer.network)
    try:
        with transaction.atomic(durable=True):
            locked = cart_services.lock_cart(cart.pk)
            if locked is None or locked.version != cart.version or locked.merged_into_id:
                raise _Moved
            if {o.pk for o in unsettled_orders(locked)} - {o.pk for o in superseded}:
                raise _Moved
            _supersede(superseded)
            order = place_order(
                cart=locked,
                user=buyer.user,
                email=buyer.email,
                address=None,
                placed_from="" if buyer.user else buyer.network,
                expires_at=hold_end(),
            )
            return open_checkout_attempt(order, number=1)
    except PriceChanged as changed:
        cart_services.accept_current_prices(cart_id=cart.pk, item_ids=changed.item_ids)
        raise


def _new_attempt(order: Order, *, superseded: list[Order]) -> Payment:
    with transaction.atomic(durable=True):
        if order.cart_id is not None:
            cart_services.lock_cart(order.cart_id)
        locked = _lock_unattempted(order, statuses=(Order.Status.PENDING, Order.Status.CANCELLED))
        _refuse_unless_payable(locked)
        if {o.pk for o in _rivals(locked)} - {o.pk for o in superseded}:
            raise _Moved
        _supersede(superseded)
        if locked.status == Order.Status.CANCELLED:
            revive_order(locked, expires_at=hold_end())
        else:
            locked.expires_at = hold_end()
            locked.save(update_fields=["expires_at"])
        return open_checkout_attempt(locked, number=next_attempt_number(locked))


def _rivals(order: Order) -> list[Order]:
    """Another pending order of the same cart: only one of them may stand."""
    if order.cart_id is None:
        return []
    return list(Order.objects.filter(cart=order.cart_id, status=Order.Status.PENDING).exclude(pk=order.pk))


def _supersede(orders: list[Order]) -> None:
    for order in sorted(orders, key=lambda o: o.pk):
        current = Order.objects.get(pk=order.pk)
        if current.status == Order.Status.CANCELLED:
            continue
        lifecycle.end_order(
            _lock_unattempted(order), ended=Order.Ended.SUPERSEDED, reason="a newer order took its place"
        )


def _lock_unattempted(order: Order, *, statuses: tuple[str, ...] = (Order.Status.PENDING,)) -> Order:
    """Lock an order that has no open attempt and no money; raises _Moved when that is not so any more.

    Payments are locked before their order, as settlement does, so nothing can open or settle in between.
    """
    payments = Payment.objects.select_for_update(no_key=True).filter(order=order).order_by("pk")
    still_open = any(payment.is_open for payment in payments)
    locked = lifecycle.lock_order(order.pk)
    waiting = (Order.PaymentStatus.PENDING, Order.PaymentStatus.FAILED)
    if still_open or locked.status not in statuses or locked.payment_status not in waiting:
        raise _Moved
    # A row that was written between the two locks is seen now, under the order's lock.
    if open_attempt_of(locked) is not None:
        raise _Moved
    return locked


def _refuse_unless_payable(order: Order) -> None:
    if order.is_paid or order.payment_status == Order.PaymentStatus.PROCESSING:
        raise AlreadyPaid(order.number)
    if order.status == Order.Status.CANCELLED and order.ended not in Order.RETRIABLE:
        raise OrderCancelled(order_number=order.number)
