"""Checkout Sessions: the hosted page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.payment.gateway.calls import StripeRefused, call_stripe
from apps.payment.gateway.values import address_of, email_of, id_of, plain


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """What the shop needs of a Checkout Session. `amount` is in minor units, `currency` in upper case."""

    id: str
    url: str
    status: str
    payment_status: str
    amount: int
    currency: str
    reference: str
    payment_intent_id: str
    livemode: bool
    email: str
    shipping_address: dict[str, str] | None
    expires_at: datetime

    @property
    def is_paid(self) -> bool:
        return self.status == "complete" and self.payment_status in ("paid", "no_payment_required")


def create_checkout_session(params: Mapping[str, Any], *, idempotency_key: str) -> CheckoutSession:
    """Create a session, or get the one that this key created before. Raises StripeUnavailable, StripeRefused."""
    return _session(
        call_stripe(lambda c: c.v1.checkout.sessions.create(dict(params), {"idempotency_key": idempotency_key}))  # type: ignore[arg-type]
    )


def retrieve_checkout_session(session_id: str) -> CheckoutSession:
    return _session(call_stripe(lambda c: c.v1.checkout.sessions.retrieve(session_id)))


def close_checkout_session(session_id: str) -> CheckoutSession:
    """Expire a session if it is still open, and tell its state after that: expired, or complete."""
    try:
        return _session(call_stripe(lambda c: c.v1.checkout.sessions.expire(session_id)))
    except StripeRefused:
        return retrieve_checkout_session(session_id)  # not open any more


def find_checkout_session(*, reference: str, created_after: datetime) -> CheckoutSession | None:
    """Look for the session of one of our references, for when no answer about its creation ever came."""
    cursor: dict[str, Any] = {}
    while True:
        params = {"created": {"gte": int(created_after.timestamp())}, "limit": 100, **cursor}
        page = call_stripe(lambda c, p=params: c.v1.checkout.sessions.list(p))  # type: ignore[misc]
        for found in page.data:
            if found.client_reference_id == reference:
                return _session(found)
        if not page.has_more:
            return None
        cursor = {"starting_after": page.data[-1].id}


def _session(found: Any) -> CheckoutSession:
    return session_from_snapshot(plain(found))


def session_from_snapshot(data: Mapping[str, Any]) -> CheckoutSession:
    """A session as the API or a signed event shows it. Raises KeyError, TypeError or ValueError for anything else."""
    customer = data.get("customer_details") or {}
    collected = data.get("collected_information") or {}
    return CheckoutSession(
        id=str(data["id"]),
        url=data.get("url") or "",
        status=str(data["status"]),
        payment_status=str(data["payment_status"]),
        amount=int(data["amount_total"] or 0),
        currency=str(data["currency"]).upper(),
        reference=data.get("client_reference_id") or "",
        payment_intent_id=id_of(data.get("payment_intent")),
        livemode=bool(data["livemode"]),
        email=email_of(customer.get("email") or data.get("customer_email")),
        shipping_address=address_of(collected.get("shipping_details") or data.get("shipping_details")),
        expires_at=datetime.fromtimestamp(int(data["expires_at"]), tz=UTC),
    )
