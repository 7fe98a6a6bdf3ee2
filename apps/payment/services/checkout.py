"""From a cart, one variant, or an unpaid order to the Stripe page that collects its total."""

from __future__ import annotations

from apps.cart.models import Cart
from apps.common.errors import DomainError
from apps.orders.models import Order
from apps.orders.services.placing import standing_order_of_variant
from apps.payment.gateway import StripeUnavailable
from apps.payment.models import Payment
from apps.payment.services.attempts import Wish, open_attempt_of
from apps.payment.services.customers import customer_for
from apps.payment.services.ordering import (
    Buyer,
    Moved,
    attempt_anew,
    in_rounds,
    opened,
    place_instead,
    place_variant_first,
    standing_orders,
)
from apps.payment.services.provider import AlreadyPaid, ask_stripe


def start_checkout(*, cart: Cart | None, buyer: Buyer, save_method: bool = False) -> Payment:
    """Place the cart as an order and open its session; the same unchanged cart gets the same open session again.

    Raises DomainError `cart_empty`, `amount_too_large`; SignInRequired, OutOfStock, PriceChanged, AlreadyPaid,
    StripeUnavailable.
    """
    if cart is None:
        raise DomainError("The cart is empty.", code="cart_empty")

    def start() -> Payment:
        own, standing = standing_orders(cart)
        wish = wish_of(buyer, save_method=save_method)
        if own is not None:
            return _resume(own, wish)
        _, payment = place_instead(cart, buyer, standing, wish)
        assert payment is not None  # noqa: S101 - there was a wish
        return opened(payment)

    return in_rounds(start, busy="cart_busy", look_again=cart.refresh_from_db)


def start_direct_checkout(*, variant_id: int, currency: str, buyer: Buyer, save_method: bool = False) -> Payment:
    """Open a session for one unit of a variant, for a signed-in buyer; the cart is left as it is.

    Asked again while that order waits for its money, the buyer gets the same open session. Raises OutOfStock,
    AlreadyPaid, TooManyRequests, StripeUnavailable.
    """

    def start() -> Payment:
        standing = standing_order_of_variant(variant_id=variant_id, user=buyer.user)
        wish = wish_of(buyer, save_method=save_method)
        if standing is not None:
            if standing.payment_status != Order.PaymentStatus.PENDING:
                raise AlreadyPaid(standing.number)
            return _resume(standing, wish)
        return opened(place_variant_first(variant_id=variant_id, currency=currency, buyer=buyer, wish=wish))

    return in_rounds(start, busy="order_busy")


def retry_checkout(*, order: Order, buyer: Buyer, save_method: bool = False) -> Payment:
    """Open a new session for an unpaid order, after a decline, an expiry or a closed tab.

    Raises AlreadyPaid, OrderCancelled, OutOfStock, StripeUnavailable.
    """
    return in_rounds(lambda: attempt_anew(order, wish_of(buyer, save_method=save_method)), busy="order_busy")


def wish_of(buyer: Buyer, *, save_method: bool, channel: str = Payment.Channel.SESSION, method: str = "") -> Wish:
    """What a signed-in buyer brings along: the customer whose saved methods Stripe offers. Raises StripeUnavailable.

    It is always the customer of whoever asks: the holder of an order's token never sees its owner's cards.
    """
    customer = (customer_for(buyer.user).stripe_customer_id or "") if buyer.user is not None else ""
    return Wish(channel=channel, customer=customer, method=method, save_method=save_method)


def _resume(order: Order, wish: Wish) -> Payment:
    """The open session of an order, as Stripe sees it now; a new attempt where there is none that fits."""
    payment = open_attempt_of(order)
    if payment is None or payment.closing or not _fits(payment, wish):
        return attempt_anew(order, wish)
    if not payment.is_opened:
        return opened(payment)
    try:
        payment = ask_stripe(payment)
    except StripeUnavailable:
        return payment  # the stored page may well work; a second session never would be right
    if payment.status == Payment.Status.PENDING:
        return payment
    order.refresh_from_db()
    if order.is_paid or order.payment_status == Order.PaymentStatus.PROCESSING:
        raise AlreadyPaid(order.number)
    raise Moved


def _fits(payment: Payment, wish: Wish) -> bool:
    return (payment.channel, payment.stripe_customer_id, payment.saves_method) == (
        wish.channel,
        wish.customer,
        wish.save_method,
    )
