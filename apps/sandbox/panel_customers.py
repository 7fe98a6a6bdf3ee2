"""The panel's customers, the methods that they keep and the set-ups that brought them, with their buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.sandbox import card_actions, saved
from apps.sandbox.call import Call
from apps.sandbox.runtime import Sandbox
from apps.sandbox.store import Object, Transaction

SHOWN_CUSTOMERS, SHOWN_SETUPS = 10, 10
TONES = {"succeeded": "complete", "requires_action": "waiting", "canceled": ""}


def rows(tx: Transaction) -> list[dict[str, Any]]:
    """The newest customers, each with the methods that it keeps."""
    found = tx.page("customer", filters={"_living": ["true"]}, limit=SHOWN_CUSTOMERS)
    return [
        {
            "id": customer["id"],
            "name": customer["email"] or customer["name"] or "No email",
            "created": customer["created"],
            "methods": [_method(m) for m in tx.page("payment_method", filters={"customer": [customer["id"]]})],
        }
        for customer in found
    ]


def _method(method: Object) -> dict[str, Any]:
    details = method[method["type"]]
    return {
        "id": method["id"],
        "label": f"{details.get('brand', 'SEPA')} ·{details['last4']}",
        "expiry": f"{details['exp_month']:02}/{details['exp_year'] % 100:02}" if "exp_month" in details else "",
        "shown": method["allow_redisplay"],
        "card": method["type"] == "card",
    }


def setups(tx: Transaction) -> list[dict[str, Any]]:
    """The newest set-ups."""
    return [
        {
            "id": intent["id"],
            "created": intent["created"],
            "customer": intent["customer"] or "no customer",
            "status": intent["status"].replace("_", " "),
            "tone": "bad" if intent["last_setup_error"] else TONES.get(intent["status"], "open"),
            "waits": intent["status"] == "requires_action",
        }
        for intent in tx.page("setup_intent", limit=SHOWN_SETUPS)
    ]


def _replace(sandbox: Sandbox, form: dict[str, str]) -> str:
    card = card_actions.replace_card(sandbox, form["payment_method"])["payment_method"]["card"]
    return f"The bank has sent a new card: ·{card['last4']}, {card['exp_month']:02}/{card['exp_year'] % 100:02}."


def _detach(sandbox: Sandbox, form: dict[str, str]) -> str:
    def detach(call: Call) -> Object:
        return saved.detach(call, call.get("payment_method", form["payment_method"]))

    sandbox.run(detach)
    return "The method is detached, as from the Dashboard."


def _check(sandbox: Sandbox, form: dict[str, str]) -> str:
    passed = form.get("passed") == "yes"
    intent = card_actions.authenticate_intent(sandbox, form["setup_intent"], passed)["intent"]
    return f"The set-up is answered: {intent['status'].replace('_', ' ')}."


BUTTONS: dict[str, Callable[[Sandbox, dict[str, str]], str]] = {
    "replace": _replace,
    "detach": _detach,
    "check": _check,
}
