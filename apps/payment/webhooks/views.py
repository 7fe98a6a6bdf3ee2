"""Stripe's webhook: verify, store, 200.

A plain Django view. 200 says that the event is committed; nothing that happens to it later changes the answer.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.common.middleware import error_response
from apps.payment import gateway
from apps.payment.services.webhook_secrets import note_verified
from apps.payment.webhooks import inbox

logger = logging.getLogger(__name__)

MAX_BYTES = 1024 * 1024


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """200 stored, 400 not Stripe's or not a snapshot event, 413 too long, 503 could not be stored."""
    if _declared_length(request) > MAX_BYTES:
        return error_response(413, "too_large", "The body is longer than 1 MiB.")
    payload = request.body
    try:
        fingerprint = gateway.verify_signature(payload, request.headers.get("Stripe-Signature", ""))
    except gateway.BadSignature as reason:
        logger.warning("webhook_refused", extra={"reason": str(reason)})
        return error_response(400, "invalid_signature", "The signature does not fit.")
    try:
        snapshot = _snapshot(payload)
    except (ValueError, RecursionError):
        logger.warning("webhook_unsupported", extra={"bytes": len(payload)})
        return error_response(400, "unsupported_event", "This is not a snapshot event.")
    try:
        event_id = inbox.store(snapshot, sha256=hashlib.sha256(payload).hexdigest())
    except (OperationalError, InterfaceError):
        logger.exception("webhook_not_stored")
        response = error_response(503, "database_unavailable", "The event could not be stored. Send it again.")
        response["Retry-After"] = "5"
        return response
    note_verified(fingerprint)
    inbox.wake(event_id)
    return JsonResponse({"received": True})


def _declared_length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _snapshot(payload: bytes) -> dict[str, Any]:
    """The event with every client secret blanked. Raises ValueError for what is no snapshot event."""
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
