"""The life of a Checkout Session: open, then complete or expired. Amounts are in minor units."""

from __future__ import annotations

from typing import Any

from apps.sandbox import buyers, payments, saved
from apps.sandbox.call import Call
from apps.sandbox.errors import ApiError
from apps.sandbox.events import emit
from apps.sandbox.methods import address
from apps.sandbox.store import Object, public


def pay(
    call: Call,
    session: Object,
    method: Object | None,
    *,
    email: str | None = None,
    shipping: dict[str, Any] | None = None,
    phone: str | None = None,
    return_url: str | None = None,
    save: bool = False,
) -> Object:
    """What the pay button does; the session afterwards. `method` is None when there is nothing to pay.

    `save`: the buyer wants the method kept for later. The session stays open when the card asks for 3-D Secure: its
    intent is then in requires_action.
    Raises ApiError: 402 for a decline, which leaves the session open for another try.
    """
    require_open(session)
    if save:
        buyers.require_offered_save(session)
    if method is not None:
        saved.check_owner(method, session["customer"])
    buyers.remember(call, session, method, email=email, shipping=shipping, phone=phone)
    if session["amount_total"] == 0:
        session["payment_status"] = "no_payment_required"
        return complete(call, session)
    if method is None:
        raise ApiError("A payment method is needed.", code="parameter_missing", param="payment_method")
    if method["type"] not in session["payment_method_types"]:
        raise ApiError(f"This session does not take {method['type']}.", param="payment_method")
    intent = _intent(call, session)
    intent["_redisplay"] = buyers.redisplay(session, save)
    call.tx.put(session)
    payments.confirm(
        call,
        intent,
        method,
        return_url=return_url,
        on_charged=lambda charge: _charged(call, session, charge),
    )
    return session


def authenticated(call: Call, session: Object, intent: Object) -> Object:
    """The buyer passed 3-D Secure: charge the card that waits. Raises ApiError 402 when it is declined."""
    require_open(session)
    method = call.get("payment_method", intent["payment_method"])
    payments.confirm(
        call, intent, method, authenticated=True, on_charged=lambda charge: _charged(call, session, charge)
    )
    return session


def _charged(call: Call, session: Object, charge: Object) -> None:
    session["payment_status"] = "paid" if charge["status"] == "succeeded" and charge["captured"] else "unpaid"
    complete(call, session)


def complete(call: Call, session: Object) -> Object:
    session |= {"status": "complete", "url": None}
    call.tx.put(session)
    buyers.update_customer(call, session)
    call.tx.unschedule(session["id"], "expire_session")
    emit(call, "checkout.session.completed", session)
    return session


def settled(call: Call, session: Object, went_through: bool) -> None:
    """The bank's answer to a debit that completed this session before."""
    if went_through:
        session["payment_status"] = "paid"
        call.tx.put(session)
    outcome = "succeeded" if went_through else "failed"
    emit(call, f"checkout.session.async_payment_{outcome}", session)


def expire(call: Call, session: Object) -> Object:
    """Close an open session for good, and the intent that a failed try may have left."""
    session |= {"status": "expired", "url": None}
    call.tx.put(session)
    call.tx.unschedule(session["id"], "expire_session")
    emit(call, "checkout.session.expired", session)
    intent = call.tx.find(session["payment_intent"] or "", "payment_intent")
    if intent is not None and intent["status"] in payments.CANCELABLE:
        payments.cancel(call, intent, "expired")
    return session


def refresh(call: Call, session: Object) -> Object:
    """The session, expired if its time has come and the background work has not got to it yet."""
    if session["status"] == "open" and session["expires_at"] <= call.now:
        return expire(call, session)
    return session


def require_open(session: Object) -> None:
    if session["status"] != "open":
        raise ApiError(f"This Checkout Session is {session['status']}: it cannot be paid.", param="session")


def _intent(call: Call, session: Object) -> Object:
    """The session's intent; it is made when the buyer first presses the button."""
    if session["payment_intent"] is not None:
        return call.get("payment_intent", session["payment_intent"])
    data = session["_intent_data"]
    shipping = data.get("shipping")
    collected = (session["collected_information"] or {}).get("shipping_details")
    intent = payments.new_intent(
        call,
        amount=session["amount_total"],
        currency=session["currency"],
        payment_method_types=list(session["payment_method_types"]),
        capture_method=data.get("capture_method", "automatic_async"),
        customer=session["customer"],
        description=data.get("description"),
        metadata=data.get("metadata", {}),
        receipt_email=data.get("receipt_email"),
        setup_future_usage=data.get("setup_future_usage"),
        shipping=shipping_details(shipping or collected),
        statement_descriptor=data.get("statement_descriptor"),
        statement_descriptor_suffix=data.get("statement_descriptor_suffix"),
        _session=session["id"],
    )
    session["payment_intent"] = intent["id"]
    return intent


def shipping_details(given: dict[str, Any] | None) -> Object | None:
    """`shipping` of an intent or charge."""
    if not given:
        return None
    return {
        "address": address(given.get("address")),
        "carrier": given.get("carrier"),
        "name": given.get("name"),
        "phone": given.get("phone"),
        "tracking_number": given.get("tracking_number"),
    }


def session_of(call: Call, intent: Object) -> Object | None:
    """The session that an intent collects the money for, if any."""
    return call.tx.find(intent.get("_session") or "", "checkout.session")


def lines(call: Call, session: Object) -> list[Object]:
    """The session's lines in the order they were given."""
    rows = call.tx.page("item", filters={"_session": [session["id"]]}, limit=100)
    return [public(row) for row in rows[::-1]]
