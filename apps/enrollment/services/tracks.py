"""What follows from a track's change, for its product and for everybody who bought it."""

from __future__ import annotations

from django.db.models import F

from apps.catalog.models import Product
from apps.enrollment.models import Enrollment, Track
from apps.enrollment.services.progress import prepare_progress
from apps.enrollment.services.settling import settle_enrollment
from apps.orders.models import Order
from apps.outbox.services import publish

PEOPLE_AT_ONCE = 200
"""How many one delivery brings up to date, so that none takes long."""


def note_change(track: Track) -> None:
    """A track is new, or its projects or steps are others, in the caller's transaction.

    Its product needs an account from now on. People who bought the variant before it was a track's are enrolled, and
    those enrolled already get what is new, when the delivery comes.
    """
    Product.objects.filter(variants=track.variant_id, needs_account=False).update(needs_account=True)
    Track.objects.filter(pk=track.pk).update(revision=F("revision") + 1)
    track.refresh_from_db(fields=["revision"])
    _publish(track, after_user=0)


def bring_up_to_date(track: Track, *, after_user: int) -> None:
    """Settle the enrollment and prepare the progress of the next people who bought a track, by their ids.

    The rest is another delivery.
    """
    bought = Order.objects.filter(payment_status__in=Order.PAID, items__variant=track.variant_id, user__gt=after_user)
    people = list(bought.order_by("user").values_list("user", flat=True).distinct()[:PEOPLE_AT_ONCE])
    for user_id in people:
        settle_enrollment(user_id=user_id, track=track)
        enrolled = Enrollment.objects.filter(user=user_id, track=track, status=Enrollment.Status.ENROLLED)
        enrollment = enrolled.select_for_update(no_key=True).first()
        if enrollment is not None:
            prepare_progress(enrollment)
    if len(people) == PEOPLE_AT_ONCE:
        _publish(track, after_user=people[-1])


def _publish(track: Track, *, after_user: int) -> None:
    publish(
        "enrollment.track_changed",
        f"{track.pk}/{track.revision}/{after_user}",
        {"track_id": track.pk, "after_user": after_user},
    )
