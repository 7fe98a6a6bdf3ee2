"""/v1/refunds. Amounts are in minor units."""

from __future__ import annotations

from typing import Any

from apps.sandbox import refunds
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import ApiError, invalid, unsupported
from apps.sandbox.pagination import page
from apps.sandbox.store import Object

URL = "/v1/refunds"
UNSUPPORTED = (
    "currency",
    "customer",
    "instructions_email",
    "origin",
    "refund_application_fee",
    "reverse_transfer",
)


def create(call: Call) -> Object:
    params = call.params
    for name in UNSUPPORTED:
        if params.get(name):
            raise unsupported(name)
    charge = charge_of(call, params)
    return refunds.create(
        call, charge, amount=params.get("amount"), reason=params.get("reason"), metadata=params.get("metadata")
    )


def charge_of(call: Call, named: dict[str, Any]) -> Object:
    """The charge that a call names by its own id, by its payment intent's, or by both."""
    intent_id, charge_id = named.get("payment_intent"), named.get("charge")
    if intent_id is None and charge_id is None:
        raise ApiError(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    if intent_id is not None:
        intent = call.get("payment_intent", intent_id, param="payment_intent")
        if charge_id not in (None, intent["latest_charge"]):
            raise invalid(f"The charge {charge_id} does not belong to the PaymentIntent {intent_id}.", "charge")
        charge_id = intent["latest_charge"]
        if charge_id is None:
            raise refunds.no_charge(intent_id)
    return call.get("charge", str(charge_id), param="charge")


def retrieve(call: Call, refund_id: str) -> Object:
    return call.get("refund", refund_id)


def update(call: Call, refund_id: str) -> Object:
    refund = call.get("refund", refund_id)
    if "metadata" in call.params:
        before = dict(refund)
        refund["metadata"] = merged_metadata(refund["metadata"], call.params["metadata"])
        call.tx.put(refund)
        refunds.tell_update(call, refund, before)
    return refund


def cancel(call: Call, refund_id: str) -> Object:
    refund = call.get("refund", refund_id)
    if refund["status"] != "requires_action":
        raise ApiError(
            f"You cannot cancel this refund because it has a status of {refund['status']}. Only a refund with the"
            " status requires_action may be canceled."
        )
    return refunds.move(call, refund, "canceled")


def list_all(call: Call) -> Object:
    names = ("charge", "payment_intent")
    return page(call, "refund", URL, {name: [call.params[name]] for name in names if name in call.params})


def of_charge(call: Call, charge_id: str) -> Object:
    """The address that an expanded `charge.refunds` names for its further pages."""
    charge = call.get("charge", charge_id)
    return page(call, "refund", f"/v1/charges/{charge_id}/refunds", {"charge": [charge["id"]]})
