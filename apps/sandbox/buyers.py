"""The buyer of a session: the customer that is known, the cards the page offers, what paying leaves behind."""

from __future__ import annotations

from typing import Any

from apps.sandbox import customers, saved
from apps.sandbox.call import Call
from apps.sandbox.errors import ApiError, invalid
from apps.sandbox.methods import address
from apps.sandbox.store import Object

NEEDS_CUSTOMER = "can only be used with customer."


def check_options(params: dict[str, Any]) -> None:
    """Raise ApiError for what a new session asks about customers and cannot have."""
    known = "customer" in params
    if known and "customer_creation" in params:
        raise invalid("You may only specify one of these parameters: customer, customer_creation.", "customer_creation")
    if not known and params.get("customer_update"):
        raise invalid(f"customer_update {NEEDS_CUSTOMER}", "customer_update")
    options = params.get("saved_payment_method_options", {})
    created = params.get("customer_creation") == "always"
    if not known and not created and "enabled" in options.values():
        raise invalid(f"saved_payment_method_options {NEEDS_CUSTOMER}", "saved_payment_method_options")


def saved_method_options(params: dict[str, Any]) -> Object | None:
    """`saved_payment_method_options` of a new session."""
    given = params.get("saved_payment_method_options")
    if given is None and "customer" not in params:
        return None
    defaults = {"allow_redisplay_filters": ["always"], "payment_method_remove": None, "payment_method_save": None}
    return defaults | (given or {})


def option(session: Object, name: str) -> bool:
    """Whether a switch of `saved_payment_method_options` is on."""
    return (session["saved_payment_method_options"] or {}).get(name) == "enabled"


def customer_of(call: Call, session: Object) -> Object | None:
    customer = call.tx.find(session["customer"] or "", "customer")
    return None if customer is None or customer.get("deleted") else customer


def fixed_email(call: Call, session: Object) -> str | None:
    """The address that the page shows and does not let the buyer change."""
    customer = customer_of(call, session)
    email: str | None = session["customer_email"] or (customer or {}).get("email")
    return email


def offered(call: Call, session: Object) -> list[Object]:
    """The customer's saved cards that the page may show, newest first."""
    customer, options = customer_of(call, session), session["saved_payment_method_options"]
    if customer is None or options is None or "card" not in session["payment_method_types"]:
        return []
    kept = saved.of_customer(call, customer["id"])
    return [m for m in kept if m["type"] == "card" and m["allow_redisplay"] in options["allow_redisplay_filters"]]


def redisplay(session: Object, save: bool) -> str | None:
    """How a method that this payment keeps may be shown again; None when it is not kept.

    The customer's own wish counts as consent to see the card again, the shop's `setup_future_usage` does not.
    """
    if save:
        return "always"
    return "limited" if session["_intent_data"].get("setup_future_usage") else None


def require_offered_save(session: Object) -> None:
    if not option(session, "payment_method_save"):
        raise ApiError("This Checkout Session does not offer to save the payment method.", param="save")


def remember(
    call: Call,
    session: Object,
    method: Object | None,
    *,
    email: str | None,
    shipping: dict[str, Any] | None,
    phone: str | None,
) -> None:
    """Fill `customer_details` and `collected_information` from what was typed, and make the customer if wanted."""
    billing = method["billing_details"] if method else {"address": None, "name": None, "email": None, "phone": None}
    name = billing["name"] or (shipping or {}).get("name") or (customer_of(call, session) or {}).get("name")
    session["customer_details"] = {
        "address": address(billing["address"]),
        "business_name": None,
        "email": fixed_email(call, session) or email or billing["email"],
        "individual_name": None,
        "name": name,
        "phone": phone or billing["phone"],
        "tax_exempt": "none",
        "tax_ids": [],
    }
    if shipping is not None:
        session["collected_information"] = {
            "business_name": None,
            "individual_name": None,
            "shipping_details": {
                "address": address(shipping.get("address")),
                "name": shipping.get("name") or name or "",
            },
        }
    if session["customer_creation"] == "always" and session["customer"] is None:
        details = session["customer_details"]
        known = {key: details[key] for key in ("address", "email", "name", "phone")}
        session["customer"] = customers.create(call, **known)["id"]


def update_customer(call: Call, session: Object) -> None:
    """Copy what was typed to the customer, as far as `customer_update` wants it; a missing email in any case."""
    customer, details = customer_of(call, session), session["customer_details"]
    if customer is None:
        return
    wanted = {name for name, choice in session["_customer_update"].items() if choice == "auto"}
    changes: dict[str, Any] = {name: details[name] for name in ("address", "name") if name in wanted}
    collected = (session["collected_information"] or {}).get("shipping_details")
    if "shipping" in wanted and collected:
        changes["shipping"] = customers.shipping(collected)
    if customer["email"] is None:
        changes["email"] = details["email"]
    changes = {name: value for name, value in changes.items() if value != customer[name]}
    if changes:
        customers.change(call, customer, changes)
