"""/v1/checkout/sessions: one-time payments on the hosted page. Amounts are in minor units."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import urlsplit

from apps.sandbox import buyers, checkout, customers, ids
from apps.sandbox.api import prices, products
from apps.sandbox.api.session_object import build
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import ApiError, invalid, missing, unsupported
from apps.sandbox.money import check_charge
from apps.sandbox.pagination import page, slice_of
from apps.sandbox.store import Object

URL = "/v1/checkout/sessions"
MAX_LINES = 100
MIN_LIFE, MAX_LIFE = 30 * 60, 24 * 3600
MAX_QUANTITY = 999_999_999

# Known to Stripe, and they would change what is charged or asked: refused rather than left out silently.
UNSUPPORTED = (
    "after_expiration",
    "consent_collection",
    "custom_fields",
    "customer_account",
    "discounts",
    "optional_items",
    "payment_method_options",
    "return_url",
    "setup_intent_data",
    "shipping_options",
    "subscription_data",
)
# Hashes that switch something on: `{"enabled": false}` is fine.
SWITCHES = ("adaptive_pricing", "automatic_tax", "invoice_creation", "managed_payments", "tax_id_collection")
UNSUPPORTED_INTENT_DATA = ("application_fee_amount", "on_behalf_of", "transfer_data", "transfer_group")


def create(call: Call) -> Object:
    params = call.params
    _refuse_unsupported(params)
    expires_at = _expires_at(call)
    for name in ("success_url", "cancel_url"):
        _check_url(params.get(name), name)
    email = params.get("customer_email")
    customers.check_email(email, "customer_email")
    if "customer" in params and email is not None:
        raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer")
    buyers.check_options(params)
    customer = customers.living(call, params["customer"], param="customer") if "customer" in params else None
    if len(params.get("client_reference_id", "")) > 200:
        raise invalid("client_reference_id can have up to 200 characters.", "client_reference_id")
    session_id = ids.new("checkout.session")
    items = _line_items(call, session_id)
    code, total = items[0]["currency"], sum(item["amount_total"] for item in items)
    if total:
        what = "The Checkout Session's total amount due"
        check_charge(total, code, param="line_items", what=what)
    session = build(call, session_id, code, total, customer, expires_at)
    for item in items:
        call.tx.put(item)
    call.tx.put(session)
    call.tx.schedule("expire_session", session_id, seconds=expires_at - call.now)
    return session


def _refuse_unsupported(params: dict[str, Any]) -> None:
    if "mode" not in params:
        raise missing("mode")
    if params["mode"] != "payment":
        raise ApiError(f"The sandbox does not support mode={params['mode']}.", code="sandbox_unsupported", param="mode")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise unsupported("ui_mode")
    for name in UNSUPPORTED:
        if params.get(name):
            raise unsupported(name)
    for name in SWITCHES:
        if params.get(name, {}).get("enabled"):
            raise unsupported(f"{name}[enabled]")
    if params.get("allow_promotion_codes"):
        raise unsupported("allow_promotion_codes")
    for name in UNSUPPORTED_INTENT_DATA:
        if params.get("payment_intent_data", {}).get(name):
            raise unsupported(f"payment_intent_data[{name}]")


def _expires_at(call: Call) -> int:
    given: int | None = call.params.get("expires_at")
    if given is None:
        return call.now + MAX_LIFE
    if given < call.now + MIN_LIFE:
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.", "expires_at"
        )
    if given > call.now + MAX_LIFE:
        raise invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.", "expires_at"
        )
    return given


def _check_url(url: str | None, name: str) -> None:
    if url is None:
        return
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or len(url) > 5000 or any(c.isspace() for c in url):
        raise invalid("Not a valid URL", name, "url_invalid")


def _line_items(call: Call, session_id: str) -> list[Object]:
    given = call.params.get("line_items")
    if not given:
        raise missing("line_items")
    if len(given) > MAX_LINES:
        raise invalid(f"A session can have up to {MAX_LINES} line items.", "line_items")
    items = [_line_item(call, session_id, line, f"line_items[{i}]") for i, line in enumerate(given)]
    currencies = sorted({item["currency"] for item in items})
    if len(currencies) > 1:
        raise invalid(
            f"All line items must have the same currency, but these were given: {', '.join(currencies)}.", "line_items"
        )
    return items


def _line_item(call: Call, session_id: str, line: dict[str, Any], path: str) -> Object:
    if line.get("adjustable_quantity", {}).get("enabled"):
        raise unsupported(f"{path}[adjustable_quantity][enabled]")
    for name in ("dynamic_tax_rates", "tax_rates"):
        if line.get(name):
            raise unsupported(f"{path}[{name}]")
    quantity = line.get("quantity")
    if quantity is None:
        raise missing(f"{path}[quantity]")
    if not 1 <= quantity <= MAX_QUANTITY:
        raise invalid(
            f"This value must be greater than or equal to 1 (it currently is '{quantity}').",
            f"{path}[quantity]",
            "parameter_invalid_integer",
        )
    price, name = _price(call, line, path)
    amount = int((Decimal(price["unit_amount_decimal"]) * quantity).quantize(Decimal(1), ROUND_HALF_UP))
    return {
        "id": ids.new("item"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": name,
        "metadata": merged_metadata({}, line.get("metadata") or {}, f"{path}[metadata]"),
        "price": price,
        "quantity": quantity,
        "_session": session_id,
    }


def _price(call: Call, line: dict[str, Any], path: str) -> tuple[Object, str]:
    """The line's price and its product's name; a price given inline is made on the spot, inactive."""
    if ("price" in line) == ("price_data" in line):
        raise (
            missing(f"{path}[price]") if "price" not in line else invalid("Give price or price_data.", f"{path}[price]")
        )
    if "price" in line:
        price = call.get("price", line["price"], param=f"{path}[price]")
        if not price["active"]:
            raise invalid("The price specified is inactive. This field only accepts active prices.", f"{path}[price]")
        return price, call.get("product", price["product"])["name"]
    data, where = line["price_data"], f"{path}[price_data]"
    if ("product" in data) == ("product_data" in data):
        raise missing(f"{where}[product_data]")
    if "product" in data:
        product = call.get("product", data["product"], param=f"{where}[product]")
    else:
        product = products.build(call, data["product_data"], active=False)
    price = prices.build(call, data, product["id"], path=where, active=False)
    call.tx.put(product)
    call.tx.put(price)
    return price, product["name"]


def retrieve(call: Call, session_id: str) -> Object:
    return call.get("checkout.session", session_id)


def update(call: Call, session_id: str) -> Object:
    session = call.get("checkout.session", session_id)
    for name in call.params:
        if name not in ("metadata", "expand"):
            raise unsupported(name)
    if session["status"] != "open":
        raise ApiError(f"Only open Checkout Sessions can be updated. This one is {session['status']}.")
    session["metadata"] = merged_metadata(session["metadata"], call.params.get("metadata", {}))
    return call.tx.put(session)


def expire(call: Call, session_id: str) -> Object:
    session = call.get("checkout.session", session_id)
    if session["status"] != "open":
        raise ApiError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of'
            f" `{session['status']}`."
        )
    return checkout.expire(call, session)


def list_all(call: Call) -> Object:
    params = call.params
    filters: dict[str, list[str]] = {
        name: [params[name]] for name in ("customer", "payment_intent", "payment_link", "status") if name in params
    }
    if "customer_details" in params:
        filters["customer_details.email"] = [params["customer_details"]["email"]]
    return page(call, "checkout.session", URL, filters)


def line_items(call: Call, session_id: str) -> Object:
    session = call.get("checkout.session", session_id)
    return slice_of(call, checkout.lines(call, session), f"{URL}/{session_id}/line_items")
