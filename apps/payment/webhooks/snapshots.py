"""The bytes of an event as the shop keeps them."""

from __future__ import annotations

import json
from typing import Any


def snapshot_of(payload: bytes) -> dict[str, Any]:
    """The event with every client secret blanked. Raises ValueError, RecursionError for what is no snapshot event."""
    event = json.loads(payload.decode("utf-8"), object_hook=_blank_client_secret)
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


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isascii() and value.isprintable()
