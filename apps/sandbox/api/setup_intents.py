"""/v1/setup_intents and /v1/setup_attempts."""

from __future__ import annotations

from typing import Any

from apps.sandbox import customers, payments, saved, setups
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import ApiError, invalid, missing, unexpected_state, unsupported
from apps.sandbox.methods import resolve
from apps.sandbox.pagination import page
from apps.sandbox.store import Object, public

URL = "/v1/setup_intents"
KINDS = ("card", "sepa_debit")
UNSUPPORTED = (
    "attach_to_self",
    "confirmation_token",
    "customer_account",
    "flow_directions",
    "on_behalf_of",
    "payment_method_configuration",
    "payment_method_data",
    "payment_method_options",
    "single_use",
)


def create(call: Call) -> Object:
    params = call.params
    _refuse_unsupported(params)
    if "return_url" in params and not params.get("confirm"):
        raise invalid("return_url can only be used with confirm=true.", "return_url")
    given: dict[str, Any] = {name: params[name] or None for name in ("customer", "description") if name in params}
    if given.get("customer"):
        customers.living(call, given["customer"], param="customer")
    given["metadata"] = merged_metadata({}, params.get("metadata") or {})
    if "usage" in params:
        given["usage"] = params["usage"]
    if "payment_method_types" not in params:
        automatic = params.get("automatic_payment_methods", {"enabled": True})
        given["automatic_payment_methods"] = {"allow_redirects": "always"} | automatic
    method = resolve(call, params["payment_method"]) if "payment_method" in params else None
    if method is not None:
        saved.check_owner(method, given.get("customer"), "SetupIntent")
        given |= {"payment_method": method["id"], "status": "requires_confirmation"}
    elif params.get("confirm"):
        raise _method_missing()
    intent = setups.new_intent(call, _types(params), **given)
    if method is None or not params.get("confirm"):
        return intent
    return setups.confirm(call, intent, method, return_url=params.get("return_url"))


def _refuse_unsupported(params: dict[str, Any]) -> None:
    for name in UNSUPPORTED:
        if params.get(name):
            raise unsupported(name)


def _types(params: dict[str, Any]) -> list[str]:
    """Cards, unless the caller asks for debits by name: without a currency no debit suggests itself."""
    if params.get("payment_method_types"):
        return payments.checked_types(params["payment_method_types"], "eur")
    allowed = params.get("allowed_payment_method_types") or ["card"]
    refused = params.get("excluded_payment_method_types") or []
    kinds = [kind for kind in KINDS if kind in allowed and kind not in refused]
    if not kinds:
        raise invalid("No valid payment method types for this SetupIntent.", "allowed_payment_method_types")
    return kinds


def _method_missing() -> ApiError:
    return ApiError(
        "You cannot confirm this SetupIntent because it's missing a payment method. Update the SetupIntent with a"
        " payment method and then confirm it again.",
        code="setup_intent_unexpected_state",
    )


def retrieve(call: Call, intent_id: str) -> Object:
    intent = call.get("setup_intent", intent_id)
    if "client_secret" in call.params and call.params["client_secret"] != intent["client_secret"]:
        raise invalid("The client_secret provided does not match this SetupIntent.", "client_secret")
    return intent


def update(call: Call, intent_id: str) -> Object:
    intent, params = call.get("setup_intent", intent_id), call.params
    _refuse_unsupported(params)
    for name in ("allowed_payment_method_types", "excluded_payment_method_types"):
        if name in params:
            raise unsupported(name)
    changes: dict[str, Any] = {name: params[name] or None for name in ("customer", "description") if name in params}
    if "metadata" in params:
        changes["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    if {"customer", "payment_method"} & set(params):
        _require_open(intent, "update")
    if changes.get("customer"):
        customers.living(call, changes["customer"], param="customer")
    if params.get("payment_method"):
        method = resolve(call, params["payment_method"])
        saved.check_owner(method, changes.get("customer", intent["customer"]), "SetupIntent")
        changes |= {"payment_method": method["id"], "status": "requires_confirmation", "last_setup_error": None}
    return call.tx.put(intent | changes)


def _require_open(intent: Object, verb: str) -> None:
    if intent["status"] not in setups.CONFIRMABLE:
        raise unexpected_state(
            f"You cannot {verb} this SetupIntent because it has a status of {intent['status']}.", public(intent)
        )


def confirm(call: Call, intent_id: str) -> Object:
    intent, params = call.get("setup_intent", intent_id), call.params
    _refuse_unsupported(params)
    _require_open(intent, "confirm")
    method_id = params.get("payment_method") or intent["payment_method"]
    if not method_id:
        raise _method_missing()
    method = resolve(call, method_id)
    saved.check_owner(method, intent["customer"], "SetupIntent")
    return setups.confirm(call, intent, method, return_url=params.get("return_url"))


def cancel(call: Call, intent_id: str) -> Object:
    intent = call.get("setup_intent", intent_id)
    _require_open(intent, "cancel")
    return setups.cancel(call, intent, call.params.get("cancellation_reason"))


def list_all(call: Call) -> Object:
    filters: dict[str, list[str]] = {
        name: [call.params[name]] for name in ("customer", "payment_method") if name in call.params
    }
    return page(call, "setup_intent", URL, filters)


def attempts(call: Call) -> Object:
    if "setup_intent" not in call.params:
        raise missing("setup_intent")
    intent = call.get("setup_intent", call.params["setup_intent"], param="setup_intent")
    return page(call, "setup_attempt", "/v1/setup_attempts", {"setup_intent": [intent["id"]]})
