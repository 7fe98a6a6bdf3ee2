"""/v1/customers and the methods that belong to one."""

from __future__ import annotations

from typing import Any

from apps.sandbox import customers
from apps.sandbox.api import payment_methods
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import invalid, no_such, unsupported
from apps.sandbox.methods import address
from apps.sandbox.pagination import page
from apps.sandbox.store import Object

URL = "/v1/customers"
COPIED = ("business_name", "description", "email", "individual_name", "name", "phone")
LONGEST = {"business_name": 150, "individual_name": 150, "name": 256}
UNSUPPORTED = (
    "balance",
    "cash_balance",
    "default_source",
    "invoice_prefix",
    "next_invoice_sequence",
    "source",
    "tax",
    "tax_id_data",
    "test_clock",
    "validate",
)


def create(call: Call) -> Object:
    customer = customers.create(call, **_given(call, {}))
    if "payment_method" in call.params:
        payment_methods.attach_to(call, call.params["payment_method"], customer["id"], param="payment_method")
    return customer


def _given(call: Call, old_metadata: dict[str, str]) -> dict[str, Any]:
    """The call's parameters as a customer's fields. Raises ApiError for those that cannot be."""
    params = call.params
    for name in UNSUPPORTED:
        if params.get(name):
            raise unsupported(name)
    given: dict[str, Any] = {name: params[name] or None for name in COPIED if name in params}
    customers.check_email(given.get("email"), "email")
    for name, longest in LONGEST.items():
        if len(given.get(name) or "") > longest:
            raise invalid(f"{name} can have up to {longest} characters.", name)
    if "address" in params:
        given["address"] = address(params["address"]) if params["address"] else None
    if "shipping" in params:
        given["shipping"] = customers.shipping(params["shipping"])
    if "metadata" in params:
        given["metadata"] = merged_metadata(old_metadata, params["metadata"])
    if "preferred_locales" in params:
        given["preferred_locales"] = params["preferred_locales"]
    if "tax_exempt" in params:
        given["tax_exempt"] = params["tax_exempt"] or "none"
    return given


def retrieve(call: Call, customer_id: str) -> Object:
    return call.get("customer", customer_id)


def update(call: Call, customer_id: str) -> Object:
    customer = customers.living(call, customer_id)
    changes = _given(call, customer["metadata"])
    if "invoice_settings" in call.params:
        changes["invoice_settings"] = customer["invoice_settings"] | _invoice_settings(call, customer_id)
    return customers.change(call, customer, changes)


def _invoice_settings(call: Call, customer_id: str) -> dict[str, str | None]:
    """The default method is all of the invoices' settings that matters without invoices."""
    given = call.params["invoice_settings"]
    for name in given:
        if name != "default_payment_method":
            raise unsupported(f"invoice_settings[{name}]")
    method_id = given.get("default_payment_method") or None
    method = call.tx.find(method_id, "payment_method") if method_id else None
    if method_id and (method is None or method["customer"] != customer_id):
        raise invalid(
            f"The customer does not have a payment method with the ID {method_id}. The payment method must be attached"
            " to the customer.",
            "invoice_settings[default_payment_method]",
            "resource_missing",
        )
    return {"default_payment_method": method_id}


def delete(call: Call, customer_id: str) -> Object:
    return customers.delete(call, customers.living(call, customer_id))


def list_all(call: Call) -> Object:
    if "test_clock" in call.params:
        raise unsupported("test_clock")
    filters = {"_living": ["true"]}
    if "email" in call.params:
        filters = {"email": [call.params["email"]], **filters}
    return page(call, "customer", URL, filters)


def methods(call: Call, customer_id: str) -> Object:
    customers.living(call, customer_id)
    return payment_methods.listed_of(call, customer_id, f"{URL}/{customer_id}/payment_methods")


def method(call: Call, customer_id: str, method_id: str) -> Object:
    customers.living(call, customer_id)
    found = call.tx.find(method_id, "payment_method")
    if found is None or found["customer"] != customer_id:
        raise no_such("payment_method", method_id, param="payment_method")
    return found
