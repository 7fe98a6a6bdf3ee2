"""One customer at Stripe per person and mode: made once, kept true, made again when Stripe says that it is gone."""

from __future__ import annotations

import json
import secrets

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.common import stopping
from apps.payment import gateway
from apps.payment.gateway import StripeRefused, StripeReplayedFailure, StripeUnavailable
from apps.payment.models import PaymentMethod, StripeCustomer


def customer_for(user: User) -> StripeCustomer:
    """The person's customer, made at Stripe when there is none yet.

    The row with its key is committed before Stripe is asked, so that two calls at once, or one after a crash, get
    the same customer. Raises StripeUnavailable.
    """
    customer = _row_for(user)
    if customer.stripe_customer_id:
        return customer
    try:
        made = gateway.create_customer(json.loads(customer.request_params), idempotency_key=customer.idempotency_key)
    except StripeReplayedFailure:
        # A second customer does no harm: it has no methods, and the row knows one alone.
        _renew(customer)
        made = gateway.create_customer(json.loads(customer.request_params), idempotency_key=customer.idempotency_key)
    StripeCustomer.objects.filter(
        pk=customer.pk, idempotency_key=customer.idempotency_key, stripe_customer_id=None
    ).update(stripe_customer_id=made.id)
    customer.refresh_from_db()
    return customer


def adopt_customer(user: User, stripe_customer_id: str, *, livemode: bool) -> None:
    """Know a customer again that Stripe has and the shop has forgotten; one that the person has since had stays."""
    StripeCustomer.objects.get_or_create(
        user=user,
        livemode=livemode,
        defaults={
            "stripe_customer_id": stripe_customer_id,
            "idempotency_key": _key(),
            "request_params": _params(user),
        },
    )


def forget_customer(stripe_customer_id: str) -> None:
    """Stripe says that this customer is gone: its methods are too, and the next call makes a new one."""
    with transaction.atomic():
        customer = (
            StripeCustomer.objects.select_for_update(no_key=True).filter(stripe_customer_id=stripe_customer_id).first()
        )
        if customer is None:
            return
        customer.methods.exclude(state=PaymentMethod.State.REMOVED).update(
            state=PaymentMethod.State.REMOVED, is_default=False
        )
        if customer.erased_at is not None:
            return
        user = User.objects.get(pk=customer.user_id)
        customer.stripe_customer_id = None
        customer.generation += 1
        customer.idempotency_key, customer.request_params = _key(), _params(user)
        customer.stale = False
        customer.save()


def note_change(user_id: int) -> None:
    """E-mail or name of a person changed here; `work` tells Stripe."""
    StripeCustomer.objects.filter(user=user_id, erased_at=None).update(stale=True)


def tell_changes(limit: int = 50) -> int:
    """Tell Stripe the e-mail addresses and names that changed. Returns how many customers it told."""
    told = 0
    stale = StripeCustomer.objects.filter(stale=True, stripe_customer_id__isnull=False).order_by("pk")
    for customer in list(stale[:limit]):
        if stopping.asked():
            break
        # Cleared first: a change that comes while Stripe is told sets it again.
        StripeCustomer.objects.filter(pk=customer.pk).update(stale=False)
        user = User.objects.get(pk=customer.user_id)
        try:
            gateway.update_customer(customer.stripe_customer_id or "", email=user.email, name=user.name)
        except StripeRefused as refusal:
            if is_gone(refusal):
                forget_customer(customer.stripe_customer_id or "")
            continue
        except StripeUnavailable:
            StripeCustomer.objects.filter(pk=customer.pk).update(stale=True)
            break
        told += 1
    return told


def is_gone(refusal: StripeRefused) -> bool:
    """Whether Stripe refused because the customer that was named does not exist any more."""
    return refusal.stripe_code == "resource_missing" and refusal.param in ("customer", "id", "")


def _row_for(user: User) -> StripeCustomer:
    live = settings.PAYMENT_ENV == "live"
    customer, _ = StripeCustomer.objects.get_or_create(
        user=user, livemode=live, defaults={"idempotency_key": _key(), "request_params": _params(user)}
    )
    return customer


def _renew(customer: StripeCustomer) -> None:
    StripeCustomer.objects.filter(pk=customer.pk, idempotency_key=customer.idempotency_key).update(
        idempotency_key=_key()
    )
    customer.refresh_from_db()


def _key() -> str:
    return "cus_" + secrets.token_hex(16)


def _params(user: User) -> str:
    params: dict[str, object] = {"email": user.email, "metadata": {"proshop_user": str(user.pk)}}
    if user.name:
        params["name"] = user.name
    return json.dumps(params)
