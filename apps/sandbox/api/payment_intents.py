"""/v1/payment_intents. Amounts are in minor units."""

from __future__ import annotations

from typing import Any

from apps.sandbox import checkout, customers, payments, saved
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import ApiError, invalid, unexpected_state, unsupported
from apps.sandbox.methods import resolve
from apps.sandbox.money import check_charge, currency
from apps.sandbox.pagination import page
from apps.sandbox.store import Object, public

URL = "/v1/payment_intents"
UNSUPPORTED = (
    "amount_details",
    "application_fee_amount",
    "confirmation_token",
    "customer_account",
    "error_on_requires_action",
    "hooks",
    "on_behalf_of",
    "payment_method_data",
    "payment_method_options",
    "transfer_data",
)
COPIED = ("customer", "description", "receipt_email", "setup_future_usage", "statement_descriptor_suffix")


def create(call: Call) -> Object:
    params = call.params
    _refuse_unsupported(params)
    code = currency(params["currency"])
    check_charge(params["amount"], code)
    given: dict[str, Any] = {name: params[name] or None for name in COPIED if name in params}
    if given.get("customer"):
        customers.living(call, given["customer"], param="customer")
    for name in ("capture_method", "confirmation_method"):
        if name in params:
            given[name] = params[name]
    given["metadata"] = merged_metadata({}, params.get("metadata") or {})
    given["shipping"] = checkout.shipping_details(params.get("shipping"))
    given["payment_method_types"] = _types(params, code)
    if "payment_method_types" not in params:
        automatic = params.get("automatic_payment_methods", {"enabled": True})
        given["automatic_payment_methods"] = {"allow_redirects": "always"} | automatic
    method = resolve(call, params["payment_method"]) if "payment_method" in params else None
    if params.get("confirm") and method is None:
        raise _method_missing()
    if method is not None:
        saved.check_owner(method, given.get("customer"))
        given |= {"payment_method": method["id"], "status": "requires_confirmation"}
    intent = payments.new_intent(call, amount=params["amount"], currency=code, **given)
    if not params.get("confirm"):
        return intent
    return _confirm(call, intent, method)


def _refuse_unsupported(params: dict[str, Any]) -> None:
    for name in UNSUPPORTED:
        if params.get(name):
            raise unsupported(name)
    if params.get("off_session") and not params.get("confirm"):
        raise invalid("off_session can only be used with confirm=true.", "off_session")


def _types(params: dict[str, Any], code: str) -> list[str]:
    if params.get("payment_method_types"):
        return payments.checked_types(params["payment_method_types"], code)
    allowed = params.get("allowed_payment_method_types") or ["card", "sepa_debit"]
    refused = params.get("excluded_payment_method_types") or []
    return [kind for kind in payments.default_types(code) if kind in allowed and kind not in refused] or ["card"]


def _method_missing() -> ApiError:
    return ApiError(
        "You cannot confirm this PaymentIntent because it's missing a payment method. Update the PaymentIntent with"
        " a payment method and then confirm it again.",
        code="payment_intent_unexpected_state",
    )


def _confirm(call: Call, intent: Object, method: Object | None) -> Object:
    if method is None:
        raise _method_missing()
    params = call.params
    return payments.confirm(
        call,
        intent,
        method,
        off_session=bool(params.get("off_session")),
        return_url=params.get("return_url"),
    )


def _own(call: Call, intent_id: str, verb: str) -> Object:
    """An intent that the caller may change: not one that a Checkout Session controls."""
    intent = call.get("payment_intent", intent_id)
    if intent.get("_session") is not None and not (verb == "cancel" and intent["status"] == "requires_capture"):
        raise ApiError(f"You cannot {verb} this PaymentIntent because it is managed by a Checkout Session.")
    return intent


def retrieve(call: Call, intent_id: str) -> Object:
    intent = call.get("payment_intent", intent_id)
    if "client_secret" in call.params and call.params["client_secret"] != intent["client_secret"]:
        raise invalid("The client_secret provided does not match this PaymentIntent.", "client_secret")
    return intent


def update(call: Call, intent_id: str) -> Object:
    intent, params = call.get("payment_intent", intent_id), call.params
    _refuse_unsupported({k: v for k, v in params.items() if k != "off_session"})
    changes: dict[str, Any] = {name: params[name] or None for name in COPIED if name in params}
    if changes.get("customer"):
        customers.living(call, changes["customer"], param="customer")
    if "metadata" in params:
        changes["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    if "shipping" in params:
        changes["shipping"] = checkout.shipping_details(params["shipping"] or None)
    rest = set(params) - set(COPIED) - {"metadata", "shipping", "expand"}
    if rest and intent["status"] not in payments.CONFIRMABLE:
        raise unexpected_state(
            f"This PaymentIntent's {sorted(rest)[0]} could not be updated because it has a status of"
            f" {intent['status']}. You may only update a PaymentIntent with one of the following statuses:"
            f" {', '.join(payments.CONFIRMABLE)}.",
            public(intent),
        )
    if rest:
        _own(call, intent_id, "update")
    if {"amount", "currency"} & rest:
        changes["currency"] = code = currency(str(params.get("currency", intent["currency"])))
        changes["amount"] = params.get("amount", intent["amount"])
        check_charge(changes["amount"], code)
    if "capture_method" in params:
        changes["capture_method"] = params["capture_method"]
    if params.get("payment_method"):
        method = resolve(call, params["payment_method"])
        saved.check_owner(method, changes.get("customer", intent["customer"]))
        changes |= {"payment_method": method["id"], "status": "requires_confirmation", "last_payment_error": None}
    intent |= changes
    return call.tx.put(intent)


def confirm(call: Call, intent_id: str) -> Object:
    intent, params = _own(call, intent_id, "confirm"), call.params
    _refuse_unsupported({k: v for k, v in params.items() if k != "off_session"})
    if intent["status"] not in payments.CONFIRMABLE:
        done = "already succeeded" if intent["status"] == "succeeded" else f"a status of {intent['status']}"
        raise unexpected_state(
            f"You cannot confirm this PaymentIntent because it has {done}.",
            public(intent),
        )
    method_id = params.get("payment_method") or intent["payment_method"]
    method = resolve(call, method_id) if method_id else None
    if method is not None:
        saved.check_owner(method, intent["customer"])
    for name in ("capture_method", "receipt_email", "setup_future_usage"):
        if name in params:
            intent[name] = params[name] or None
    if params.get("shipping"):
        intent["shipping"] = checkout.shipping_details(params["shipping"])
    return _confirm(call, intent, method)


def capture(call: Call, intent_id: str) -> Object:
    intent = call.get("payment_intent", intent_id)
    if "metadata" in call.params:
        intent["metadata"] = merged_metadata(intent["metadata"], call.params["metadata"])
    captured = payments.capture(call, intent, call.params.get("amount_to_capture"))
    session = checkout.session_of(call, intent)
    if session is not None and session["payment_status"] == "unpaid":
        call.tx.put(session | {"payment_status": "paid"})
    return captured


def cancel(call: Call, intent_id: str) -> Object:
    intent = _own(call, intent_id, "cancel")
    if intent["status"] not in payments.CANCELABLE:
        raise unexpected_state(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent"
            " with one of the following statuses may be canceled: requires_payment_method, requires_capture,"
            " requires_confirmation, requires_action.",
            public(intent),
        )
    return payments.cancel(call, intent, call.params.get("cancellation_reason"))


def list_all(call: Call) -> Object:
    filters = {"customer": [call.params["customer"]]} if "customer" in call.params else {}
    return page(call, "payment_intent", URL, filters)
