"""One table from event type to function, with the reason beside each row.

A handler takes what it needs from the signed snapshot and calls one service, inside the inbox's transaction; none
calls Stripe. It returns Ignored for objects that are not ours, and raises UnknownPayment for ours that are not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.payment import gateway
from apps.payment.models import Payment
from apps.payment.services import charges, settlement
from apps.payment.services.attempts import REFERENCE_PREFIX
from apps.payment.services.settlement import PaidFacts

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event is none of this shop's business."""

    reason: str


Handler = Callable[[Event], Ignored | None]

FOREIGN = Ignored("its object carries no reference of ours")


def on_session(event: Event) -> Ignored | None:
    """Completed, paid later or expired: the session's own state says which."""
    session = gateway.session_from_snapshot(event["data"]["object"])
    if not session.reference.startswith(REFERENCE_PREFIX):
        return FOREIGN
    settlement.apply_session(session, event_id=event["id"])
    return None


def on_session_failed(event: Event) -> Ignored | None:
    session = gateway.session_from_snapshot(event["data"]["object"])
    if not session.reference.startswith(REFERENCE_PREFIX):
        return FOREIGN
    settlement.apply_delayed_failure(session, event_id=event["id"])
    return None


def on_intent_succeeded(event: Event) -> Ignored | None:
    intent = event["data"]["object"]
    reference = _reference(intent)
    if not reference:
        return FOREIGN
    settlement.apply_paid(
        PaidFacts(
            reference=reference,
            amount=int(intent["amount_received"]),
            currency=str(intent["currency"]).upper(),
            payment_intent_id=gateway.id_of(intent["id"]),
            charge_id=gateway.id_of(intent.get("latest_charge")),
            event_id=event["id"],
        )
    )
    return None


def on_intent_failed(event: Event) -> Ignored | None:
    """A declined card cancels nothing: the buyer may try again on the same page."""
    intent = event["data"]["object"]
    reference = _reference(intent)
    if not reference:
        return FOREIGN
    error = intent.get("last_payment_error") or {}
    charges.note_decline(
        reference=reference,
        object_id=gateway.id_of(error.get("charge")) or event["id"],
        code=str(error.get("decline_code") or error.get("code") or ""),
        event_id=event["id"],
    )
    return None


def on_charge(event: Event) -> Ignored | None:
    """Charge id, card brand, last four and receipt; the money itself is settled by session or intent."""
    charge = event["data"]["object"]
    reference = _reference(charge)
    if not reference:
        return FOREIGN
    charges.note_charge(reference=reference, charge=charges.ChargeFacts.of_snapshot(charge), event_id=event["id"])
    return None


def on_charge_failed(event: Event) -> Ignored | None:
    charge = event["data"]["object"]
    reference = _reference(charge)
    if not reference:
        return FOREIGN
    outcome = charge.get("outcome") or {}
    charges.note_decline(
        reference=reference,
        object_id=gateway.id_of(charge["id"]),
        code=str(outcome.get("reason") or charge.get("failure_code") or ""),
        event_id=event["id"],
    )
    return None


HANDLERS: dict[str, Handler] = {
    # The buyer finished the hosted page. Bank debits arrive here unpaid and settle days later.
    "checkout.session.completed": on_session,
    # A delayed method went through: the same money as above, now really paid.
    "checkout.session.async_payment_succeeded": on_session,
    # A delayed method failed for good: the order ends, its stock is free again.
    "checkout.session.async_payment_failed": on_session_failed,
    # The hold ends with the session; a session that was paid never expires.
    "checkout.session.expired": on_session,
    # The same money as a completed session, and often here first.
    "payment_intent.succeeded": on_intent_succeeded,
    # A decline, kept with the payment for the buyer and for staff.
    "payment_intent.payment_failed": on_intent_failed,
    # The same decline, told of its charge.
    "charge.failed": on_charge_failed,
    # Brings the charge's id, the card and the receipt.
    "charge.succeeded": on_charge,
    # Capture is asynchronous: what charge.succeeded did not have yet comes here.
    "charge.updated": on_charge,
}


def _reference(found: Mapping[str, Any]) -> str:
    """Our reference of an intent or a charge: from its metadata, else by the intent that we know. Empty: not ours."""
    told = (found.get("metadata") or {}).get("proshop_payment")
    if isinstance(told, str) and told.startswith(REFERENCE_PREFIX):
        return told
    intent_id = (
        gateway.id_of(found.get("payment_intent"))
        if found.get("object") == "charge"
        else gateway.id_of(found.get("id"))
    )
    if not intent_id:
        return ""
    known = Payment.objects.filter(stripe_payment_intent_id=intent_id).values_list("reference", flat=True).first()
    return known or ""
