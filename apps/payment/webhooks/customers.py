"""Events of customers and their saved payment methods."""

from __future__ import annotations

from datetime import UTC, datetime

from apps.payment import gateway
from apps.payment.gateway import SetupIntent
from apps.payment.models import PaymentMethod, StripeCustomer
from apps.payment.services import customers, methods
from apps.payment.webhooks.handling import Event, Ignored, Outcome, asked_id, told_of

NOT_OURS = Ignored("no customer of ours")


def on_method_told(event: Event) -> Outcome:
    """Attached, or changed: a new expiry, a card that the network replaced."""
    method = gateway.method_from_snapshot(told_of(event))
    if not _concerns_us(method.customer_id, method.id):
        return NOT_OURS
    methods.absorb_method(method, told_at=datetime.fromtimestamp(event["created"], tz=UTC))
    return None


def on_method_detached(event: Event) -> Outcome:
    method_id = str(told_of(event)["id"])
    if not _concerns_us("", method_id):
        return NOT_OURS
    methods.absorb_detached(method_id)
    return None


def is_our_setup(event: Event) -> bool:
    return _concerns_us(gateway.id_of(told_of(event).get("customer")), "")


def ask_setup(event: Event) -> SetupIntent:
    return gateway.retrieve_setup_intent(asked_id(told_of(event)["id"]))


def on_setup_succeeded(event: Event, told: SetupIntent | None, asked_at: datetime) -> Outcome:
    """A method was saved without a payment; the frontend may have been closed before it told us."""
    if told is None or told.method is None:
        return NOT_OURS
    methods.absorb_method(told.method, told_at=asked_at)
    return None


def on_setup_ended(event: Event) -> Outcome:
    """Failed or cancelled: nothing was saved, and nothing is kept of it."""
    return None if is_our_setup(event) else NOT_OURS


def on_customer_updated(event: Event) -> Outcome:
    """E-mail and name are the shop's to say: where the Dashboard changed them, Stripe is told again."""
    customer = gateway.customer_from_snapshot(told_of(event))
    known = StripeCustomer.objects.filter(stripe_customer_id=customer.id).select_related("user").first()
    if known is None:
        return NOT_OURS
    if known.erased_at is None and (customer.email, customer.name) != (known.user.email, known.user.name):
        StripeCustomer.objects.filter(pk=known.pk).update(stale=True)
    return None


def on_customer_deleted(event: Event) -> Outcome:
    customer_id = str(told_of(event)["id"])
    if not _concerns_us(customer_id, ""):
        return NOT_OURS
    customers.forget_customer(customer_id)
    return None


def _concerns_us(customer_id: str, method_id: str) -> bool:
    if customer_id and StripeCustomer.objects.filter(stripe_customer_id=customer_id).exists():
        return True
    return bool(method_id) and PaymentMethod.objects.filter(stripe_payment_method_id=method_id).exists()
