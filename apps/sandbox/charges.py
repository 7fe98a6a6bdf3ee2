"""Charges: what one attempt to move money left behind. Amounts are in minor units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.sandbox import balance, ids
from apps.sandbox.call import Call
from apps.sandbox.cards import Decline
from apps.sandbox.methods import charge_details
from apps.sandbox.store import Object

# Modules that follow a paid charge (a dispute card opens a dispute) add themselves here.
AFTER_CHARGE: list[Callable[[Call, Object], None]] = []

APPROVED: Object = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 12,
    "seller_message": "Payment complete.",
    "type": "authorized",
}


def declined_outcome(decline: Decline) -> Object:
    """`outcome` of a refused charge, as documented at https://docs.stripe.com/declines."""
    if decline.blocked:
        return {
            **APPROVED,
            "network_status": "not_sent_to_network",
            "reason": "highest_risk_level",
            "risk_level": "highest",
            "risk_score": 92,
            "seller_message": "Stripe blocked this payment as too risky.",
            "type": "blocked",
        }
    return {
        **APPROVED,
        "advice_code": decline.advice,
        "network_decline_code": "01",
        "network_status": "declined_by_network",
        "reason": decline.decline_code or decline.code,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }


def new_charge(call: Call, intent: Object, method: Object, *, authenticated: bool, **changes: Any) -> Object:
    """A charge of the intent's amount; `changes` say how it went. It is not stored yet."""
    charge_id = ids.new("charge")
    sepa = method["type"] == "sepa_debit"
    details = charge_details(
        method, authenticated=authenticated, mandate=intent.get("_mandate"), amount=intent["amount"]
    )
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": None if sepa else "PROSHOP SANDBOX",
        "captured": False,
        "created": call.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": APPROVED,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": details,
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
        "_number": method["_number"],
        **changes,
    }


def book(call: Call, charge: Object) -> Object:
    """Enter the captured amount into the balance: the charge gets its balance transaction. Stored."""
    fee = round(charge["amount_captured"] * 29 / 1000) + 30
    fee = min(fee, charge["amount_captured"])
    entry = balance.enter(
        call,
        "charge",
        charge["amount_captured"],
        source=charge["id"],
        currency=charge["currency"],
        description=charge["description"],
        fee=fee,
    )
    charge["balance_transaction"] = entry["id"]
    return call.tx.put(charge)


def receipt_url(call: Call, charge_id: str) -> str:
    return f"{call.base_url}/receipts/{charge_id}"
