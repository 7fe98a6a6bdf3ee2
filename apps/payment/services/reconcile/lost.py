"""Sessions and intents of this shop that no attempt here knows, as after a backup was restored.

What Stripe was told of the order is enough to write it again as it was (docs/adr/0012): number, lines, prices, contact
and the id behind its token. Where something is missing nothing is made up: what can still be paid is closed at Stripe,
and money that is there is left for a person.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.privacy.names import was_erased
from apps.catalog.models import ProductVariant
from apps.common import tokens
from apps.common.retention import kept_since
from apps.orders.models import Order
from apps.orders.services.lifecycle import lock_order
from apps.orders.services.restoring import (
    LostLine,
    LostOrder,
    NotRestorable,
    refuse_unless_restorable,
    restore_order,
)
from apps.payment import gateway
from apps.payment.gateway import CheckoutSession, PaymentIntent, StripeRefused
from apps.payment.models import Payment, StripeCustomer
from apps.payment.services.attempts import (
    HOLD_BEYOND_SESSION,
    KEY_KIND,
    LINES_KEY,
    hold_end,
    next_attempt_number,
    open_attempt_of,
    write_log,
)
from apps.payment.services.customers import adopt_customer
from apps.payment.services.ordering import close_attempts
from apps.payment.services.provider import AlreadyPaid
from apps.payment.services.reconcile.attempts import Told, absorb, close, is_open, is_over, retrieve
from apps.payment.services.reconcile.report import Report


@dataclass(frozen=True, slots=True)
class _Account:
    """Whose it was: a person who is here, by Stripe's id of the customer."""

    customer_id: str
    user: User


def settle_lost(report: Report, told: Told) -> None:
    """Have one session or intent known here again, if it is this shop's and something can come of it."""
    if isinstance(told, PaymentIntent):
        told = gateway.session_of_intent(told.id) or told
    public_id = tokens.read(KEY_KIND, told.metadata.get("proshop_order_key", ""))
    if public_id is None:
        # Another shop on the same account, or one whose SECRET_KEY is not known here.
        report.read["foreign"] += 1
        return
    if Payment.objects.filter(reference=told.reference).exists():
        return
    told = retrieve(told)
    if is_over(told) or told.created < kept_since():
        return  # what is older than records are kept was let go
    order = Order.objects.filter(public_id=public_id).first()
    if order is not None:
        _settle_lost_attempt(report, order, told)
    else:
        _settle_lost_order(report, public_id, told)


def _settle_lost_attempt(report: Report, order: Order, told: Told) -> None:
    def mend() -> str:
        with contextlib.suppress(AlreadyPaid):
            if not _has_newer_attempt(order, told):
                close_attempts([order])
        order.refresh_from_db()
        waits = (order.status, order.payment_status) == (Order.Status.PENDING, Order.PaymentStatus.PENDING)
        if is_open(told) and (not waits or open_attempt_of(order) is not None):
            return _what_is_left(close(told))
        with transaction.atomic(durable=True):
            locked = lock_order(order.pk)
            if locked.expires_at is not None and is_open(told):
                locked.expires_at = max(locked.expires_at, _hold_end(told))
                locked.save(update_fields=["expires_at"])
            _write_attempt(locked, told)
        absorb(told)
        return ""

    detail = f"{_describe(told)} belongs to an attempt that is missing here"
    report.settle("lost_attempt", told.id, order=order.number, detail=detail, mend=mend)


def _settle_lost_order(report: Report, public_id: str, told: Told) -> None:
    number = told.metadata.get("proshop_order", "")
    intent = _intent_of(told)
    account = _account_of(told.customer_id)
    try:
        lost = _lost_order(public_id, told, intent, account)
        refuse_unless_restorable(lost)
    except NotRestorable as reason:
        _settle_unrestorable(report, number, told, intent, reason.message)
        return

    def mend() -> str:
        with transaction.atomic(durable=True):
            order = restore_order(lost, expires_at=_hold_end(told))
            payment = _write_attempt(order, told)
            if account is not None:
                adopt_customer(account.user, account.customer_id, livemode=payment.livemode)
        absorb(told)
        return ""

    detail = f"{_describe(told)} belongs to an order that is missing here"
    if not lost.email and not is_open(told):
        detail += "; Stripe does not know its e-mail address"
    report.settle("lost_order", told.id, order=number, detail=detail, mend=mend)


def _settle_unrestorable(report: Report, number: str, told: Told, intent: PaymentIntent | None, reason: str) -> None:
    detail = f"{_describe(told)} belongs to an order that is missing here and cannot be written again: {reason}"
    if is_open(told):
        # Nobody has paid yet: the buyer finds the page closed and orders anew.
        report.settle("unknown_session", told.id, order=number, detail=detail, mend=lambda: _what_is_left(close(told)))
    elif intent is None or not intent.charge.get("refunded"):
        report.leave("unknown_session", told.id, order=number, detail=detail)


def _what_is_left(told: Told) -> str:
    return "" if is_over(told) else f"{_describe(told)}: somebody paid meanwhile, run it again"


def _lost_order(public_id: str, told: Told, intent: PaymentIntent | None, account: _Account | None) -> LostOrder:
    """What Stripe knows of an order. Raises NotRestorable where that is not all of it."""
    lines = _lines(told)
    email, address = _contact(told, intent)
    if account is not None:
        email = email or account.user.email
    if was_erased(email, at=told.created):
        raise NotRestorable("its buyer is forgotten")
    if not email and isinstance(told, PaymentIntent) and is_open(told):
        raise NotRestorable("its e-mail address is not known")
    ships = ProductVariant.objects.filter(sku__in=[line.sku for line in lines], product__kind="physical").exists()
    asks = isinstance(told, CheckoutSession) and told.collects_address
    if ships and address is None and not (asks and is_open(told)):
        raise NotRestorable("its address is not known")
    return LostOrder(
        number=told.metadata.get("proshop_order", ""),
        public_id=public_id,
        currency=told.currency,
        total=told.amount,
        lines=lines,
        placed_at=told.created,
        user=account.user if account else None,
        email=email,
        address=address,
        language=told.metadata.get("proshop_language", ""),
    )


def _lines(told: Told) -> list[LostLine]:
    if isinstance(told, CheckoutSession):
        return [LostLine(line.sku, line.quantity, line.unit_price) for line in gateway.lines_of_session(told.id)]
    return lines_of_metadata(told.metadata)


def lines_of_metadata(metadata: Mapping[str, str]) -> list[LostLine]:
    """The lines that were told along with an intent; none where they are not complete."""
    portions = [text for n in range(len(metadata)) if (text := metadata.get(f"{LINES_KEY}{n}")) is not None]
    try:
        return [LostLine(str(sku), int(quantity), int(price)) for sku, quantity, price in json.loads("".join(portions))]
    except (TypeError, ValueError):
        return []


def _contact(told: Told, intent: PaymentIntent | None) -> tuple[str, dict[str, str] | None]:
    address = intent.shipping_address if intent is not None else None
    if isinstance(told, CheckoutSession):
        return told.email, told.shipping_address or address
    billing = told.charge.get("billing_details")
    email = billing.get("email") if isinstance(billing, Mapping) else ""
    return (email if isinstance(email, str) and len(email) <= 254 else ""), address


def _account_of(customer_id: str) -> _Account | None:
    """The person behind a customer, if both are here: by the customer's id, else by what the shop told Stripe of them.

    A number alone might be another person's after a restore, so the e-mail address has to be the same as well.
    """
    if not customer_id:
        return None
    known = StripeCustomer.objects.filter(stripe_customer_id=customer_id).select_related("user").first()
    if known is not None:
        return _Account(customer_id, known.user)
    try:
        customer = gateway.retrieve_customer(customer_id)
    except StripeRefused:
        return None
    if not (customer.user.isascii() and customer.user.isdigit()) or customer.deleted:
        return None
    user = User.objects.filter(pk=int(customer.user), email=customer.email).first()
    return _Account(customer_id, user) if user else None


def _write_attempt(order: Order, told: Told) -> Payment:
    """A row for an attempt that Stripe knows, on a locked order, before what Stripe says of it is taken over."""
    session = told if isinstance(told, CheckoutSession) else None
    payment = Payment.objects.create(
        order=order,
        attempt=next_attempt_number(order),
        channel=Payment.Channel.SESSION if session else Payment.Channel.INTENT,
        reference=told.reference,
        amount=order.total,
        currency=order.currency,
        livemode=settings.PAYMENT_ENV == "live",
        idempotency_key=f"{told.reference}-1",
        request_params="{}",
        stripe_session_id=session.id if session else None,
        stripe_payment_intent_id=None if session else told.id,
        intent_status="" if session else told.status,
        stripe_customer_id=told.customer_id,
        saves_method=told.saves_method,
        checkout_url=session.url if session else "",
        session_status=session.status if session else "",
        session_payment_status=session.payment_status if session else "",
        session_expires_at=session.expires_at if session else None,
        erased_at=order.erased_at,
    )
    Payment.objects.filter(pk=payment.pk).update(created_at=told.created)
    write_log(payment, "restored", before="", object_id=told.id)
    return payment


def _intent_of(told: Told) -> PaymentIntent | None:
    if isinstance(told, PaymentIntent):
        return told
    return gateway.retrieve_payment_intent(told.payment_intent_id) if told.payment_intent_id else None


def _has_newer_attempt(order: Order, told: Told) -> bool:
    """Whether the buyer has begun anew since: then that attempt stays, unless this one was paid."""
    standing = open_attempt_of(order)
    return is_open(told) and standing is not None and standing.created_at > told.created


def _hold_end(told: Told) -> datetime:
    ends = told.expires_at + HOLD_BEYOND_SESSION if isinstance(told, CheckoutSession) else hold_end()
    return max(ends, timezone.now() + timedelta(minutes=1))


def _describe(told: Told) -> str:
    if isinstance(told, CheckoutSession):
        return f"A session ({told.status}, {told.payment_status}, {told.amount} {told.currency})"
    return f"An intent ({told.status}, {told.amount} {told.currency})"
