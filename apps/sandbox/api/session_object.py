"""A new Checkout Session with all of Stripe's keys. Amounts are in minor units."""

from __future__ import annotations

from typing import Any

from apps.sandbox import buyers, payments
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import invalid
from apps.sandbox.store import Object


def build(call: Call, session_id: str, code: str, total: int, customer: Object | None, expires_at: int) -> Object:
    """An open session from the call's checked parameters; not stored."""
    params = call.params
    kinds = _types(params, code)
    email = params.get("customer_email")
    known_email = email or (customer or {}).get("email")
    options = {"card": {"request_three_d_secure": "automatic"}} if "card" in kinds else {}
    metadata = merged_metadata({}, params.get("metadata") or {})
    intent_data = dict(params.get("payment_intent_data", {}))
    intent_data["metadata"] = merged_metadata({}, intent_data.get("metadata") or {}, "payment_intent_data[metadata]")
    return {
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": params.get("allow_promotion_codes"),
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": params.get("billing_address_collection"),
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
        "collected_information": {"business_name": None, "individual_name": None, "shipping_details": None},
        "consent": None,
        "consent_collection": None,
        "created": call.now,
        "currency": code,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": _custom_text(params.get("custom_text") or {}),
        "customer": customer["id"] if customer else None,
        "customer_account": None,
        "customer_creation": params.get("customer_creation", None if customer else "if_required"),
        "customer_details": _known_buyer(known_email) if known_email else None,
        "customer_email": email,
        "discounts": [],
        "expires_at": expires_at,
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": {"enabled": False, "invoice_data": _no_invoice()},
        "livemode": False,
        "locale": params.get("locale"),
        "managed_payments": {"enabled": False},
        "metadata": metadata,
        "mode": params["mode"],
        "origin_context": params.get("origin_context"),
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": options,
        "payment_method_types": kinds,
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": params.get("phone_number_collection", {}).get("enabled", False)},
        "recovered_from": None,
        "saved_payment_method_options": buyers.saved_method_options(params),
        "setup_intent": None,
        "shipping_address_collection": params.get("shipping_address_collection") or None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": params.get("submit_type"),
        "subscription": None,
        "success_url": params.get("success_url"),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{call.base_url}/c/pay/{session_id}",
        "wallet_options": None,
        "_customer_update": params.get("customer_update", {}),
        "_intent_data": intent_data,
    }


def _types(params: dict[str, Any], code: str) -> list[str]:
    """The methods the page offers: as an older caller named them, or by the filters of the endive version."""
    if params.get("payment_method_types"):
        return payments.checked_types(params["payment_method_types"], code)
    kinds = payments.default_types(code)
    allowed = params.get("allowed_payment_method_types") or kinds
    kinds = [k for k in kinds if k in allowed and k not in (params.get("excluded_payment_method_types") or [])]
    if not kinds:
        raise invalid("No valid payment method types for this Checkout Session.", "excluded_payment_method_types")
    return kinds


def _custom_text(given: dict[str, Any]) -> Object:
    names = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
    return {name: given.get(name) or None for name in names}


def _known_buyer(email: str) -> Object:
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
    }


def _no_invoice() -> Object:
    return {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": None,
        "metadata": {},
        "rendering_options": None,
    }
