"""/v1/payment_pages/{session}: what the official CLI calls to complete a session. Undocumented at Stripe."""

from __future__ import annotations

from apps.sandbox import checkout
from apps.sandbox.call import Call
from apps.sandbox.errors import invalid
from apps.sandbox.methods import resolve
from apps.sandbox.store import Object


def retrieve(call: Call, session_id: str) -> Object:
    return call.get("checkout.session", session_id)


def confirm(call: Call, session_id: str) -> Object:
    """Pay the session with a payment method, as the page's button does."""
    session, params = call.get("checkout.session", session_id), call.params
    if params["expected_amount"] != session["amount_total"]:
        raise invalid(
            f"The expected amount {params['expected_amount']} is not the session's total {session['amount_total']}.",
            "expected_amount",
        )
    return checkout.pay(call, session, resolve(call, params["payment_method"]))
