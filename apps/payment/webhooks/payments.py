"""Events of sessions, intents and charges: the way of the money to the shop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from apps.payment import gateway
from apps.payment.gateway import PaymentIntent
from apps.payment.models import Payment
from apps.payment.services import charges, progress
from apps.payment.services.attempts import REFERENCE_PREFIX
from apps.payment.services.settlement import PaidFacts, lock_by_reference
from apps.payment.webhooks.handling import FOREIGN, Event, Outcome, asked_id, reference_of, told_of


def on_session(event: Event) -> Outcome:
    """Completed, paid later or expired: the session's own state says which."""
    session = gateway.session_from_snapshot(told_of(event))
    if not session.reference.startswith(REFERENCE_PREFIX):
        return FOREIGN
    progress.apply_session(session, event_id=event["id"])
    return None


def on_session_failed(event: Event) -> Outcome:
    session = gateway.session_from_snapshot(told_of(event))
    if not session.reference.startswith(REFERENCE_PREFIX):
        return FOREIGN
    progress.apply_delayed_failure(PaidFacts.of_session(session, event_id=event["id"]))
    return None


def on_intent(event: Event) -> Outcome:
    """Succeeded, processing, reserved or cancelled: states that nothing older can follow."""
    found = told_of(event)
    reference = reference_of(found)
    if not reference:
        return FOREIGN
    intent = replace(gateway.intent_from_snapshot(found), reference=reference)
    progress.apply_intent(intent, event_id=event["id"])
    return None


def is_own_intent(event: Event) -> bool:
    """Whether a frontend's form drives this intent. On the hosted page Stripe deals with what goes wrong."""
    reference = reference_of(told_of(event))
    own = Payment.objects.filter(reference=reference, channel=Payment.Channel.INTENT)
    return bool(reference) and own.exists()


def ask_intent(event: Event) -> PaymentIntent:
    return gateway.retrieve_payment_intent(asked_id(told_of(event)["id"]))


def on_intent_failed(event: Event, told: PaymentIntent | None, asked_at: datetime) -> Outcome:
    """A declined card cancels nothing: the buyer may try again. A failed bank debit ends the attempt."""
    found = told_of(event)
    reference = reference_of(found)
    if not reference:
        return FOREIGN
    snapshot = gateway.intent_from_snapshot(found)
    charges.note_decline(
        reference=reference,
        object_id=snapshot.failed_charge_id or event["id"],
        code=snapshot.decline_code,
        event_id=event["id"],
    )
    _follow(reference, told, event)
    return None


def on_intent_waits(event: Event, told: PaymentIntent | None, asked_at: datetime) -> Outcome:
    """The buyer's bank wants to be asked: shown to whoever polls the payment."""
    reference = reference_of(told_of(event))
    if not reference:
        return FOREIGN
    lock_by_reference(reference)
    _follow(reference, told, event)
    return None


def on_charge(event: Event) -> Outcome:
    """Charge id, card brand, last four and receipt; the money itself is settled by session or intent."""
    charge = told_of(event)
    reference = reference_of(charge)
    if not reference:
        return FOREIGN
    charges.note_charge(reference=reference, charge=charges.ChargeFacts.of_snapshot(charge), event_id=event["id"])
    return None


def on_charge_failed(event: Event) -> Outcome:
    charge = told_of(event)
    reference = reference_of(charge)
    if not reference:
        return FOREIGN
    outcome: Mapping[str, Any] = charge.get("outcome") or {}
    charges.note_decline(
        reference=reference,
        object_id=gateway.id_of(charge["id"]),
        code=str(outcome.get("reason") or charge.get("failure_code") or ""),
        event_id=event["id"],
    )
    return None


def _follow(reference: str, told: PaymentIntent | None, event: Event) -> None:
    if told is not None:
        progress.apply_current_intent(replace(told, reference=reference), event_id=event["id"])
