"""Saved payment methods. The shop knows brand, last four and expiry; the rest is at Stripe."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.common import stopping
from apps.common.errors import Conflict, DomainError, NotFound
from apps.payment import gateway
from apps.payment.gateway import SavedMethod, SetupIntent, StripeRefused, StripeUnavailable
from apps.payment.models import Payment, PaymentMethod, StripeCustomer
from apps.payment.services.customers import customer_for, forget_customer, is_gone

S = PaymentMethod.State


class NoSuchMethod(NotFound):
    code = "method_not_found"
    message = "There is no such payment method."


def method_of(user: User, method_id: int) -> PaymentMethod:
    """A saved method of this person. Raises NoSuchMethod, for another person's too, without asking Stripe."""
    method = saved_methods(user).filter(pk=method_id).select_related("customer").first()
    if method is None:
        raise NoSuchMethod
    return method


def saved_methods(user: User) -> QuerySet[PaymentMethod]:
    """What this person can pay with in the mode that the shop runs in, the default first."""
    return PaymentMethod.objects.filter(
        user=user,
        state=S.SAVED,
        customer__livemode=settings.PAYMENT_ENV == "live",
        customer__stripe_customer_id__isnull=False,
    )


def start_setup(user: User) -> SetupIntent:
    """A SetupIntent with which the frontend's form saves a method of this person. Raises StripeUnavailable."""
    for _ in range(2):
        customer = customer_for(user)
        params = {
            "customer": customer.stripe_customer_id,
            "usage": "off_session",
            "metadata": {"proshop_user": str(user.pk)},
        }
        try:
            return gateway.create_setup_intent(params, idempotency_key="seti_" + secrets.token_hex(16))
        except StripeRefused as refusal:
            if not is_gone(refusal):
                raise
            forget_customer(customer.stripe_customer_id or "")
    raise StripeUnavailable


def keep_from_setup(user: User, setup_intent_id: str) -> PaymentMethod:
    """Keep the method that a SetupIntent saved; its customer must be this person's.

    Raises NoSuchMethod, Conflict `setup_not_complete`, StripeUnavailable.
    """
    try:
        setup = gateway.retrieve_setup_intent(setup_intent_id)
    except StripeRefused as refusal:
        raise NoSuchMethod from refusal
    customer = _own_customer(user)
    if customer is None or setup.customer_id != customer.stripe_customer_id:
        raise NoSuchMethod
    if setup.status != "succeeded" or setup.method is None:
        raise Conflict("The card has not been confirmed yet.", code="setup_not_complete")
    return _keep_current(customer, setup.method)


def keep_unowned(user: User, stripe_payment_method_id: str) -> PaymentMethod:
    """Save a method that belongs to nobody. Raises NoSuchMethod, StripeDeclined, StripeUnavailable."""
    try:
        method = gateway.retrieve_method(stripe_payment_method_id)
    except StripeRefused as refusal:
        raise NoSuchMethod from refusal
    customer = customer_for(user)
    if method.customer_id and method.customer_id != customer.stripe_customer_id:
        raise NoSuchMethod
    if not method.customer_id:
        try:
            method = gateway.attach_method(
                method.id,
                customer_id=customer.stripe_customer_id or "",
                idempotency_key=f"{customer.idempotency_key}-{method.id}"[:255],
            )
        except StripeRefused as refusal:
            if is_gone(refusal):
                forget_customer(customer.stripe_customer_id or "")
                raise StripeUnavailable from refusal
            raise DomainError(
                "This payment method cannot be saved. Enter the card again.", code="method_not_usable"
            ) from refusal
    return _keep_current(customer, method)


def make_default(user: User, method_id: int) -> PaymentMethod:
    """Let a method be the one that is offered first. Raises NoSuchMethod."""
    with transaction.atomic(durable=True):
        _lock_person(user)
        method = method_of(user, method_id)
        PaymentMethod.objects.filter(user=user, is_default=True).exclude(pk=method.pk).update(is_default=False)
        PaymentMethod.objects.filter(pk=method.pk).update(is_default=True)
    method.is_default = True
    return method


def remove(user: User, method_id: int) -> None:
    """Remove a method here at once and at Stripe too; `work` goes on when Stripe cannot be reached now.

    Raises NoSuchMethod.
    """
    with transaction.atomic(durable=True):
        _lock_person(user)
        method = method_of(user, method_id)
        PaymentMethod.objects.filter(pk=method.pk).update(state=S.REMOVING, is_default=False)
        _choose_default(user)
    _detach(method)


def finish_removals(limit: int = 50) -> int:
    """Detach at Stripe what was removed here. Returns how many methods are off for good."""
    waiting = PaymentMethod.objects.filter(state=S.REMOVING).order_by("pk")
    done = 0
    for method in list(waiting[:limit]):
        if stopping.asked():
            break
        if not _detach(method):
            break
        done += 1
    return done


def absorb_method(method: SavedMethod, *, told_at: datetime) -> None:
    """Take over what Stripe tells of a method, in the caller's transaction.

    One that is attached to a customer of ours becomes a saved method; one that was removed here stays removed, and
    older news than the last changes nothing. Stripe marks as limited what was kept without a word of the buyer's on
    its page: that is offered only to those who ticked the shop's own box when they paid.
    """
    known = PaymentMethod.objects.filter(stripe_payment_method_id=method.id).first()
    if known is None:
        customers = StripeCustomer.objects.filter(erased_at=None)
        customer = customers.filter(stripe_customer_id=method.customer_id or None).first()
        if customer is not None and (method.allow_redisplay != "limited" or _asked_to_save(customer)):
            _lock_person(User(pk=customer.user_id))
            _insert(customer, method, told_at)
        return
    # An event's time has whole seconds: one of the second that is known already may be newer.
    if told_at < known.told_at.replace(microsecond=0) or known.state != S.SAVED:
        return
    _refresh(known, method, told_at)


def absorb_detached(stripe_payment_method_id: str) -> None:
    """A method is off its customer, whoever took it off."""
    known = PaymentMethod.objects.filter(stripe_payment_method_id=stripe_payment_method_id).first()
    if known is None or known.state == S.REMOVED:
        return
    user = User(pk=known.user_id)
    _lock_person(user)
    PaymentMethod.objects.filter(pk=known.pk).update(state=S.REMOVED, is_default=False)
    _choose_default(user)


def forget_method(stripe_payment_method_id: str) -> None:
    """Stripe refused a method for good: it is offered no more. In a transaction of its own."""
    with transaction.atomic(durable=True):
        absorb_detached(stripe_payment_method_id)


def _asked_to_save(customer: StripeCustomer) -> bool:
    asked = Payment.objects.filter(stripe_customer_id=customer.stripe_customer_id, saves_method=True)
    return asked.filter(order__user=customer.user_id).exists()


def _keep_current(customer: StripeCustomer, method: SavedMethod) -> PaymentMethod:
    """Keep a method as Stripe shows it now. Raises NoSuchMethod for one that was removed here."""
    with transaction.atomic(durable=True):
        _lock_person(User(pk=customer.user_id))
        known = PaymentMethod.objects.filter(stripe_payment_method_id=method.id).first()
        if known is None:
            return _insert(customer, method, timezone.now())
        if known.user_id != customer.user_id or known.state != S.SAVED:
            raise NoSuchMethod
        _refresh(known, method, timezone.now())
        return known


def _insert(customer: StripeCustomer, method: SavedMethod, told_at: datetime) -> PaymentMethod:
    first = not PaymentMethod.objects.filter(user=customer.user_id, is_default=True).exists()
    return PaymentMethod.objects.create(
        customer=customer,
        user_id=customer.user_id,
        stripe_payment_method_id=method.id,
        type=method.type,
        brand=method.brand,
        last4=method.last4,
        exp_month=method.exp_month,
        exp_year=method.exp_year,
        is_default=first,
        told_at=told_at,
    )


def _refresh(known: PaymentMethod, method: SavedMethod, told_at: datetime) -> None:
    for name in ("type", "brand", "last4", "exp_month", "exp_year"):
        setattr(known, name, getattr(method, name))
    known.told_at = told_at
    known.save(update_fields=["type", "brand", "last4", "exp_month", "exp_year", "told_at"])


def _choose_default(user: User) -> None:
    """The newest method steps in when the default one went."""
    saved = PaymentMethod.objects.filter(user=user, state=S.SAVED)
    if saved.filter(is_default=True).exists():
        return
    newest = saved.order_by("-pk").first()
    if newest is not None:
        PaymentMethod.objects.filter(pk=newest.pk).update(is_default=True)


def _detach(method: PaymentMethod) -> bool:
    try:
        gateway.detach_method(method.stripe_payment_method_id)
    except (StripeUnavailable, StripeRefused):
        return False
    PaymentMethod.objects.filter(pk=method.pk, state=S.REMOVING).update(state=S.REMOVED)
    return True


def _own_customer(user: User) -> StripeCustomer | None:
    live = settings.PAYMENT_ENV == "live"
    return StripeCustomer.objects.filter(user=user, livemode=live, stripe_customer_id__isnull=False).first()


def _lock_person(user: User) -> None:
    """Whoever changes a person's methods waits here, so that there is one default and no lost update."""
    list(StripeCustomer.objects.select_for_update(no_key=True).filter(user=user.pk).values_list("pk"))
