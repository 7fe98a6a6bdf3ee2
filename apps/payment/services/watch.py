"""What nobody complains about until it is late: a Stripe that tells nothing, and paid orders that nothing follows."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from apps.outbox.models import Delivery
from apps.payment.models import Payment, StripeWebhookEvent

logger = logging.getLogger(__name__)

QUIET = timedelta(hours=1)
FULFILLED_WITHIN = timedelta(minutes=10)
LOOK_BACK = timedelta(days=1)


def last_event_at() -> datetime | None:
    """When the newest event came. One statement by the primary key."""
    return StripeWebhookEvent.objects.order_by("-pk").values_list("received_at", flat=True).first()


def told_nothing(last: datetime | None) -> bool:
    """Whether sessions were opened and Stripe has told nothing since, though each must have been paid or have expired.

    An hour passes before that is said, or as long as a session lives where that is longer. One statement by index.
    """
    now = timezone.now()
    quiet = max(QUIET, timedelta(minutes=settings.CHECKOUT_HOLD_MINUTES + 5))
    since = max(last or now - LOOK_BACK, now - LOOK_BACK)
    opened = Payment.objects.filter(
        status__in=Payment.Status.values,
        created_at__gt=since,
        created_at__lt=now - quiet,
        stripe_session_id__isnull=False,
    )
    return opened.exists()


def unfulfilled(most: int) -> int:
    """How many deliveries of paid orders have waited for ten minutes or were given up. Two statements by index."""
    late = Delivery.objects.filter(kind="order.paid", created_at__lt=timezone.now() - FULFILLED_WITHIN)
    return sum(late.filter(state=state)[:most].count() for state in (Delivery.State.DUE, Delivery.State.DEAD))


def watch_the_quiet() -> int:
    """Say at ERROR what should not be quiet; an error collector makes one alert of it. Returns 0: nothing moves."""
    last = last_event_at()
    if told_nothing(last):
        logger.error("stripe_tells_nothing", extra={"last_event_at": last.isoformat() if last else None})
    late = unfulfilled(1000)
    if late:
        logger.error("paid_not_fulfilled", extra={"deliveries": late})
    return 0
