"""Orders whose time is over."""

from __future__ import annotations

import logging

from django.utils import timezone

from apps.common import stopping
from apps.orders.models import Order
from apps.payment.gateway import StripeUnavailable
from apps.payment.services.ordering import expire_order

logger = logging.getLogger(__name__)


def expire_due_orders(limit: int = 100) -> int:
    """End unpaid orders past their expiry, asking Stripe first. Returns how many ended."""
    due = Order.objects.filter(
        expires_at__lte=timezone.now(),
        status=Order.Status.PENDING,
        payment_status=Order.PaymentStatus.PENDING,
    )
    ended = 0
    for order in due.order_by("expires_at")[:limit]:
        if stopping.asked():
            break
        try:
            ended += expire_order(order)
        except StripeUnavailable:
            # Its stock stays held: only Stripe knows whether the buyer is paying at this moment.
            logger.warning("expiry_waits_for_stripe", extra={"order": order.number})
            break
    return ended
