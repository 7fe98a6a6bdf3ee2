"""Events of refunds and disputes.

They come in any order and their states may go back, so each one only says where to look: the object is fetched, with
its intent, which proves the money when the payment's own event is still on its way.
"""

from __future__ import annotations

from datetime import datetime

from apps.payment import gateway
from apps.payment.gateway import StripeDispute, StripeRefund
from apps.payment.models import Dispute, Payment, Refund
from apps.payment.services import ledger
from apps.payment.services.attempts import REFERENCE_PREFIX
from apps.payment.webhooks.handling import FOREIGN, Event, Handler, Outcome, asked_id, told_of


def ask_refund(event: Event) -> StripeRefund:
    return gateway.retrieve_refund(asked_id(told_of(event)["id"]))


def on_refund(event: Event, told: StripeRefund, asked_at: datetime) -> Outcome:
    if not _is_ours(told):
        return FOREIGN
    ledger.apply_refund(told, asked_at=asked_at, event_id=event["id"])
    return None


def ask_refunds_of_charge(event: Event) -> list[StripeRefund]:
    """All refunds of a charge, each with the intent that proves the money."""
    intent = told_of(event).get("payment_intent")
    if not intent:
        return []
    found = gateway.list_refunds(asked_id(intent))
    return [gateway.retrieve_refund(refund.id) for refund in found if _is_news(refund)]


def on_charge_refunded(event: Event, told: list[StripeRefund], asked_at: datetime) -> Outcome:
    """Names no refund, so all of the charge's are looked at. A reservation that was given back has none."""
    if not any(_is_ours(refund) for refund in told):
        known = Payment.objects.filter(stripe_charge_id=gateway.id_of(told_of(event)["id"])).exists()
        return None if known else FOREIGN
    for refund in told:
        ledger.apply_refund(refund, asked_at=asked_at, event_id=event["id"])
    return None


def ask_dispute(event: Event) -> StripeDispute:
    return gateway.retrieve_dispute(asked_id(told_of(event)["id"]))


def on_dispute(event: Event, told: StripeDispute, asked_at: datetime) -> Outcome:
    if not _is_ours(told):
        return FOREIGN
    ledger.apply_dispute(told, asked_at=asked_at, event_id=event["id"])
    return None


REFUND = Handler(act=on_refund, ask=ask_refund)
CHARGE_REFUNDED = Handler(act=on_charge_refunded, ask=ask_refunds_of_charge)
DISPUTE = Handler(act=on_dispute, ask=ask_dispute)


def _is_ours(told: StripeRefund | StripeDispute) -> bool:
    """By the intent's metadata, else by what is known here."""
    if told.intent is not None and told.intent.reference.startswith(REFERENCE_PREFIX):
        return True
    if Payment.objects.filter(stripe_payment_intent_id=told.payment_intent_id or None).exists():
        return True
    if Payment.objects.filter(stripe_charge_id=told.charge_id or None).exists():
        return True
    if isinstance(told, StripeDispute):
        return Dispute.objects.filter(stripe_dispute_id=told.id).exists()
    return Refund.objects.filter(stripe_refund_id=told.id).exists()


def _is_news(told: StripeRefund) -> bool:
    return not Refund.objects.filter(stripe_refund_id=told.id, stripe_status=told.status).exists()
