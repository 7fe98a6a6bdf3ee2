"""Faults on purpose: the next API calls answer 429 or 500, hang, are cut off, or get an HTML page."""

from __future__ import annotations

import threading
import time
from typing import Any

from apps.sandbox import delivery_rules
from apps.sandbox.errors import ApiError
from apps.sandbox.store import Store

# Before the call is executed, so that nothing happened …
BEFORE = ("429", "lock_timeout", "500", "html", "reset", "timeout_before")
# … and after it: everything happened, the answer is lost.
AFTER = ("500_after", "reset_after", "timeout_after")
KINDS = BEFORE + AFTER
RULE = "fault"
MAX_SECONDS = 120.0


class Cut(BaseException):
    """Close the connection without an answer. Not an Exception: nothing on the way may turn it into one."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class Html(Exception):
    """Answer with a proxy's HTML error page."""


_lock = threading.Lock()


def take(store: Store, method: str, path: str) -> dict[str, Any] | None:
    """The fault that hits this call, counted down."""
    with store.read() as tx:
        if not delivery_rules.listed(tx, RULE):
            return None
    with _lock, store.write() as tx:
        for rule in delivery_rules.listed(tx, RULE):
            prefix = rule.get("path", "*")
            if rule.get("method", "*") in ("*", method) and (prefix == "*" or path.startswith(prefix)):
                delivery_rules.use(tx, rule)
                return rule
    return None


def before(rule: dict[str, Any]) -> None:
    """Raise what the rule wants instead of executing the call."""
    kind = rule["fault"]
    if kind == "429":
        raise ApiError("Request rate limit exceeded. You can learn more about rate limits here"
                       " https://docs.stripe.com/rate-limits.", status=429, code="rate_limit")  # fmt: skip
    if kind == "lock_timeout":
        message = "This object cannot be accessed right now because another API request or Stripe process is using it."
        raise ApiError(message, status=429, code="lock_timeout")
    if kind == "html":
        raise Html
    if kind in ("reset", "timeout_before"):
        cut(rule)


def cut(rule: dict[str, Any]) -> None:
    """Hang as long as the rule says, then drop the connection."""
    if rule["fault"].startswith("timeout"):
        time.sleep(min(float(rule.get("seconds", 30)), MAX_SECONDS))
    raise Cut(reset=rule["fault"].startswith("reset"))


def server_error() -> ApiError:
    """Stripe's own failure; it is kept under the idempotency key."""
    return ApiError(
        "An unknown error occurred. If you have any questions, we can help at https://support.stripe.com/.",
        status=500,
        kind="api_error",
        keep_effects=True,
    )
