"""What becomes of an event that was worked on in vain: it waits, is tried again later, or is given up with a reason.

Each changes the row only as long as the lease is the caller's own.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from apps.common import leases
from apps.common.logs import blank
from apps.payment.models import StripeWebhookEvent

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 12
PARKED_FOR = timedelta(hours=24)
"""How long an event may wait for the row that it speaks of."""

State = StripeWebhookEvent.State


def park(event: StripeWebhookEvent, reference: str) -> None:
    now = timezone.now()
    given_up = now - event.waiting_since > PARKED_FOR
    leases.held(event).update(
        state=State.DEAD if given_up else State.PARKED,
        reason=f"no payment {reference}"[:200],
        due_at=now + _backoff(event.attempts),
        lease_until=None,
        attempts=_no_fault(event),
    )


def wait_for_stripe(event: StripeWebhookEvent) -> None:
    """Stripe is away; that is no fault of the event, so it is never given up for it."""
    leases.held(event).update(
        state=State.DUE,
        reason="Stripe could not be asked",
        due_at=timezone.now() + min(_backoff(event.attempts), timedelta(minutes=5)),
        lease_until=None,
        attempts=_no_fault(event),
    )


def _no_fault(event: StripeWebhookEvent) -> int:
    """The count of tries after one that failed through no fault of the event: it never comes near to the last."""
    return min(event.attempts, MAX_ATTEMPTS - 2)


def retry_later(event: StripeWebhookEvent, error: str) -> None:
    dead = event.attempts >= MAX_ATTEMPTS
    leases.held(event).update(
        state=State.DEAD if dead else State.DUE,
        reason="its handler failed every time" if dead else "",
        due_at=timezone.now() + _backoff(event.attempts),
        lease_until=None,
        last_error=blank(error[-4000:]),
    )


def give_up_after_deaths(event: StripeWebhookEvent) -> None:
    """Every try before ended without an outcome: the process that worked on it was killed, perhaps by it."""
    logger.error("event_kills_workers", extra={"type": event.type})
    leases.held(event).update(
        state=State.DEAD,
        reason="the process that worked on it died every time",
        lease_until=None,
        attempts=MAX_ATTEMPTS,
    )


def _backoff(attempts: int) -> timedelta:
    return timedelta(seconds=min(2**attempts, 1800))
