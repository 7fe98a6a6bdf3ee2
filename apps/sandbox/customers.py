"""Customers: made, changed, deleted."""

from __future__ import annotations

import copy
import re
from typing import Any

from apps.sandbox import errors, ids, saved
from apps.sandbox.call import Call
from apps.sandbox.events import changed, emit
from apps.sandbox.methods import address
from apps.sandbox.store import Object

EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


def check_email(email: str | None, param: str) -> None:
    if email is not None and (len(email) > 512 or EMAIL.fullmatch(email) is None):
        raise errors.invalid(f"Invalid email address: {email[:100]}", param, "email_invalid")


def create(call: Call, **given: Any) -> Object:
    """Store a new customer and tell about it. `given` overrides Stripe's defaults."""
    customer: Object = {
        "id": ids.new("customer"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "business_name": None,
        "created": call.now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "individual_name": None,
        "invoice_prefix": ids.text(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **given,
        "_living": True,
    }
    call.tx.put(customer)
    emit(call, "customer.created", customer)
    return customer


def living(call: Call, customer_id: str, *, param: str | None = None) -> Object:
    """A customer that was not deleted. Raises 404 for an id of the path, 400 for one named by a parameter."""
    customer = call.get("customer", customer_id, param=param)
    if customer.get("deleted"):
        raise errors.no_such("customer", customer_id, param=param or "id", status=400 if param else 404)
    return customer


def change(call: Call, customer: Object, changes: dict[str, Any]) -> Object:
    """Store new values and tell about them."""
    before = copy.deepcopy(customer)
    customer |= changes
    call.tx.put(customer)
    emit(call, "customer.updated", customer, changed(before, customer))
    return customer


def delete(call: Call, customer: Object) -> Object:
    """Forget a customer for good; what is left says no more than that. The methods are detached."""
    while methods := saved.of_customer(call, customer["id"]):
        for method in methods:
            saved.detach(call, method)
    emit(call, "customer.deleted", customer)
    return call.tx.put({"id": customer["id"], "object": "customer", "deleted": True})


def shipping(given: dict[str, Any] | str | None) -> Object | None:
    """A customer's `shipping`."""
    if not isinstance(given, dict):
        return None
    return {
        "address": address(given.get("address")),
        "name": given.get("name") or "",
        "phone": given.get("phone") or None,
    }
