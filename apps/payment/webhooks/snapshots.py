"""An event as the shop keeps it: without secrets, and after a while without what tells of a person."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from apps.payment.gateway import id_of
from apps.payment.services.attempts import REFERENCE_PREFIX

KEPT_TEXTS = frozenset(
    (
        # what things are called
        "id object type account api_version charge customer payment_intent payment_method latest_charge setup_intent "
        "balance_transaction failure_balance_transaction payment_method_configuration_details "
        # where they stand, and why
        "status payment_status mode reason cancellation_reason code decline_code failure_code failure_reason "
        "pending_reason network_status network_decline_code network_reason_code advice_code reason_code risk_level "
        "case_type submission_method "
        # how it is paid
        "currency brand display_brand funding network capture_method confirmation_method ui_mode usage "
        "setup_future_usage allow_redisplay allow_redisplay_filters payment_method_types payment_method_save"
    ).split()
)
"""Fields whose text says nothing of a person. Every other text of a trimmed event is blank, whatever it is called."""

RECEIPT = frozenset(("last4", "receipt_url"))
"""What a payment's own buyer sees of its charge."""

PERSONAL_PARTS = frozenset(
    (
        "billing_details customer_details collected_information shipping shipping_details address evidence "
        "custom_fields exp_month exp_year"
    ).split()
)
"""Parts of objects that are about a person as a whole."""

OURS = "proshop_"
"""What the names of our own metadata begin with."""

DEEPEST = 30
"""Stripe's objects are not nested half as deep; what is deeper is left out."""

MOST_NESTED = 100
"""Levels of an event. Python's own limit depends on who calls: what one could read, the next could not."""

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def snapshot_of(payload: bytes) -> dict[str, Any]:
    """The event with every client secret blanked. Raises ValueError, RecursionError for what is no snapshot event."""
    event = json.loads(payload.decode("utf-8"), object_hook=_blank_client_secret)
    if payload.count(b"{") + payload.count(b"[") > MOST_NESTED and _is_deeper(event, MOST_NESTED):
        raise ValueError("nested too deep")
    if not isinstance(event, dict) or event.get("object") != "event":
        raise ValueError("not an event")
    data = event.get("data")
    checks = (
        _is_text(event.get("id"), 255),
        _is_text(event.get("type"), 100),
        isinstance(event.get("livemode"), bool),
        isinstance(event.get("created"), int) and 0 <= event["created"] < 2**32,
        isinstance(data, dict) and isinstance(data.get("object"), dict),
    )
    if not all(checks):
        raise ValueError("not a snapshot event")
    return event


def _blank_client_secret(found: dict[str, Any]) -> dict[str, Any]:
    if found.get("client_secret"):
        found["client_secret"] = ""
    return found


def _is_deeper(value: Any, levels: int) -> bool:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in below if isinstance(each, dict | list))


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isascii() and value.isprintable()


def as_text(event: Mapping[str, Any]) -> str:
    """A payload as it is stored: ASCII."""
    return json.dumps(event, separators=(",", ":"))


def digestible(payload: str) -> Any:
    """A stored payload as handlers read it: what no database takes in a text, NUL and halves of surrogate pairs, is
    replaced, so that an odd name does not keep a payment from being settled.
    """
    told = json.loads(payload)
    return _with_storable_texts(told) if "\\u0000" in payload or "\\ud" in payload else told


def _with_storable_texts(value: Any) -> Any:
    if isinstance(value, str):
        return UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_with_storable_texts(name): _with_storable_texts(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_storable_texts(each) for each in value]
    return value


def trimmed(event: Mapping[str, Any], *, kept: frozenset[str] = KEPT_TEXTS) -> dict[str, Any]:
    """The event with its ids, amounts, times and states. A handler digests it as it does the whole one."""
    return {name: _trim(name, value, kept, 1) for name, value in event.items()}


def subject_of(event: Mapping[str, Any]) -> str:
    """What an event is about: our reference of a payment, else the intent, charge or customer, else its object."""
    told = event["data"]["object"]
    metadata = told.get("metadata")
    named = metadata.get("proshop_payment") if isinstance(metadata, dict) else ""
    for reference in (told.get("client_reference_id"), named):
        if isinstance(reference, str) and reference.startswith(REFERENCE_PREFIX):
            return as_name(reference)
    kind = told.get("object")
    own = kind in ("payment_intent", "customer") or (kind == "charge" and not told.get("payment_intent"))
    fields = ("id",) if own else ("payment_intent", "charge", "customer", "id")
    found = (as_name(id_of(told.get(field))) for field in fields)
    return next((name for name in found if name), "")


def _trim(name: str, value: Any, kept: frozenset[str], depth: int) -> Any:
    if name in PERSONAL_PARTS or depth > DEEPEST:
        return None
    if isinstance(value, dict):
        if name == "metadata":
            return {key: text for key, text in value.items() if key.startswith(OURS) and isinstance(text, str)}
        return {key: _trim(key, each, kept, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_trim(name, each, kept, depth + 1) for each in value]
    if not isinstance(value, str) or name in kept:
        return value
    return value if name == "client_reference_id" and value.startswith(REFERENCE_PREFIX) else ""


def as_name(value: Any, longest: int = 255) -> str:
    """A value that may be looked for and shown as it is; empty for anything else."""
    return value if _is_text(value, longest) else ""
