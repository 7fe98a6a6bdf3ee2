"""Fields of Stripe's objects as the shop's own values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(found: Any) -> dict[str, Any]:
    """An object of the library as plain dictionaries and lists."""
    told: dict[str, Any] = found.to_dict(recursive=True, for_json=False)
    return told


def id_of(value: Any) -> str:
    """The id of a field that holds an id, an expanded object or nothing."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def email_of(value: Any) -> str:
    """Stripe takes 512 characters, the shop 254."""
    return value if isinstance(value, str) and len(value) <= 254 else ""


def texts_of(value: Any) -> dict[str, str]:
    """An object's metadata as far as it is text; empty where there is none."""
    if not isinstance(value, Mapping):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)}


def address_of(details: Any) -> dict[str, str] | None:
    if not isinstance(details, Mapping) or not isinstance(details.get("address"), Mapping):
        return None
    address = details["address"]
    fields = ("line1", "line2", "city", "state", "postal_code", "country")
    return {"name": str(details.get("name") or ""), **{name: str(address.get(name) or "") for name in fields}}
