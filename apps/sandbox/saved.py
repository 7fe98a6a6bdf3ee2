"""Methods that a customer keeps: attached, changed, replaced by the card network, detached."""

from __future__ import annotations

import copy
from typing import Any

from apps.sandbox.call import Call
from apps.sandbox.cards import BY_NUMBER
from apps.sandbox.errors import ApiError, invalid
from apps.sandbox.events import changed, emit
from apps.sandbox.methods import card_error
from apps.sandbox.store import Object


def check_usable(method: Object) -> None:
    """Raise ApiError for a method that was detached, or used once without a customer to keep it."""
    if method["customer"] is None and method.get("_used"):
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared"
            " with a connected account without Customer attachment, or was detached from a Customer. It may not be"
            " used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
            "payment_method",
        )


def check_owner(method: Object, customer: str | None, intent: str = "PaymentIntent") -> None:
    """Raise ApiError for a method of a customer other than the intent's."""
    if method["customer"] is not None and method["customer"] != customer:
        raise invalid(
            "The provided PaymentMethod belongs to a Customer. Please include the Customer in the customer parameter"
            f" on the {intent}.",
            "payment_method",
        )


def check_attachable(method: Object, customer: str) -> None:
    """Raise ApiError: 400 for a method that is spent or another's, 402 for a card that its bank refuses."""
    if method["customer"] not in (None, customer):
        raise ApiError("The payment method you provided has already been attached to a customer.")
    if method["customer"] is None and method.get("_used"):
        raise ApiError(
            "This PaymentMethod was previously used without being attached to a Customer or was detached from a"
            " Customer, and may not be used again."
        )
    card = BY_NUMBER.get(method["_number"])
    if card is not None and card.decline is not None and card.attach_decline:
        raise card_error(card.decline.message, card.decline.code, None, card.decline.decline_code)


def attach(call: Call, method: Object, customer: str) -> Object:
    """Keep a method for a customer; one that is kept already stays as it is."""
    if method["customer"] == customer:
        return call.tx.put(method)
    method["customer"] = customer
    call.tx.put(method)
    emit(call, "payment_method.attached", method)
    return method


def after_payment(call: Call, intent: Object, method: Object) -> None:
    """What a payment leaves on its method: kept where the intent says so, else it cannot be used again."""
    future = intent["setup_future_usage"]
    if future == "off_session":
        method["_set_up"] = True
    if method["customer"] is None and (future or intent.get("_redisplay")):
        method["allow_redisplay"] = intent.get("_redisplay") or method["allow_redisplay"]
        keep(call, intent, method)
        return
    if method["customer"] is None:
        method["_used"] = True
    call.tx.put(method)


def keep(call: Call, intent: Object, method: Object) -> None:
    """Attach a method that passed; without a customer it stays free, to be attached later."""
    customer = call.tx.find(intent["customer"] or "", "customer") or {"deleted": True}
    if customer.get("deleted") or method["customer"] is not None:
        call.tx.put(method)
    else:
        attach(call, method, customer["id"])


def detach(call: Call, method: Object) -> Object:
    """Take a method from its customer. It can never be used or attached again."""
    if method["customer"] is None:
        raise ApiError("The payment method you provided is not attached to a customer so detachment is impossible.")
    previous = {"customer": method["customer"]}
    method |= {"customer": None, "_used": True}
    call.tx.put(method)
    emit(call, "payment_method.detached", method, previous)
    _forget_default(call, previous["customer"], method["id"])
    return method


def _forget_default(call: Call, customer_id: str, method_id: str) -> None:
    customer = call.tx.find(customer_id, "customer")
    if customer is not None and customer["invoice_settings"]["default_payment_method"] == method_id:
        customer["invoice_settings"]["default_payment_method"] = None
        call.tx.put(customer)
        emit(call, "customer.updated", customer, {"invoice_settings": {"default_payment_method": method_id}})


def change(call: Call, method: Object, changes: dict[str, Any], event: str = "payment_method.updated") -> Object:
    """Store new values and tell about them."""
    before = copy.deepcopy(method)
    method |= changes
    call.tx.put(method)
    emit(call, event, method, changed(before, method))
    return method


def replace_card(call: Call, method: Object, *, exp_month: int, exp_year: int, last4: str) -> Object:
    """The bank sent the customer a new card and the network passed its details on. It behaves as the old one did."""
    card = method["card"] | {"exp_month": exp_month, "exp_year": exp_year, "last4": last4}
    return change(call, method, {"card": card}, "payment_method.automatically_updated")


def of_customer(call: Call, customer: str) -> list[Object]:
    """Up to a hundred methods that a customer keeps, newest first."""
    return call.tx.page("payment_method", filters={"customer": [customer]}, limit=100)
