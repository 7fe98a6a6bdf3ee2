"""/v1/prices: one-time prices. Amounts are in minor units, `unit_amount_decimal` may have twelve decimals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.sandbox import ids
from apps.sandbox.api import products
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import invalid, missing, unsupported
from apps.sandbox.events import emit
from apps.sandbox.money import check_precision, currency
from apps.sandbox.pagination import page
from apps.sandbox.store import Object, key_text

UNSUPPORTED = ("recurring", "tiers", "tiers_mode", "transform_quantity", "custom_unit_amount", "currency_options")


def build(call: Call, given: dict[str, Any], product_id: str, *, path: str = "", **changes: Any) -> Object:
    """A price from a price's or line's parameters; not stored. `path` is where they stand in the call."""

    def at(name: str) -> str:
        return f"{path}[{name}]" if path else name

    for name in UNSUPPORTED:
        if given.get(name):
            raise unsupported(at(name))
    amount, exact = given.get("unit_amount"), given.get("unit_amount_decimal")
    if (amount is None) == (exact is None):
        if amount is None:
            raise missing(at("unit_amount"))
        raise invalid("You may only specify one of unit_amount and unit_amount_decimal.", at("unit_amount"))
    value = Decimal(amount) if amount is not None else Decimal(str(exact))
    if value < 0:
        raise invalid("Invalid non-negative integer", at("unit_amount"), "parameter_invalid_integer")
    code = currency(given["currency"], at("currency"))
    whole = int(value) if value == int(value) else None
    if whole is not None:
        check_precision(whole, code, param=at("unit_amount"))
    return {
        "id": ids.new("price"),
        "object": "price",
        "active": given.get("active", True),
        "billing_scheme": "per_unit",
        "created": call.now,
        "currency": code,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": given.get("lookup_key"),
        "metadata": merged_metadata({}, given.get("metadata") or {}),
        "nickname": given.get("nickname"),
        "product": product_id,
        "recurring": None,
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": whole,
        "unit_amount_decimal": format(value.normalize(), "f"),
        **changes,
    }


def create(call: Call) -> Object:
    params = call.params
    if "product" in params:
        product = call.get("product", params["product"], param="product")
    elif "product_data" in params:
        product = products.build(call, params["product_data"])
    else:
        raise missing("product")
    price = build(call, params, product["id"])
    if "product" not in params:
        call.tx.put(product)
        emit(call, "product.created", product)
    call.tx.put(price)
    emit(call, "price.created", price)
    return price


def retrieve(call: Call, price_id: str) -> Object:
    return call.get("price", price_id)


def update(call: Call, price_id: str) -> Object:
    price, params = call.get("price", price_id), call.params
    changes: dict[str, Any] = {
        name: params[name] for name in ("active", "nickname", "lookup_key", "tax_behavior") if name in params
    }
    if "metadata" in params:
        changes["metadata"] = merged_metadata(price["metadata"], params["metadata"])
    previous = {name: price[name] for name in changes if price[name] != changes[name]}
    price |= changes
    call.tx.put(price)
    emit(call, "price.updated", price, previous)
    return price


def list_all(call: Call) -> Object:
    names = ("active", "currency", "product", "type")
    filters = {name: [key_text(call.params[name])] for name in names if name in call.params}
    if "lookup_keys" in call.params:
        filters["lookup_key"] = call.params["lookup_keys"]
    return page(call, "price", "/v1/prices", filters)
