"""/v1/payment_methods, as far as paying needs it: cards by number or token, SEPA debits by IBAN."""

from __future__ import annotations

from typing import Any

from apps.sandbox.call import Call
from apps.sandbox.cards import BY_ID
from apps.sandbox.errors import ApiError, invalid, missing
from apps.sandbox.methods import check_card, from_card, from_iban
from apps.sandbox.store import Object


def create(call: Call) -> Object:
    params = call.params
    common: dict[str, Any] = {
        "billing_details": params.get("billing_details"),
        "metadata": params.get("metadata") or {},
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
