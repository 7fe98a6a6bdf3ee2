"""The life of a PaymentIntent: confirmed, authenticated, charged, captured, settled, canceled.

The API, the pay page, the CLI's `payment_pages` calls and the control panel all pay through `confirm`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.sandbox import authentication, debits, ids, saved
from apps.sandbox.call import Call
from apps.sandbox.cards import AUTHENTICATION_FAILED, AUTHENTICATION_REQUIRED, BY_NUMBER, Decline
from apps.sandbox.charges import AFTER_CHARGE, book, declined_outcome, new_charge, receipt_url
from apps.sandbox.errors import ApiError, invalid, unexpected_state
from apps.sandbox.events import emit
from apps.sandbox.store import Object, public

HOLD_SECONDS = 7 * 86400  # how long an uncaptured card payment stays reserved
BOOKING_SECONDS = 1.0  # `automatic_async`: the balance transaction follows with charge.updated

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (*CONFIRMABLE, "requires_capture")


def new_intent(call: Call, *, amount: int, currency: str, **given: Any) -> Object:
    """Store a new intent and tell about it. `given` overrides Stripe's defaults."""
    intent_id = ids.new("payment_intent")
    kinds = given.pop("payment_method_types", None) or default_types(currency)
    intent: Object = {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_{ids.text(25)}",
        "confirmation_method": "automatic",
        "created": call.now,
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": method_options(kinds),
        "payment_method_types": kinds,
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **given,
    }
    call.tx.put(intent)
    emit(call, "payment_intent.created", intent)
    return intent


def default_types(currency: str) -> list[str]:
    """What is switched on in the imagined Dashboard: cards, and SEPA for euros."""
    return ["card", "sepa_debit"] if currency == "eur" else ["card"]


def checked_types(kinds: list[str], currency: str) -> list[str]:
    """Types that a caller of an older version asked for. Raises ApiError for those that cannot be had."""
    for kind in kinds:
        if kind not in ("card", "sepa_debit"):
            raise invalid(f"The payment method type provided: {kind} is invalid.", "payment_method_types")
    if "sepa_debit" in kinds and currency != "eur":
        raise invalid("The payment method type sepa_debit only supports the currency eur.", "payment_method_types")
    return kinds


def method_options(kinds: list[str]) -> Object:
    options: Object = {}
    if "card" in kinds:
        options["card"] = {
            "installments": None,
            "mandate_options": None,
            "network": None,
            "request_three_d_secure": "automatic",
        }
    if "sepa_debit" in kinds:
        options["sepa_debit"] = {}
    return options


def confirm(
    call: Call,
    intent: Object,
    method: Object,
    *,
    off_session: bool = False,
    authenticated: bool = False,
    return_url: str | None = None,
    on_charged: Callable[[Object], None] = lambda charge: None,
) -> Object:
    """Try to collect the money. Raises ApiError 402 (its effects kept) when it is declined.

    `on_charged` runs between charge.succeeded and payment_intent.succeeded, where Stripe completes the session.
    """
    if method["type"] not in intent["payment_method_types"]:
        raise invalid(
            f"The payment method type '{method['type']}' is not allowed for this PaymentIntent."
            f" Allowed: {', '.join(intent['payment_method_types'])}.",
            "payment_method",
            "payment_intent_incompatible_payment_method",
        )
    saved.check_usable(method)
    intent |= {"payment_method": method["id"], "next_action": None}
    if method["type"] == "sepa_debit":
        return debits.promise(call, intent, method, on_charged)
    card = BY_NUMBER[method["_number"]]
    if not authenticated and authentication.wanted_for_payment(card, method, off_session=off_session):
        if off_session:
            raise decline(call, intent, method, AUTHENTICATION_REQUIRED, authenticated=False)
        return _require_action(call, intent, return_url)
    if card.decline is not None:
        raise decline(call, intent, method, card.decline, authenticated=authenticated)
    return _charge_card(call, intent, method, authenticated, on_charged)


def _require_action(call: Call, intent: Object, return_url: str | None) -> Object:
    intent |= {"status": "requires_action", "last_payment_error": None}
    intent["next_action"] = authentication.next_action(call, intent, return_url)
    call.tx.put(intent)
    emit(call, "payment_intent.requires_action", intent)
    return intent


def _charge_card(
    call: Call, intent: Object, method: Object, authenticated: bool, on_charged: Callable[[Object], None]
) -> Object:
    manual = intent["capture_method"] == "manual"
    charge = new_charge(call, intent, method, authenticated=authenticated)
    charge |= {"paid": True, "status": "succeeded", "receipt_url": receipt_url(call, charge["id"])}
    intent |= {"latest_charge": charge["id"], "last_payment_error": None, "next_action": None}
    if manual:
        charge["payment_method_details"]["card"]["capture_before"] = call.now + HOLD_SECONDS
        intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
        call.tx.schedule("release_hold", intent["id"], seconds=HOLD_SECONDS)
    else:
        charge |= {"captured": True, "amount_captured": intent["amount"]}
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
    _store_charge(call, intent, charge, booked=intent["capture_method"] == "automatic")
    call.tx.put(intent)
    emit(call, "charge.succeeded", charge)
    saved.after_payment(call, intent, method)
    on_charged(charge)
    emit(call, "payment_intent.amount_capturable_updated" if manual else "payment_intent.succeeded", intent)
    for follow in AFTER_CHARGE:
        follow(call, charge)
    return intent


def _store_charge(call: Call, intent: Object, charge: Object, *, booked: bool) -> None:
    """With `automatic_async` the balance transaction comes a moment later, with charge.updated."""
    if not charge["captured"]:
        call.tx.put(charge)
    elif booked:
        book(call, charge)
    else:
        call.tx.put(charge)
        call.tx.schedule("book_charge", charge["id"], seconds=BOOKING_SECONDS)


def decline(call: Call, intent: Object, method: Object, reason: Decline, *, authenticated: bool) -> ApiError:
    """Record a refused charge; the error to raise. The intent waits for another method."""
    charge = new_charge(call, intent, method, authenticated=authenticated)
    charge |= {"status": "failed", "failure_code": reason.code, "failure_message": reason.message}
    charge["outcome"] = declined_outcome(reason)
    call.tx.put(charge)
    error = _refuse(call, intent, method, reason, charge["id"])
    emit(call, "charge.failed", charge)
    emit(call, "payment_intent.payment_failed", intent)
    return error


def fail_authentication(call: Call, intent: Object) -> ApiError:
    """The buyer did not pass the bank's check: no charge was made."""
    method = call.get("payment_method", intent["payment_method"])
    error = _refuse(call, intent, method, AUTHENTICATION_FAILED, None)
    emit(call, "payment_intent.payment_failed", intent)
    return error


def _refuse(call: Call, intent: Object, method: Object, reason: Decline, charge_id: str | None) -> ApiError:
    kind = "invalid_request_error" if reason is AUTHENTICATION_FAILED else "card_error"
    details: dict[str, Any] = {"payment_method": public(method)}
    if charge_id is not None:
        details |= {"charge": charge_id, "advice_code": reason.advice}
        intent["latest_charge"] = charge_id
    if reason.decline_code is not None:
        details["decline_code"] = reason.decline_code
    error = ApiError(reason.message, status=402, kind=kind, code=reason.code, keep_effects=True, **details)
    intent |= {"status": "requires_payment_method", "payment_method": None, "next_action": None}
    intent["last_payment_error"] = dict(error.error)
    call.tx.put(intent)
    error.error["payment_intent"] = public(intent)
    return error


def capture(call: Call, intent: Object, amount: int | None) -> Object:
    """Take what was reserved, or a part of it; the rest is released. `amount` is in minor units."""
    if intent["status"] != "requires_capture":
        raise unexpected_state(
            "This PaymentIntent could not be captured because it has a status of"
            f" {intent['status']}. Only a PaymentIntent with one of the following statuses may be captured:"
            " requires_capture.",
            public(intent),
        )
    taken = intent["amount_capturable"] if amount is None else amount
    if not 0 < taken <= intent["amount_capturable"]:
        raise ApiError(
            "The amount_to_capture must be positive and no more than the capturable amount of"
            f" {intent['amount_capturable']}.",
            code="amount_too_large" if taken > 0 else "parameter_invalid_integer",
            param="amount_to_capture",
        )
    charge = call.get("charge", intent["latest_charge"])
    released = charge["amount"] - taken
    charge |= {"captured": True, "amount_captured": taken, "amount_refunded": released}
    book(call, charge)
    intent |= {"status": "succeeded", "amount_received": taken, "amount_capturable": 0}
    call.tx.put(intent)
    call.tx.unschedule(intent["id"], "release_hold")
    emit(call, "charge.captured", charge)
    emit(call, "payment_intent.succeeded", intent)
    for follow in AFTER_CHARGE:
        follow(call, charge)
    return intent


def cancel(call: Call, intent: Object, reason: str | None) -> Object:
    """End an intent that was not paid; a reserved amount is released."""
    if intent["status"] == "requires_capture":
        charge = call.get("charge", intent["latest_charge"])
        charge |= {"refunded": True, "amount_refunded": charge["amount"]}
        call.tx.put(charge)
        call.tx.unschedule(intent["id"], "release_hold")
        emit(call, "charge.expired" if reason == "automatic" else "charge.refunded", charge)
    intent |= {
        "status": "canceled",
        "canceled_at": call.now,
        "cancellation_reason": reason,
        "amount_capturable": 0,
        "next_action": None,
    }
    call.tx.put(intent)
    emit(call, "payment_intent.canceled", intent)
    return intent
