"""PaymentIntents, for frontends with their own card form or a saved method."""

from __future__ import annotations

from apps.common.errors import Conflict
from apps.orders.models import Order
from apps.payment import gateway
from apps.payment.gateway import StripeDeclined, StripeRefused
from apps.payment.models import Payment, PaymentMethod
from apps.payment.services.attempts import Wish, open_attempt_of
from apps.payment.services.checkout import wish_of
from apps.payment.services.methods import forget_method
from apps.payment.services.ordering import Buyer, Moved, attempt_anew, in_rounds, opened, refuse_unless_payable
from apps.payment.services.progress import absorb_intent
from apps.payment.services.provider import AlreadyPaid, MethodGone, ask_stripe, close_open_attempt


class NothingToPay(Conflict):
    code = "nothing_to_pay"
    message = "There is nothing to pay for this order."


class ContactMissing(Conflict):
    """A frontend's own form asks for a card alone, so the order has to know the rest before."""

    code = "contact_missing"
    message = "This order does not say whom it is for or where it goes. Pay it on the payment page, which asks."


def start_intent(
    *, order: Order, buyer: Buyer, method: PaymentMethod | None = None, save_method: bool = False
) -> Payment:
    """Open a PaymentIntent over an order's total, or give the open one again.

    After a decline of a saved method it is another one: Stripe has taken the method off the first.

    Raises AlreadyPaid, OrderCancelled, NothingToPay, ContactMissing, OutOfStock, MethodGone, StripeUnavailable,
    StripeRefused.
    """

    def start() -> Payment:
        order.refresh_from_db()
        refuse_unless_payable(order)
        if order.total == 0:
            raise NothingToPay
        _refuse_without_contact(order)
        wish = wish_of(
            buyer,
            save_method=save_method,
            channel=Payment.Channel.INTENT,
            method=method.stripe_payment_method_id if method else "",
        )
        payment = open_attempt_of(order)
        if payment is None or payment.closing or not _fits(payment, wish):
            return attempt_anew(order, wish)
        if not payment.is_opened:
            return opened(payment)
        payment = ask_stripe(payment)
        if payment.is_settled or payment.status == Payment.Status.PROCESSING:
            raise AlreadyPaid(order.number)
        if not payment.is_open:
            raise Moved
        if method and payment.intent_status == "requires_payment_method":
            return attempt_anew(order, wish)
        return payment

    return in_rounds(start, busy="order_busy")


def confirm(payment: Payment, *, return_url: str) -> Payment:
    """Take the money with the method that the intent has, where the form did not do so already.

    Otherwise take over what Stripe says of the payment now. Raises StripeDeclined (402) when the bank says no,
    MethodGone, StripeUnavailable.
    """
    payment = ask_stripe(payment)
    if payment.channel != Payment.Channel.INTENT or payment.intent_status != "requires_confirmation":
        return payment
    intent_id = payment.stripe_payment_intent_id or ""
    before = gateway.retrieve_payment_intent(intent_id)
    # Stripe takes the money of an intent once, whoever confirms it how often; a try after a decline is a new one.
    key = f"{payment.reference}-confirm-{before.charge_id or before.failed_charge_id or 'first'}"
    try:
        absorb_intent(
            gateway.confirm_payment_intent(intent_id, payment_method="", return_url=return_url, idempotency_key=key)
        )
    except StripeDeclined:
        ask_stripe(payment)
        raise
    except StripeRefused as refusal:
        if refusal.param == "payment_method":
            forget_method(payment.stripe_method_id)
            raise MethodGone from refusal
        return ask_stripe(payment)
    payment.refresh_from_db()
    return payment


def cancel(payment: Payment) -> Payment:
    """Close an open attempt at Stripe; its order goes on waiting until it expires or is cancelled.

    Cancelling again changes nothing. Raises AlreadyPaid, StripeUnavailable.
    """
    close_open_attempt(payment)
    payment.refresh_from_db()
    return payment


def _refuse_without_contact(order: Order) -> None:
    ships = order.shipping_address is None and order.items.filter(kind="physical").exists()
    if ships or not order.email:
        raise ContactMissing


def _fits(payment: Payment, wish: Wish) -> bool:
    told = (payment.channel, payment.stripe_customer_id, payment.saves_method, payment.stripe_method_id)
    return told == (wish.channel, wish.customer, wish.save_method, wish.method)
