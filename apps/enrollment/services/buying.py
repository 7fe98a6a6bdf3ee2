"""Buying one track at once, beside the cart."""

from __future__ import annotations

from django.conf import settings

from apps.common.errors import Conflict
from apps.enrollment.models import Enrollment, Track
from apps.enrollment.services.settling import standing_of
from apps.payment.models import Payment
from apps.payment.services.checkout import start_direct_checkout
from apps.payment.services.ordering import Buyer


class AlreadyEnrolled(Conflict):
    code = "already_enrolled"
    message = "You are enrolled in this track already."


def check_out_track(*, track: Track, buyer: Buyer, save_method: bool = False) -> Payment:
    """Open a Stripe page for one track, for a signed-in buyer; the cart is left as it is.

    Raises AlreadyEnrolled, also while a paid order's enrollment is still on its way, OutOfStock, AlreadyPaid,
    TooManyRequests, StripeUnavailable.
    """
    standing = standing_of(user_id=buyer.user.pk, track=track)
    if standing is not None and standing.status == Enrollment.Status.ENROLLED:
        raise AlreadyEnrolled
    return start_direct_checkout(
        variant_id=track.variant_id, currency=settings.DEFAULT_CURRENCY, buyer=buyer, save_method=save_method
    )
