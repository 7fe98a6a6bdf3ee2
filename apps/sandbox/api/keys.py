"""Who asks: the shop with its secret key, or a page in a browser with the publishable one."""

from __future__ import annotations

import base64
import hmac

from django.http import HttpRequest

from apps.sandbox import errors
from apps.sandbox.config import PUBLISHABLE_PREFIX, Config


def key_of(request: HttpRequest) -> str:
    """The key of a Bearer or Basic header; empty without one."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return given
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def is_publishable(request: HttpRequest) -> bool:
    return key_of(request).startswith(PUBLISHABLE_PREFIX)


def check(request: HttpRequest, config: Config) -> None:
    """Raise ApiError 401 for a key that is neither the configured one nor a publishable one that may be used."""
    given = key_of(request)
    if not given:
        raise errors.bad_key(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using"
            " Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if is_publishable(request) and config.public_key in ("", given):
        return
    if not hmac.compare_digest(given.encode(), config.api_key.encode()):
        raise errors.bad_key(f"Invalid API Key provided: {given[:8]}{'*' * 8}{given[-4:]}")
