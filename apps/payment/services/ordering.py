"""Orders and the attempts to pay them: placed, superseded, attempted anew, cancelled, expired.

Each round looks at what stands, closes at Stripe what has to make room, and only then writes in one transaction that
checks that nothing has changed meanwhile. Lock order: cart, payment, order, variants, counters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import transaction

from apps.accounts.models import User
from apps.cart import services as cart_services
from apps.cart.models import Cart
from apps.common.errors import Conflict, DomainError, Unavailable
from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.orders.services.placing import (
    PriceChanged,
    check_open_orders,
    place_order,
    place_variant,
    revive_order,
    standing_order_of_variant,
    unsettled_orders,
)
from apps.payment.models import Payment
from apps.payment.services.attempts import Wish, hold_end, next_attempt_number, open_attempt, open_attempt_of
from apps.payment.services.provider import (
    AlreadyPaid,
    NeverOpened,
    close_left_open,
    close_open_attempt,
    left_open,
    open_at_stripe,
)

ROUNDS = 5

T = TypeVar("T")


class OrderCancelled(Conflict):
    code = "order_cancelled"
    message = "This order was cancelled."


class Moved(Exception):
    """Somebody else changed cart or order since this round looked; look again."""


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who asks, and in which language. `network` is a keyed hash of an anonymous buyer's address."""

    user: Any = None
    email: str = ""
    language: str = ""
    network: str = ""
    address: dict[str, str] | None = None


def in_rounds(look_and_act: Callable[[], T], *, busy: str, look_again: Callable[[], None] | None = None) -> T:
    """Look and act until nobody else moved meanwhile. Raises Unavailable with the code `busy`."""
    for number in range(ROUNDS):
        if number and look_again is not None:
            look_again()
        try:
            return look_and_act()
        except (Moved, NeverOpened):
            continue
    raise Unavailable("It is being changed elsewhere at this moment. Try again.", code=busy)


def place_cart(*, cart: Cart | None, buyer: Buyer) -> tuple[Order, bool]:
    """Place the cart as an order that holds its stock; the same unchanged cart is the same order again.

    Returns the order and whether it is new. Raises DomainError `cart_empty`, `amount_too_large`; OutOfStock,
    PriceChanged, AlreadyPaid, StripeUnavailable.
    """
    if cart is None:
        raise DomainError("The cart is empty.", code="cart_empty")

    def place() -> tuple[Order, bool]:
        own, standing = standing_orders(cart)
        if own is not None:
            lifecycle.correct_contact(own.pk, email=buyer.email, address=buyer.address)
            own.refresh_from_db()
            return own, False
        return place_instead(cart, buyer, standing)[0], True

    return in_rounds(place, busy="cart_busy", look_again=cart.refresh_from_db)


def standing_orders(cart: Cart) -> tuple[Order | None, list[Order]]:
    """The open order of exactly this cart, and all that it has open. Raises AlreadyPaid when money is on its way."""
    standing = unsettled_orders(cart)
    for order in standing:
        if order.payment_status != Order.PaymentStatus.PENDING:
            raise AlreadyPaid(order.number)
    own = next((o for o in standing if o.cart_id == cart.pk and o.cart_version == cart.version), None)
    return own, standing


def place_instead(
    cart: Cart, buyer: Buyer, standing: list[Order], wish: Wish | None = None
) -> tuple[Order, Payment | None]:
    """Place the cart in the place of its standing orders, with a first attempt where there is a wish.

    Raises Moved, SignInRequired, OutOfStock, PriceChanged, AlreadyPaid, StripeUnavailable.
    """
    close_attempts(standing)
    check_open_orders(user=buyer.user, placed_from=buyer.network)
    try:
        with transaction.atomic(durable=True):
            locked = cart_services.lock_cart(cart.pk)
            if locked is None or locked.version != cart.version or locked.merged_into_id:
                raise Moved
            if {o.pk for o in unsettled_orders(locked)} - {o.pk for o in standing}:
                raise Moved
            _supersede(standing)
            order = place_order(
                cart=locked,
                user=buyer.user,
                email=buyer.email,
                address=buyer.address,
                placed_from="" if buyer.user else buyer.network,
                language=buyer.language,
                expires_at=hold_end(),
            )
            return order, open_attempt(order, number=1, wish=wish) if wish is not None else None
    except PriceChanged as changed:
        cart_services.accept_current_prices(cart_id=cart.pk, item_ids=changed.item_ids)
        raise


def place_variant_first(*, variant_id: int, currency: str, buyer: Buyer, wish: Wish) -> Payment:
    """Order one unit of a variant without a cart, with a first attempt, if the person has no such order open.

    There is no cart whose lock two such calls at once could wait for, so they wait for the person's row, which
    nobody locks after anything else. Raises Moved, OutOfStock, TooManyRequests.
    """
    check_open_orders(user=buyer.user, placed_from="")
    with transaction.atomic(durable=True):
        User.objects.select_for_update(no_key=True).get(pk=buyer.user.pk)
        if standing_order_of_variant(variant_id=variant_id, user=buyer.user) is not None:
            raise Moved
        order = place_variant(
            variant_id=variant_id,
            user=buyer.user,
            email=buyer.email,
            currency=currency,
            language=buyer.language,
            expires_at=hold_end(),
        )
        return open_attempt(order, number=1, wish=wish)


def attempt_anew(order: Order, wish: Wish) -> Payment:
    """Close what is open for an unpaid order and open another attempt, at Stripe too.

    Raises Moved, NeverOpened, AlreadyPaid, OrderCancelled, OutOfStock, MethodGone, StripeRefused, StripeUnavailable.
    """
    order.refresh_from_db()
    refuse_unless_payable(order)
    rivals = _rivals(order)
    close_attempts([order, *rivals])
    return opened(_new_attempt(order, wish, superseded=rivals))


def opened(payment: Payment) -> Payment:
    """The attempt with what it has at Stripe. Raises Moved when somebody closed it while Stripe was asked."""
    payment = open_at_stripe(payment)
    if payment.status not in (Payment.Status.PENDING, Payment.Status.REQUIRES_ACTION) or payment.closing:
        raise Moved
    return payment


def cancel_order(*, order: Order) -> Order:
    """Cancel an unpaid order on somebody's word; its open attempt is closed at Stripe first.

    Raises AlreadyPaid, StripeUnavailable. Cancelling again changes nothing.
    """

    def cancel() -> Order:
        order.refresh_from_db()
        if order.status == Order.Status.CANCELLED:
            return order
        if order.payment_status != Order.PaymentStatus.PENDING:
            raise AlreadyPaid(order.number)
        close_attempts([order])
        with transaction.atomic(durable=True):
            locked = _lock_unattempted(order)
            lifecycle.end_order(locked, ended=Order.Ended.BY_PERSON, reason="cancelled by a person")
            return locked

    return in_rounds(cancel, busy="order_busy")


def expire_order(order: Order) -> bool:
    """End an order whose time is over, once Stripe said that nothing can be paid for it any more.

    Returns whether it ended; one that turned out to be paid is settled instead. Raises StripeUnavailable.
    """
    try:
        close_attempts([order])
    except AlreadyPaid:
        return False
    try:
        with transaction.atomic(durable=True):
            lifecycle.end_order(_lock_unattempted(order), ended=Order.Ended.EXPIRED, reason="not paid in time")
    except Moved:
        return False
    return True


def close_attempts(orders: list[Order]) -> None:
    """Nothing can be paid at Stripe any more for these orders. Raises AlreadyPaid, StripeUnavailable."""
    for order in orders:
        payment = open_attempt_of(order)
        if payment is not None:
            close_open_attempt(payment)
        for over in left_open().filter(order=order):
            close_left_open(over)


def refuse_unless_payable(order: Order) -> None:
    """Raises AlreadyPaid, OrderCancelled."""
    if order.is_paid or order.payment_status == Order.PaymentStatus.PROCESSING:
        raise AlreadyPaid(order.number)
    if order.status == Order.Status.CANCELLED and order.ended not in Order.RETRIABLE:
        raise OrderCancelled(order_number=order.number)


def _new_attempt(order: Order, wish: Wish, *, superseded: list[Order]) -> Payment:
    with transaction.atomic(durable=True):
        if order.cart_id is not None:
            cart_services.lock_cart(order.cart_id)
        locked = _lock_unattempted(order, statuses=(Order.Status.PENDING, Order.Status.CANCELLED))
        refuse_unless_payable(locked)
        if {o.pk for o in _rivals(locked)} - {o.pk for o in superseded}:
            raise Moved
        _supersede(superseded)
        if locked.status == Order.Status.CANCELLED:
            revive_order(locked, expires_at=hold_end())
        else:
            locked.expires_at = hold_end()
            locked.save(update_fields=["expires_at"])
        return open_attempt(locked, number=next_attempt_number(locked), wish=wish)


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
    """Lock an order that has no open attempt and no money; raises Moved when that is not so any more.

    Payments are locked before their order, as settlement does, so nothing can open or settle in between.
    """
    payments = Payment.objects.select_for_update(no_key=True).filter(order=order).order_by("pk")
    still_open = any(payment.is_open for payment in payments)
    locked = lifecycle.lock_order(order.pk)
    waiting = (Order.PaymentStatus.PENDING, Order.PaymentStatus.FAILED)
    if still_open or locked.status not in statuses or locked.payment_status not in waiting:
        raise Moved
    # A row that was written between the two locks is seen now, under the order's lock.
    if open_attempt_of(locked) is not None:
        raise Moved
    return locked
