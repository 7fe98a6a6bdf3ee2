"""Refunds at Stripe, those of the shop and those made in the Dashboard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.payment.gateway.calls import call_stripe
from apps.payment.gateway.intents import PaymentIntent, intent_from_snapshot
from apps.payment.gateway.values import id_of, plain, texts_of

EXPANDED = ["payment_intent", "payment_intent.latest_charge"]


@dataclass(frozen=True, slots=True)
class StripeRefund:
    """What the shop needs of a refund. `amount` is in minor units, `currency` in upper case.

    `reference` and its payment's are ours, and empty for a refund that was made in the Dashboard.
    """

    id: str
    status: str
    amount: int
    currency: str
    reference: str
    payment_reference: str
    reason: str
    failure_reason: str
    payment_intent_id: str
    charge_id: str
    created: datetime
    intent: PaymentIntent | None = None


def create_refund(params: Mapping[str, Any], *, idempotency_key: str) -> StripeRefund:
    """Give money back, or get the refund that this key made before. Raises StripeUnavailable, StripeRefused."""
    return _refund(call_stripe(lambda c: c.v1.refunds.create(dict(params), {"idempotency_key": idempotency_key})))  # type: ignore[arg-type]


def retrieve_refund(refund_id: str) -> StripeRefund:
    """A refund together with its payment's intent."""
    return _refund(call_stripe(lambda c: c.v1.refunds.retrieve(refund_id, {"expand": EXPANDED})))


def list_refunds(payment_intent_id: str) -> list[StripeRefund]:
    """Every refund of a payment, oldest first."""
    return [_refund(found) for found in _pages(payment_intent_id)][::-1]


def find_refund(*, reference: str, payment_intent_id: str) -> StripeRefund | None:
    """The refund of one of our references, for when no answer about it ever came."""
    return next((refund for refund in map(_refund, _pages(payment_intent_id)) if refund.reference == reference), None)


def _pages(payment_intent_id: str) -> Iterator[Any]:
    cursor: dict[str, Any] = {}
    while True:
        params = {"payment_intent": payment_intent_id, "limit": 100, **cursor}
        page = call_stripe(lambda c, p=params: c.v1.refunds.list(p))  # type: ignore[misc]
        yield from page.data
        if not page.has_more:
            return
        cursor = {"starting_after": page.data[-1].id}


def _refund(found: Any) -> StripeRefund:
    return refund_from_snapshot(plain(found))


def refund_from_snapshot(data: Mapping[str, Any]) -> StripeRefund:
    """A refund as the API shows it. Raises KeyError, TypeError or ValueError for anything else."""
    intent = data.get("payment_intent")
    metadata = texts_of(data.get("metadata"))
    return StripeRefund(
        id=str(data["id"]),
        status=str(data["status"] or "pending"),
        amount=int(data["amount"]),
        currency=str(data["currency"]).upper(),
        reference=metadata.get("proshop_refund", ""),
        payment_reference=metadata.get("proshop_payment", ""),
        reason=str(data.get("reason") or ""),
        failure_reason=str(data.get("failure_reason") or ""),
        payment_intent_id=id_of(intent),
        charge_id=id_of(data.get("charge")),
        created=datetime.fromtimestamp(int(data["created"]), tz=UTC),
        intent=intent_from_snapshot(intent) if isinstance(intent, Mapping) else None,
    )
