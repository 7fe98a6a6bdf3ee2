"""Payment methods: the test cards and bank accounts as Stripe's objects."""

from __future__ import annotations

import datetime
import hashlib
import re
from typing import Any

from apps.sandbox import errors, ids
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.cards import BY_IBAN, BY_ID, BY_NUMBER, Card, iban_valid, luhn_valid
from apps.sandbox.errors import ApiError
from apps.sandbox.store import Object

ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def address(given: dict[str, Any] | str | None) -> dict[str, str | None]:
    """An address with all of Stripe's keys."""
    values = given if isinstance(given, dict) else {}
    return {key: values.get(key) or None for key in ADDRESS}


def billing(given: dict[str, Any] | None) -> Object:
    values = given or {}
    return {
        "address": address(values.get("address")),
        "email": values.get("email") or None,
        "name": values.get("name") or None,
        "phone": values.get("phone") or None,
        "tax_id": None,
    }


def merged_billing(old: Object, given: dict[str, Any]) -> Object:
    """Billing details after an update: what is not given stays."""
    return billing(old | given | {"address": old["address"] | (given.get("address") or {})})


def card_error(message: str, code: str, param: str | None, decline_code: str | None = None) -> ApiError:
    extra: dict[str, Any] = {} if decline_code is None else {"decline_code": decline_code}
    return ApiError(message, status=402, kind="card_error", code=code, param=param, **extra)


def check_expiry(month: int, year: int) -> None:
    if not 1 <= month <= 12:
        raise card_error("Your card's expiration month is invalid.", "invalid_expiry_month", "exp_month")
    today = datetime.datetime.now(tz=datetime.UTC).date()
    year = year + 2000 if year < 100 else year
    if not today.year <= year <= today.year + 50:
        raise card_error("Your card's expiration year is invalid.", "invalid_expiry_year", "exp_year")
    if (year, month) < (today.year, today.month):
        raise card_error("Your card's expiration month is invalid.", "invalid_expiry_month", "exp_month")


def check_card(number: str, month: int, year: int, cvc: str | None) -> Card:
    """The test card behind typed-in details. Raises ApiError as Stripe does, before anything is charged."""
    number = re.sub(r"[\s-]", "", number)
    if not number.isascii() or not number.isdigit() or not 12 <= len(number) <= 19 or not luhn_valid(number):
        raise card_error("Your card number is incorrect.", "incorrect_number", "number")
    check_expiry(month, year)
    card = BY_NUMBER.get(number)
    if cvc is not None and re.fullmatch(r"[0-9]{4}" if card and card.brand == "amex" else r"[0-9]{3,4}", cvc) is None:
        raise card_error("Your card's security code is invalid.", "invalid_cvc", "cvc")
    if card is None:
        message = "Your card was declined. Your request was in test mode, but used a non test card."
        raise card_error(message, "card_declined", "number", "test_mode_live_card")
    return card


def from_card(
    call: Call,
    card: Card,
    *,
    exp_month: int = 12,
    exp_year: int = 2034,
    cvc_given: bool = True,
    billing_details: dict[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
    allow_redisplay: str = "unspecified",
) -> Object:
    """Store a new payment method for a test card."""
    details = billing(billing_details)
    checks = {
        "address_line1_check": "pass" if details["address"]["line1"] else None,
        "address_postal_code_check": "pass" if details["address"]["postal_code"] else None,
        "cvc_check": card.cvc_check if cvc_given else None,
    }
    return call.tx.put(
        {
            "id": ids.new("payment_method"),
            "object": "payment_method",
            "allow_redisplay": allow_redisplay,
            "billing_details": details,
            "card": {
                "brand": card.brand,
                "checks": checks,
                "country": card.country,
                "display_brand": {"amex": "american_express", "diners": "diners_club"}.get(card.brand, card.brand),
                "exp_month": exp_month,
                "exp_year": exp_year + 2000 if exp_year < 100 else exp_year,
                "fingerprint": _fingerprint(card.number),
                "funding": card.funding,
                "generated_from": None,
                "last4": card.last4,
                "networks": {"available": [card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
            },
            "created": call.now,
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": merged_metadata({}, metadata or {}),
            "type": "card",
            "_number": card.number,
        }
    )


def from_iban(
    call: Call,
    iban: str,
    *,
    billing_details: dict[str, Any] | None = None,
    metadata: dict[str, str] | None = None,
    allow_redisplay: str = "unspecified",
) -> Object:
    """Store a new payment method for a bank account. Raises ApiError for an account that cannot be debited."""
    iban = re.sub(r"\s", "", iban).upper()
    if not iban_valid(iban) and iban not in BY_IBAN:
        raise errors.invalid("The IBAN you provided is invalid.", "sepa_debit[iban]", "invalid_bank_account_iban")
    if iban not in BY_IBAN:
        raise errors.invalid(
            "You must use a test bank account number in test mode.", "sepa_debit[iban]", "bank_account_unusable"
        )
    details = billing(billing_details)
    for name in ("name", "email"):
        if not details[name]:
            raise errors.missing(f"billing_details[{name}]")
    return call.tx.put(
        {
            "id": ids.new("payment_method"),
            "object": "payment_method",
            "allow_redisplay": allow_redisplay,
            "billing_details": details,
            "created": call.now,
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": merged_metadata({}, metadata or {}),
            "sepa_debit": {
                "bank_code": iban[4:9],
                "branch_code": "",
                "country": iban[:2],
                "fingerprint": _fingerprint(iban),
                "generated_from": {"charge": None, "setup_attempt": None},
                "last4": iban[-4:],
            },
            "type": "sepa_debit",
            "_number": iban,
        }
    )


def resolve(call: Call, method_id: str, *, param: str | None = "payment_method") -> Object:
    """The method of an id, which stands in the path where `param` is None.

    A shared test id such as `pm_card_visa` gives a new method each time.
    """
    if method_id in BY_ID and method_id.startswith("pm_"):
        return from_card(call, BY_ID[method_id])
    return call.get("payment_method", method_id, param=param)


def charge_details(method: Object, *, authenticated: bool, mandate: str | None, amount: int) -> Object:
    """`payment_method_details` of a charge."""
    if method["type"] == "sepa_debit":
        keys = ("bank_code", "branch_code", "country", "fingerprint", "last4")
        bank = {key: method["sepa_debit"][key] for key in keys}
        return {"sepa_debit": {**bank, "expected_debit_date": None, "mandate": mandate}, "type": "sepa_debit"}
    card = method["card"]
    secure = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": f"{_fingerprint(method['id'])}",
        "version": "2.2.0",
    }
    return {
        "card": {
            "amount_authorized": amount,
            "authorization_code": None,
            "brand": card["brand"],
            "checks": card["checks"],
            "country": card["country"],
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "extended_authorization": {"status": "disabled"},
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": card["last4"],
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "regulated_status": "unregulated",
            "three_d_secure": secure if authenticated else None,
            "transaction_link_id": None,
            "wallet": None,
        },
        "type": "card",
    }


def _fingerprint(number: str) -> str:
    """Equal for equal numbers, as at Stripe."""
    return hashlib.sha256(number.encode()).hexdigest()[:16]
