"""Checkout Sessions: the hosted page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from apps.payment.gateway.calls import StripeRefused, call_stripe
from apps.payment.gateway.values import address_of, email_of, id_of, plain, texts_of


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """What the shop needs of a Checkout Session. `amount` is in minor units, `currency` in upper case.

    `saves_method`: the card is kept without the page asking for it. `collects_address`: the page asks where to ship.
    """

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
    created: datetime
    customer_id: str = ""
    saves_method: bool = False
    collects_address: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_paid(self) -> bool:
        return self.status == "complete" and self.payment_status in ("paid", "no_payment_required")


@dataclass(frozen=True, slots=True)
class SessionLine:
    """One line of a session. Amounts are in minor units; `sku` is ours, and empty for a line of somebody else's."""

    sku: str
    name: str
    quantity: int
    unit_price: int
    total: int
    currency: str


def create_checkout_session(params: Mapping[str, Any], *, idempotency_key: str) -> CheckoutSession:
    """Create a session, or get the one that this key created before. Raises StripeUnavailable, StripeRefused."""
    return _session(
        call_stripe(lambda c: c.v1.checkout.sessions.create(dict(params), {"idempotency_key": idempotency_key}))  # type: ignore[arg-type]
    )


def retrieve_checkout_session(session_id: str) -> CheckoutSession:
    return _session(call_stripe(lambda c: c.v1.checkout.sessions.retrieve(session_id)))


def lines_of_session(session_id: str) -> list[SessionLine]:
    """What a session sells, with the products that the shop described; 100 lines are the most that there are."""
    params: Any = {"limit": 100, "expand": ["data.price.product"]}
    found = call_stripe(lambda c: c.v1.checkout.sessions.line_items.list(session_id, params))
    return [_line(plain(line)) for line in found.data]


def session_of_intent(intent_id: str) -> CheckoutSession | None:
    """The session whose page made an intent, or None for an intent of its own."""
    found = call_stripe(lambda c: c.v1.checkout.sessions.list({"payment_intent": intent_id, "limit": 1}))
    return _session(found.data[0]) if found.data else None


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
        created=datetime.fromtimestamp(int(data["created"]), tz=UTC),
        customer_id=id_of(data.get("customer")),
        # Our sessions take the box off the page where the card is kept anyway.
        saves_method=(data.get("saved_payment_method_options") or {}).get("payment_method_save") == "disabled",
        collects_address=bool(data.get("shipping_address_collection")),
        metadata=texts_of(data.get("metadata")),
    )


def _line(data: Mapping[str, Any]) -> SessionLine:
    price = data.get("price") or {}
    product = price.get("product")
    sku = texts_of(product.get("metadata")).get("sku") if isinstance(product, Mapping) else ""
    return SessionLine(
        sku=sku or "",
        name=str(data.get("description") or ""),
        quantity=int(data.get("quantity") or 0),
        unit_price=int(price.get("unit_amount") or 0),
        total=int(data.get("amount_total") or 0),
        currency=str(data["currency"]).upper(),
    )
