"""Customers at Stripe, their saved payment methods, and the SetupIntents that save one without paying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.payment.gateway.calls import StripeRefused, call_stripe
from apps.payment.gateway.values import id_of, plain, texts_of


@dataclass(frozen=True, slots=True)
class Customer:
    """`user` is the shop's number of the person, as told when the customer was made."""

    id: str
    deleted: bool
    email: str = ""
    name: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class SavedMethod:
    """A payment method as far as a shop may know it: never more than brand, last four and expiry."""

    id: str
    type: str
    customer_id: str
    brand: str
    last4: str
    exp_month: int | None
    exp_year: int | None
    allow_redisplay: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class SetupIntent:
    """`client_secret` is handed to the buyer and neither stored nor shown."""

    id: str
    status: str
    customer_id: str
    method: SavedMethod | None
    client_secret: str = field(default="", repr=False)


def create_customer(params: Mapping[str, Any], *, idempotency_key: str) -> Customer:
    """Create a customer, or get the one that this key created before."""
    return customer_from_snapshot(
        plain(call_stripe(lambda c: c.v1.customers.create(dict(params), {"idempotency_key": idempotency_key})))  # type: ignore[arg-type]
    )


def retrieve_customer(customer_id: str) -> Customer:
    return customer_from_snapshot(plain(call_stripe(lambda c: c.v1.customers.retrieve(customer_id))))


def update_customer(customer_id: str, *, email: str, name: str) -> Customer:
    return customer_from_snapshot(
        plain(call_stripe(lambda c: c.v1.customers.update(customer_id, {"email": email, "name": name})))
    )


def list_customers(email: str) -> list[Customer]:
    """The customers that have exactly this address; a hundred at most."""
    found = call_stripe(lambda c: c.v1.customers.list({"email": email, "limit": 100}))
    return [customer_from_snapshot(plain(each)) for each in found.data]


def delete_customer(customer_id: str) -> None:
    """Delete a customer with all its saved methods for good; one that is gone already is fine."""
    try:
        call_stripe(lambda c: c.v1.customers.delete(customer_id))
    except StripeRefused as refusal:
        if refusal.http_status != 404:
            raise


def create_setup_intent(params: Mapping[str, Any], *, idempotency_key: str) -> SetupIntent:
    return _setup_intent(
        call_stripe(lambda c: c.v1.setup_intents.create(dict(params), {"idempotency_key": idempotency_key}))  # type: ignore[arg-type]
    )


def retrieve_setup_intent(setup_intent_id: str) -> SetupIntent:
    return _setup_intent(
        call_stripe(lambda c: c.v1.setup_intents.retrieve(setup_intent_id, {"expand": ["payment_method"]}))
    )


def retrieve_method(method_id: str) -> SavedMethod:
    return method_from_snapshot(plain(call_stripe(lambda c: c.v1.payment_methods.retrieve(method_id))))


def attach_method(method_id: str, *, customer_id: str, idempotency_key: str) -> SavedMethod:
    """Save a method with a customer. Raises StripeDeclined when the bank will not have it."""
    return method_from_snapshot(
        plain(
            call_stripe(
                lambda c: c.v1.payment_methods.attach(
                    method_id, {"customer": customer_id}, {"idempotency_key": idempotency_key}
                )
            )
        )
    )


def detach_method(method_id: str) -> None:
    """Take a method off its customer for good; one that is off already, or gone, is fine."""
    try:
        call_stripe(lambda c: c.v1.payment_methods.detach(method_id))
    except StripeRefused as refusal:
        if refusal.http_status == 404:
            return
        if not retrieve_method(method_id).customer_id:
            return
        raise


def customer_from_snapshot(data: Mapping[str, Any]) -> Customer:
    return Customer(
        id=str(data["id"]),
        deleted=bool(data.get("deleted")),
        email=str(data.get("email") or ""),
        name=str(data.get("name") or ""),
        user=texts_of(data.get("metadata")).get("proshop_user", ""),
    )


def method_from_snapshot(data: Mapping[str, Any]) -> SavedMethod:
    """A payment method as the API or a signed event shows it."""
    kind = str(data["type"])
    told = data.get(kind)
    details: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    return SavedMethod(
        id=str(data["id"]),
        type=kind[:40],
        customer_id=id_of(data.get("customer")),
        brand=str(details.get("display_brand") or details.get("brand") or "")[:40],
        last4=str(details.get("last4") or "")[:4],
        exp_month=_whole(details.get("exp_month")),
        exp_year=_whole(details.get("exp_year")),
        allow_redisplay=str(data.get("allow_redisplay") or ""),
        livemode=bool(data["livemode"]),
    )


def _setup_intent(found: Any) -> SetupIntent:
    data = plain(found)
    method = data.get("payment_method")
    return SetupIntent(
        id=str(data["id"]),
        status=str(data["status"]),
        customer_id=id_of(data.get("customer")),
        method=method_from_snapshot(method) if isinstance(method, Mapping) else None,
        client_secret=str(data.get("client_secret") or ""),
    )


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value < 10_000 else None
