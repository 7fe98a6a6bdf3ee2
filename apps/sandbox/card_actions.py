"""What banks and card networks do to cards, for `/_control/` and the control panel alike."""

from __future__ import annotations

from typing import Any

from apps.sandbox import methods, saved
from apps.sandbox.actions import Refused
from apps.sandbox.call import Call
from apps.sandbox.errors import ApiError
from apps.sandbox.pages import authenticate
from apps.sandbox.runtime import Sandbox
from apps.sandbox.store import Object, public

NEW_LAST4, NEW_YEARS = "1881", 4  # of a card that replaces another


def authenticate_intent(sandbox: Sandbox, intent_id: str, passed: bool = True) -> dict[str, Any]:
    """Answer the 3-D Secure page of an intent that the API or Stripe.js confirmed. The refusal is in the intent."""

    def answer(call: Call) -> Object:
        return authenticate.answer(call, intent_id, bool(passed))

    try:
        sandbox.run(answer)
    except ApiError as error:
        if not error.keep_effects:
            raise
    with sandbox.store.read() as tx:
        return {"intent": public(authenticate.find(tx, intent_id) or {})}


def replace_card(
    sandbox: Sandbox,
    method_id: str,
    exp_month: int | None = None,
    exp_year: int | None = None,
    last4: str = NEW_LAST4,
) -> dict[str, Any]:
    """The bank sends a customer a new card and the network tells Stripe: payment_method.automatically_updated.

    Without values the new card is good for four more years.
    """

    def replace(call: Call) -> Object:
        method = call.get("payment_method", method_id)
        if method["type"] != "card" or method["customer"] is None:
            raise Refused("Only a customer's saved card is replaced.", status=409)
        month = int(exp_month or method["card"]["exp_month"])
        year = int(exp_year or method["card"]["exp_year"] + NEW_YEARS)
        methods.check_expiry(month, year)
        if not (str(last4).isascii() and str(last4).isdigit() and len(str(last4)) == 4):
            raise Refused("last4 must be four digits.")
        return public(saved.replace_card(call, method, exp_month=month, exp_year=year, last4=str(last4)))

    return {"payment_method": sandbox.run(replace)}
