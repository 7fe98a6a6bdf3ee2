"""PaymentIntents: a payment that the frontend's own card form, or a saved method, completes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from apps.payment.gateway.calls import StripeRefused, call_stripe
from apps.payment.gateway.values import address_of, id_of, plain, texts_of

EXPANDED = ["latest_charge"]


@dataclass(frozen=True, slots=True)
class PaymentIntent:
    """What the shop needs of a PaymentIntent. Amounts are in minor units, `currency` is in upper case.

    `client_secret` opens the payment to whoever has it: it is handed to the buyer and neither stored nor shown.
    `charge` is the latest charge as a plain snapshot, empty where it was not expanded.
    """

    id: str
    status: str
    amount: int
    amount_received: int
    amount_capturable: int
    currency: str
    reference: str
    charge_id: str
    customer_id: str
    livemode: bool
    decline_code: str
    failed_charge_id: str
    created: datetime
    saves_method: bool = False
    shipping_address: dict[str, str] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    charge: Mapping[str, Any] = field(default_factory=dict)
    client_secret: str = field(default="", repr=False)


def create_payment_intent(params: Mapping[str, Any], *, idempotency_key: str) -> PaymentIntent:
    """Create an intent, or get the one that this key created before.

    Raises StripeUnavailable, StripeRefused, StripeDeclined.
    """
    given = {**params, "expand": EXPANDED}
    return _intent(
        call_stripe(lambda c: c.v1.payment_intents.create(given, {"idempotency_key": idempotency_key}))  # type: ignore[arg-type]
    )


def retrieve_payment_intent(intent_id: str) -> PaymentIntent:
    return _intent(call_stripe(lambda c: c.v1.payment_intents.retrieve(intent_id, {"expand": EXPANDED})))


def confirm_payment_intent(
    intent_id: str, *, payment_method: str, return_url: str, idempotency_key: str
) -> PaymentIntent:
    """Try to take the money with a method. Raises StripeDeclined when the bank says no."""
    params: Any = {"return_url": return_url, "expand": EXPANDED}
    if payment_method:
        params["payment_method"] = payment_method
    return _intent(
        call_stripe(lambda c: c.v1.payment_intents.confirm(intent_id, params, {"idempotency_key": idempotency_key}))
    )


def cancel_payment_intent(intent_id: str) -> PaymentIntent:
    """Cancel an intent if it still can be, and tell its state after that: canceled, succeeded or processing."""
    try:
        return _intent(
            call_stripe(
                lambda c: c.v1.payment_intents.cancel(
                    intent_id, {"cancellation_reason": "abandoned", "expand": EXPANDED}
                )
            )
        )
    except StripeRefused:
        return retrieve_payment_intent(intent_id)


def capture_payment_intent(intent_id: str, *, idempotency_key: str) -> PaymentIntent:
    """Take the whole amount that was authorised."""
    return _intent(
        call_stripe(
            lambda c: c.v1.payment_intents.capture(
                intent_id, {"expand": EXPANDED}, {"idempotency_key": idempotency_key}
            )
        )
    )


def find_payment_intent(*, reference: str, created_after: datetime) -> PaymentIntent | None:
    """Look for the intent of one of our references, for when no answer about its creation ever came."""
    cursor: dict[str, Any] = {}
    while True:
        params = {"created": {"gte": int(created_after.timestamp())}, "limit": 100, **cursor}
        page = call_stripe(lambda c, p=params: c.v1.payment_intents.list(p))  # type: ignore[misc]
        for found in page.data:
            if "proshop_payment" in found.metadata and found.metadata["proshop_payment"] == reference:
                return retrieve_payment_intent(found.id)
        if not page.has_more:
            return None
        cursor = {"starting_after": page.data[-1].id}


def _intent(found: Any) -> PaymentIntent:
    return intent_from_snapshot(plain(found))


def intent_from_snapshot(data: Mapping[str, Any]) -> PaymentIntent:
    """An intent as the API or a signed event shows it. Raises KeyError, TypeError or ValueError for anything else."""
    error = data.get("last_payment_error") or {}
    latest = data.get("latest_charge")
    metadata = texts_of(data.get("metadata"))
    return PaymentIntent(
        id=str(data["id"]),
        status=str(data["status"]),
        amount=int(data["amount"]),
        amount_received=int(data.get("amount_received") or 0),
        amount_capturable=int(data.get("amount_capturable") or 0),
        currency=str(data["currency"]).upper(),
        reference=metadata.get("proshop_payment", ""),
        charge_id=id_of(latest),
        customer_id=id_of(data.get("customer")),
        livemode=bool(data["livemode"]),
        decline_code=str(error.get("decline_code") or error.get("code") or ""),
        failed_charge_id=id_of(error.get("charge")),
        created=datetime.fromtimestamp(int(data["created"]), tz=UTC),
        saves_method=data.get("setup_future_usage") == "off_session",
        shipping_address=address_of(data.get("shipping")),
        metadata=metadata,
        charge=latest if isinstance(latest, Mapping) else {},
        client_secret=str(data.get("client_secret") or ""),
    )
