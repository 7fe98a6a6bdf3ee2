"""How far this machine's clock is from Stripe's, as the Date of its answers shows.

A clock that is off by minutes refuses good webhooks, whose signatures carry a time, and lets sessions end too early.
"""

from __future__ import annotations

import logging
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any

logger = logging.getLogger(__name__)

TOLERATED_SECONDS = 10.0
"""Date has whole seconds and the answer took its time; signatures are tolerant of 300 seconds."""
SECONDS_BETWEEN_WORDS = 600.0

_turn = threading.Lock()
_said_at = float("-inf")


def note_date(answer: Any) -> None:
    """Say so, once in ten minutes and process, when Stripe's clock and this one disagree. Never raises."""
    headers = getattr(getattr(answer, "last_response", None), "headers", None) or {}
    try:
        stripe_says = parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return
    ahead = time.time() - stripe_says
    if abs(ahead) > TOLERATED_SECONDS and _is_turn():
        logger.error("clock_skew", extra={"seconds_ahead_of_stripe": round(ahead)})


def _is_turn() -> bool:
    global _said_at
    with _turn:
        if time.monotonic() - _said_at < SECONDS_BETWEEN_WORDS:
            return False
        _said_at = time.monotonic()
        return True
