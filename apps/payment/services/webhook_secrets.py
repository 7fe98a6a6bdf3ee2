"""Remembering which webhook secret verified last, at next to no cost per event."""

from __future__ import annotations

import logging
import threading
import time

from django.db import Error as DatabaseFailure
from django.utils import timezone

from apps.payment.models import StripeWebhookSecret

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_NOTES = 60.0

_noted: dict[str, float] = {}
_turn = threading.Lock()


def note_verified(fingerprint: str) -> None:
    """Keep when a secret verified an event: one statement a minute per secret and process, otherwise none.

    Never raises. The event is stored by then, and its acknowledgement depends on nothing else.
    """
    if not _is_turn(fingerprint):
        return
    now = timezone.now()
    row = StripeWebhookSecret(fingerprint=fingerprint, first_seen_at=now, last_verified_at=now)
    try:
        StripeWebhookSecret.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["fingerprint"], update_fields=["last_verified_at"]
        )
    except DatabaseFailure:
        logger.warning("secret_not_noted", exc_info=True)


def _is_turn(fingerprint: str) -> bool:
    now = time.time()
    with _turn:
        last = _noted.get(fingerprint)
        if last is not None and 0 <= now - last < SECONDS_BETWEEN_NOTES:
            return False
        _noted[fingerprint] = now
        return True
