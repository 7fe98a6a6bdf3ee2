"""/v1/payment_methods: cards by number or token, SEPA debits by IBAN, and the customers that keep them."""

from __future__ import annotations

from typing import Any

from apps.sandbox import customers, saved
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.cards import BY_ID
from apps.sandbox.errors import ApiError, invalid, missing, unsupported
from apps.sandbox.methods import check_card, check_expiry, from_card, from_iban, merged_billing, resolve
from apps.sandbox.pagination import page
from apps.sandbox.store import Object

URL = "/v1/payment_methods"


def create(call: Call) -> Object:
    params = call.params
    common: dict[str, Any] = {
        "billing_details": params.get("billing_details"),
        "metadata": params.get("metadata") or {},
        "allow_redisplay": params.get("allow_redisplay", "unspecified"),
    }
    if params.get("type") == "card":
        return _card(call, params.get("card"), common)
    if params.get("type") == "sepa_debit":
        if "sepa_debit" not in params:
            raise missing("sepa_debit")
        return from_iban(call, params["sepa_debit"]["iban"], **common)
    if "type" not in params:
        raise missing("type")
    raise ApiError(f"The sandbox does not support type={params['type']}.", code="sandbox_unsupported", param="type")


def _card(call: Call, given: dict[str, Any] | None, common: dict[str, Any]) -> Object:
    if given is None:
        raise missing("card")
    if "token" in given:
        card = BY_ID.get(given["token"])
        if card is None:
            raise invalid(f"No such token: '{given['token']}'", "card[token]", "resource_missing")
        return from_card(call, card, **common)
    for name in ("number", "exp_month", "exp_year"):
        if name not in given:
            raise missing(f"card[{name}]")
    month, year, cvc = given["exp_month"], given["exp_year"], given.get("cvc")
    card = check_card(given["number"], month, year, cvc)
    return from_card(call, card, exp_month=month, exp_year=year, cvc_given=cvc is not None, **common)


def retrieve(call: Call, method_id: str) -> Object:
    return call.get("payment_method", method_id)


def update(call: Call, method_id: str) -> Object:
    """A shared test id such as `pm_card_visa` stands for a new method, here as everywhere."""
    params = call.params
    if "us_bank_account" in params:
        raise unsupported("us_bank_account")
    method = resolve(call, method_id, param=None)
    changes: dict[str, Any] = {}
    if "metadata" in params:
        changes["metadata"] = merged_metadata(method["metadata"], params["metadata"])
    if "billing_details" in params:
        changes["billing_details"] = merged_billing(method["billing_details"], params["billing_details"])
    if "allow_redisplay" in params:
        changes["allow_redisplay"] = params["allow_redisplay"]
    if "card" in params:
        changes["card"] = _new_card(method, params["card"])
    return saved.change(call, method, changes)


def _new_card(method: Object, given: dict[str, Any]) -> Object:
    if "networks" in given:
        raise unsupported("card[networks]")
    if method["type"] != "card":
        raise invalid("You can only update card details of a card.", "card")
    card: Object = method["card"] | given
    check_expiry(card["exp_month"], card["exp_year"])
    return card


def attach(call: Call, method_id: str) -> Object:
    if "customer" not in call.params:
        raise missing("customer")
    customer = customers.living(call, call.params["customer"], param="customer")
    return attach_to(call, method_id, customer["id"])


def attach_to(call: Call, method_id: str, customer: str, *, param: str | None = None) -> Object:
    """Attach a method, or a new one for a shared test id such as `pm_card_visa`."""
    method = resolve(call, method_id, param=param)
    saved.check_attachable(method, customer)
    return saved.attach(call, method, customer)


def detach(call: Call, method_id: str) -> Object:
    return saved.detach(call, call.get("payment_method", method_id))


def list_all(call: Call) -> Object:
    if "customer" not in call.params:
        raise missing("customer")
    customer = customers.living(call, call.params["customer"], param="customer")
    return listed_of(call, customer["id"], URL)


def listed_of(call: Call, customer: str, url: str) -> Object:
    """One page of a customer's methods by the call's `type`, `allow_redisplay` and cursors."""
    filters = {"customer": [customer]}
    filters |= {name: [call.params[name]] for name in ("type", "allow_redisplay") if name in call.params}
    return page(call, "payment_method", url, filters)
