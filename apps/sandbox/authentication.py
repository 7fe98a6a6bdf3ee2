"""3-D Secure: which payments and set-ups the bank wants confirmed, and where the buyer does that."""

from __future__ import annotations

from apps.sandbox.call import Call
from apps.sandbox.cards import Card
from apps.sandbox.store import Object


def wanted_for_payment(card: Card, method: Object, *, off_session: bool) -> bool:
    if card.authentication == "unless_set_up":
        return not (off_session and method.get("_set_up"))
    return card.authentication == "required" or (card.authentication == "on_session" and not off_session)


def wanted_for_setup(card: Card) -> bool:
    return card.authentication in ("required", "unless_set_up")


def next_action(call: Call, intent: Object, return_url: str | None) -> Object:
    """`next_action` of an intent that waits for the bank's check."""
    page = f"{call.base_url}/authenticate/{intent['id']}"
    if return_url:
        return {"redirect_to_url": {"return_url": return_url, "url": page}, "type": "redirect_to_url"}
    sdk = {"type": "three_d_secure_redirect", "stripe_js": page, "source": intent["payment_method"]}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": sdk}
