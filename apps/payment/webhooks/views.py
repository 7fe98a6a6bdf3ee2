"""Stripe's webhook: verify, store, 200.

A plain Django view. 200 says that the event is committed; nothing that happens to it later changes the answer.
"""

from __future__ import annotations

import hashlib
import logging

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.common.errors import DATABASE_AWAY
from apps.common.middleware import error_response
from apps.payment import gateway
from apps.payment.services.webhook_secrets import note_verified
from apps.payment.webhooks import inbox
from apps.payment.webhooks.snapshots import snapshot_of

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
        snapshot = snapshot_of(payload)
    except (ValueError, RecursionError):
        logger.warning("webhook_unsupported", extra={"bytes": len(payload)})
        return error_response(400, "unsupported_event", "This is not a snapshot event.")
    try:
        event_id = inbox.store(snapshot, sha256=hashlib.sha256(payload).hexdigest())
    except DATABASE_AWAY:
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
