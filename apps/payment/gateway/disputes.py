"""Disputes: a buyer's bank takes the money back, and the shop may answer with evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.payment.gateway.calls import call_stripe
from apps.payment.gateway.intents import PaymentIntent, intent_from_snapshot
from apps.payment.gateway.values import id_of, plain

EXPANDED = ["payment_intent", "payment_intent.latest_charge"]


@dataclass(frozen=True, slots=True)
class StripeDispute:
    """What the shop needs of a dispute. `amount` is in minor units, `currency` in upper case.

    `net_moved` is what its balance transactions have moved so far: negative once the money was taken.
    """

    id: str
    status: str
    reason: str
    amount: int
    currency: str
    charge_id: str
    payment_intent_id: str
    due_by: datetime | None
    has_evidence: bool
    past_due: bool
    submissions: int
    is_charge_refundable: bool
    network_reason_code: str
    livemode: bool
    created: datetime
    net_moved: int
    evidence: Mapping[str, str]
    intent: PaymentIntent | None = None


def retrieve_dispute(dispute_id: str) -> StripeDispute:
    """A dispute together with its payment's intent."""
    return _dispute(call_stripe(lambda c: c.v1.disputes.retrieve(dispute_id, {"expand": EXPANDED})))


def update_evidence(
    dispute_id: str, evidence: Mapping[str, str], *, submit: bool, idempotency_key: str
) -> StripeDispute:
    """Keep evidence as a draft at Stripe, or submit it to the bank. Submitting is normally possible once."""
    params: Any = {"evidence": dict(evidence), "submit": submit, "expand": EXPANDED}
    return _dispute(
        call_stripe(lambda c: c.v1.disputes.update(dispute_id, params, {"idempotency_key": idempotency_key}))
    )


def close_dispute(dispute_id: str, *, idempotency_key: str) -> StripeDispute:
    """Accept a dispute: it is lost, and nothing brings it back."""
    return _dispute(
        call_stripe(
            lambda c: c.v1.disputes.close(dispute_id, {"expand": EXPANDED}, {"idempotency_key": idempotency_key})
        )
    )


def _dispute(found: Any) -> StripeDispute:
    return dispute_from_snapshot(plain(found))


def dispute_from_snapshot(data: Mapping[str, Any]) -> StripeDispute:
    """A dispute as the API shows it. Raises KeyError, TypeError or ValueError for anything else."""
    details = data.get("evidence_details") or {}
    card = (data.get("payment_method_details") or {}).get("card") or {}
    intent = data.get("payment_intent")
    due_by = details.get("due_by")
    return StripeDispute(
        id=str(data["id"]),
        status=str(data["status"]),
        reason=str(data["reason"]),
        amount=int(data["amount"]),
        currency=str(data["currency"]).upper(),
        charge_id=id_of(data["charge"]),
        payment_intent_id=id_of(intent),
        due_by=datetime.fromtimestamp(int(due_by), tz=UTC) if due_by else None,
        has_evidence=bool(details.get("has_evidence")),
        past_due=bool(details.get("past_due")),
        submissions=int(details.get("submission_count") or 0),
        is_charge_refundable=bool(data.get("is_charge_refundable")),
        network_reason_code=str(card.get("network_reason_code") or data.get("network_reason_code") or ""),
        livemode=bool(data["livemode"]),
        created=datetime.fromtimestamp(int(data["created"]), tz=UTC),
        net_moved=sum(int(entry["amount"]) for entry in data.get("balance_transactions") or []),
        evidence={
            name: value for name, value in (data.get("evidence") or {}).items() if isinstance(value, str) and value
        },
        intent=intent_from_snapshot(intent) if isinstance(intent, Mapping) else None,
    )
