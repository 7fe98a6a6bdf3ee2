"""SEPA bank debits: promised when the buyer confirms, decided by the bank later."""

from __future__ import annotations

from collections.abc import Callable

from apps.sandbox import ids, saved
from apps.sandbox.call import Call
from apps.sandbox.cards import BY_IBAN, Decline
from apps.sandbox.charges import AFTER_CHARGE, book, declined_outcome, new_charge, receipt_url
from apps.sandbox.events import emit
from apps.sandbox.store import Object, public

SLOW_FACTOR = 10  # the account that settles late, as a multiple of the usual delay


def promise(call: Call, intent: Object, method: Object, on_charged: Callable[[Object], None]) -> Object:
    """Start a debit: the intent is processing until `settle` brings the outcome."""
    mandate = new_mandate(call, method)
    intent["_mandate"] = mandate["id"]
    charge = new_charge(call, intent, method, authenticated=False)
    call.tx.put(charge)
    saved.after_payment(call, intent, method)
    intent |= {"status": "processing", "latest_charge": charge["id"], "last_payment_error": None}
    call.tx.put(intent)
    emit(call, "charge.pending", charge)
    on_charged(charge)
    emit(call, "payment_intent.processing", intent)
    slow = BY_IBAN[method["_number"]].slow
    call.tx.schedule("settle_debit", intent["id"], seconds=call.settle_seconds * (SLOW_FACTOR if slow else 1))
    return intent


def new_mandate(call: Call, method: Object) -> Object:
    """The buyer's permission to debit the account, stored."""
    acceptance = {"accepted_at": call.now, "online": {"ip_address": "127.0.0.1", "user_agent": "sandbox"}}
    reference = ids.text(16).upper()
    return call.tx.put(
        {
            "id": ids.new("mandate"),
            "object": "mandate",
            "customer_acceptance": {**acceptance, "type": "online"},
            "livemode": False,
            "multi_use": {},
            "payment_method": method["id"],
            "payment_method_details": {
                "sepa_debit": {"reference": reference, "url": f"{call.base_url}/mandates/{reference}"},
                "type": "sepa_debit",
            },
            "status": "active",
            "type": "multi_use",
        }
    )


def settle(call: Call, intent: Object, on_settled: Callable[[bool], None]) -> None:
    """The bank's answer to a debit. `on_settled(went_through)` runs where the session's own event belongs."""
    if intent["status"] != "processing":
        return
    charge = call.get("charge", intent["latest_charge"])
    if not BY_IBAN[charge["_number"]].settles:
        _bounce(call, intent, charge, on_settled)
        return
    charge |= {"status": "succeeded", "paid": True, "captured": True, "amount_captured": charge["amount"]}
    charge["receipt_url"] = receipt_url(call, charge["id"])
    book(call, charge)
    intent |= {"status": "succeeded", "amount_received": intent["amount"]}
    call.tx.put(intent)
    emit(call, "charge.succeeded", charge)
    on_settled(True)
    emit(call, "payment_intent.succeeded", intent)
    for follow in AFTER_CHARGE:
        follow(call, charge)


def _bounce(call: Call, intent: Object, charge: Object, on_settled: Callable[[bool], None]) -> None:
    """The bank refused: the intent waits for another method, the session stays complete and unpaid."""
    message = "The customer's bank refused the debit."
    charge |= {"status": "failed", "failure_code": "charge_failed", "failure_message": message}
    charge["outcome"] = {**declined_outcome(Decline("generic_decline", message)), "advice_code": None}
    call.tx.put(charge)
    method = call.get("payment_method", charge["payment_method"])
    intent |= {"status": "requires_payment_method", "payment_method": None}
    intent["last_payment_error"] = {
        "charge": charge["id"],
        "code": "payment_intent_payment_attempt_failed",
        "message": message,
        "payment_method": public(method),
        "type": "card_error",
    }
    call.tx.put(intent)
    emit(call, "charge.failed", charge)
    on_settled(False)
    emit(call, "payment_intent.payment_failed", intent)
