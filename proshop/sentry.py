"""Errors to a collector, when SENTRY_DSN names one: without people, bodies, cookies or secrets."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from apps.common.logs import SECRET

DROPPED_OF_REQUEST = ("data", "cookies", "env", "query_string", "headers")


def start(dsn: str, environment: str) -> None:
    """Send what is logged at ERROR and what nobody caught. Raises ImproperlyConfigured without the library."""
    try:
        import sentry_sdk
    except ImportError:
        raise ImproperlyConfigured(
            "SENTRY_DSN is set and sentry-sdk is not installed: it is in requirements/production.txt."
        ) from None
    sentry_sdk.init(dsn=dsn, environment=environment, **OPTIONS)


def clean(event: Any, hint: Any = None) -> Any:
    """An event without the person and without what their request carried; what looks like a secret is blanked."""
    event.pop("user", None)
    request = event.get("request")
    if isinstance(request, dict):
        for name in DROPPED_OF_REQUEST:
            request.pop(name, None)
        if isinstance(request.get("url"), str):
            request["url"] = request["url"].partition("?")[0]
    return _blank(event)


def clean_crumb(crumb: Any, hint: Any = None) -> Any:
    return _blank(crumb)


def _blank(found: Any) -> Any:
    if isinstance(found, str):
        return SECRET.sub("[blanked]", found)
    if isinstance(found, dict):
        return {name: _blank(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [_blank(value) for value in found]
    return found


OPTIONS: dict[str, Any] = {
    # Personal data is not sent unless asked for, and cleaned out of what is sent all the same.
    # Local variables of a traceback hold buyers' addresses and Stripe's objects.
    "include_local_variables": False,
    "max_request_body_size": "never",
    "traces_sample_rate": 0,
    "before_send": clean,
    "before_breadcrumb": clean_crumb,
}
