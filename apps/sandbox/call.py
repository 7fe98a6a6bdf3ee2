"""What every piece of work is given: the transaction it writes in and who caused it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from apps.sandbox import errors
from apps.sandbox.store import Object, Transaction

API_VERSION = "2026-10-28.endive"


@dataclass
class Call:
    """One API call, page visit or piece of due work.

    `request_id` and `idempotency_key` go into the events it causes; both are None for what happens by itself.
    `base_url` is the sandbox's own address, for the pages it hands out.
    """

    tx: Transaction
    base_url: str
    settle_seconds: float
    params: dict[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    idempotency_key: str | None = None

    @property
    def now(self) -> int:
        return self.tx.now

    def get(self, kind: str, object_id: str, *, param: str | None = None) -> Object:
        """The stored object. Raises 404 for an id of the path, 400 for one named by the parameter `param`."""
        found = self.tx.find(object_id, kind)
        if found is None:
            raise errors.no_such(kind, object_id, param=param or "id", status=400 if param else 404)
        return found


def merged_metadata(old: dict[str, str], new: dict[str, str] | str, param: str = "metadata") -> dict[str, str]:
    """Metadata after an update: an empty value removes a key, an empty string removes them all."""
    if isinstance(new, str):
        return {}
    merged = {key: value for key, value in {**old, **new}.items() if value != ""}
    if len(merged) > 50:
        raise errors.invalid("Metadata can have up to 50 keys.", param)
    for key, value in merged.items():
        if len(key) > 40 or "[" in key or "]" in key:
            raise errors.invalid(
                f"Metadata keys must be 40 characters or less and free of brackets: {key[:60]}", f"{param}[{key[:60]}]"
            )
        if len(value) > 500:
            raise errors.invalid(
                f"Metadata values can have up to 500 characters, but you passed in a value that is {len(value)}"
                f" characters. Invalid value: {value[:60]}",
                f"{param}[{key}]",
            )
    return merged
