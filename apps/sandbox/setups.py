"""The life of a SetupIntent: a method is checked and kept for later, and no money moves."""

from __future__ import annotations

from typing import Any

from apps.sandbox import authentication, debits, ids, saved
from apps.sandbox.call import Call
from apps.sandbox.cards import BY_NUMBER, SETUP_AUTHENTICATION_FAILED, Decline
from apps.sandbox.errors import ApiError, invalid
from apps.sandbox.events import emit
from apps.sandbox.methods import charge_details
from apps.sandbox.store import Object, public

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def new_intent(call: Call, kinds: list[str], **given: Any) -> Object:
    """Store a new intent and tell about it. `given` overrides Stripe's defaults."""
    intent_id = ids.new("setup_intent")
    card = {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
    intent: Object = {
        "id": intent_id,
        "object": "setup_intent",
        "allowed_payment_method_types": None,
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{intent_id}_secret_{ids.text(25)}",
        "created": call.now,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": card} if "card" in kinds else {},
        "payment_method_types": kinds,
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
        **given,
    }
    call.tx.put(intent)
    emit(call, "setup_intent.created", intent)
    return intent


def confirm(
    call: Call, intent: Object, method: Object, *, authenticated: bool = False, return_url: str | None = None
) -> Object:
    """Try to set the method up. Raises ApiError 402 (its effects kept) when its bank refuses."""
    if method["type"] not in intent["payment_method_types"]:
        raise invalid(
            f"The payment method type '{method['type']}' is not allowed for this SetupIntent."
            f" Allowed: {', '.join(intent['payment_method_types'])}.",
            "payment_method",
        )
    saved.check_usable(method)
    intent |= {"payment_method": method["id"], "next_action": None, "last_setup_error": None}
    card = BY_NUMBER.get(method["_number"])
    if card is not None and not authenticated and authentication.wanted_for_setup(card):
        intent |= {"status": "requires_action", "next_action": authentication.next_action(call, intent, return_url)}
        _attempt(call, intent, method, "requires_action")
        call.tx.put(intent)
        emit(call, "setup_intent.requires_action", intent)
        return intent
    if card is not None and card.decline is not None and card.attach_decline:
        raise _refuse(call, intent, method, card.decline)
    return _succeed(call, intent, method, authenticated=authenticated)


def _succeed(call: Call, intent: Object, method: Object, *, authenticated: bool) -> Object:
    if method["type"] == "sepa_debit":
        intent["mandate"] = debits.new_mandate(call, method)["id"]
    _attempt(call, intent, method, "succeeded", authenticated=authenticated)
    intent["status"] = "succeeded"
    call.tx.put(intent)
    if intent["usage"] == "off_session":
        method["_set_up"] = True
    saved.keep(call, intent, method)
    emit(call, "setup_intent.succeeded", intent)
    return intent


def authenticate(call: Call, intent: Object, passed: bool) -> Object:
    """The buyer's answer to the bank's check. Raises ApiError 402 (its effects kept) when that ends in a refusal."""
    method = call.get("payment_method", intent["payment_method"])
    if not passed:
        raise _refuse(call, intent, method, SETUP_AUTHENTICATION_FAILED)
    return confirm(call, intent, method, authenticated=True)


def _refuse(call: Call, intent: Object, method: Object, reason: Decline) -> ApiError:
    """Record the failed try; the error to raise. The intent waits for another method."""
    kind = "invalid_request_error" if reason is SETUP_AUTHENTICATION_FAILED else "card_error"
    details: dict[str, Any] = {"payment_method": public(method)}
    if reason.decline_code is not None:
        details |= {"decline_code": reason.decline_code, "advice_code": reason.advice}
    error = ApiError(reason.message, status=402, kind=kind, code=reason.code, keep_effects=True, **details)
    intent |= {"status": "requires_payment_method", "payment_method": None, "next_action": None}
    intent["last_setup_error"] = dict(error.error)
    _attempt(call, intent, method, "failed", error=dict(error.error))
    call.tx.put(intent)
    emit(call, "setup_intent.setup_failed", intent)
    error.error["setup_intent"] = public(intent)
    return error


def _attempt(
    call: Call,
    intent: Object,
    method: Object,
    status: str,
    *,
    authenticated: bool = False,
    error: dict[str, Any] | None = None,
) -> None:
    """Record how the latest try stands; one that waited for the bank's check goes on."""
    before = call.tx.find(intent["latest_attempt"] or "", "setup_attempt")
    goes_on = before is not None and before["status"] == "requires_action" and status != "requires_action"
    attempt: Object = {
        "id": before["id"] if before is not None and goes_on else ids.new("setup_attempt"),
        "object": "setup_attempt",
        "application": None,
        "created": call.now,
        "customer": intent["customer"],
        "customer_account": None,
        "flow_directions": None,
        "livemode": False,
        "on_behalf_of": None,
        "payment_method": method["id"],
        "payment_method_details": _details(method, authenticated=authenticated),
        "setup_error": error,
        "setup_intent": intent["id"],
        "status": status,
        "usage": intent["usage"],
    }
    call.tx.put(attempt)
    intent["latest_attempt"] = attempt["id"]


def _details(method: Object, *, authenticated: bool) -> Object:
    if method["type"] != "card":
        return {method["type"]: {}, "type": method["type"]}
    card = charge_details(method, authenticated=authenticated, mandate=None, amount=0)["card"]
    names = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "network")
    secure = {name: value for name, value in (card["three_d_secure"] or {}).items() if name != "exemption_indicator"}
    details = {name: card[name] for name in (*names, "wallet")}
    return {"card": {**details, "three_d_secure": secure or None}, "type": "card"}


def cancel(call: Call, intent: Object, reason: str | None) -> Object:
    intent |= {"status": "canceled", "cancellation_reason": reason, "next_action": None}
    call.tx.put(intent)
    emit(call, "setup_intent.canceled", intent)
    return intent
