"""The one place where an enrollment's status is written.

It is derived: from every line with the track that the person ever paid for, under the enrollment's lock. Of lines whose
orders are purged the enrollment itself remembers what they said. Whatever happens to an order only says "look again",
so the order of deliveries, replays and crashes change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef
from django.utils import timezone

from apps.enrollment.models import Enrollment, EnrollmentLog, Track
from apps.enrollment.services.progress import prepare_progress
from apps.orders.models import Order, OrderItem
from apps.outbox.services import publish
from apps.payment.models import Dispute

S, R = Enrollment.Status, EnrollmentLog.Reason

RANKS = {S.WITHDRAWN: 0, S.SUSPENDED: 1, S.ENROLLED: 2}
"""One line that stands is enough; a line whose dispute may still be won is better than one that is gone."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the lines say, and the order whose line decides; 0 is one that is purged."""

    status: str
    reason: str
    order_id: int


def settle_order(order_id: int) -> None:
    """Settle the enrollments that an order's lines are about, in the caller's transaction.

    A guest's order is about nobody until it is claimed.
    """
    order = Order.objects.get(pk=order_id)
    if order.user_id is None:
        return
    for track in Track.objects.filter(variant__order_items__order=order).order_by("pk"):
        settle_enrollment(user_id=order.user_id, track=track)


def settle_enrollment(*, user_id: int, track: Track) -> None:
    """Make one person's enrollment in one track what the paid lines say, in the caller's transaction.

    Safe to call any number of times and at once: the second finds nothing to change.
    """
    if standing_of(user_id=user_id, track=track) is None:
        return  # nothing was ever paid, and what was paid once stays in the books
    enrollment = _lock(user_id=user_id, track=track)
    standing = standing_of(user_id=user_id, track=track)
    if standing is not None and standing.status != enrollment.status:
        _move(enrollment, track, standing)


def standing_of(*, user_id: int, track: Track) -> Standing | None:
    """What the lines that the person paid for say of the track at this moment; None without any."""
    standings = standings_of(user_id=user_id, track=track)
    purged = Enrollment.objects.filter(user=user_id, track=track).exclude(of_purged="")
    for said in purged.values_list("of_purged", flat=True):
        standings.append(Standing(said, R.PAID if said == S.ENROLLED else R.REFUNDED, 0))
    return max(standings, key=lambda each: (RANKS[S(each.status)], each.order_id), default=None)


def standings_of(*, user_id: int, track: Track) -> list[Standing]:
    """What each of these lines says, but for those whose orders are purged."""
    lost = Dispute.objects.filter(payment__order=OuterRef("order"), payment__applied=True, status=Dispute.Status.LOST)
    lines = (
        OrderItem.objects.filter(order__user=user_id, order__payment_status__in=Order.PAID, variant=track.variant_id)
        .select_related("order")
        .annotate(lost=Exists(lost))
        .order_by("order_id")
    )
    return [_standing(line, lost=line.lost) for line in lines]


def _standing(line: OrderItem, *, lost: bool) -> Standing:
    if line.refunded_quantity >= line.quantity:
        return Standing(S.WITHDRAWN, R.REFUNDED, line.order_id)
    if lost:
        return Standing(S.WITHDRAWN, R.DISPUTE_LOST, line.order_id)
    if line.order.disputed:
        return Standing(S.SUSPENDED, R.DISPUTED, line.order_id)
    return Standing(S.ENROLLED, R.PAID, line.order_id)


def _lock(*, user_id: int, track: Track) -> Enrollment:
    """The person's row for the track, made when there is none, locked until the transaction ends."""
    Enrollment.objects.bulk_create([Enrollment(user_id=user_id, track=track)], ignore_conflicts=True)
    return Enrollment.objects.select_for_update(no_key=True).get(user=user_id, track=track)


def _move(enrollment: Enrollment, track: Track, standing: Standing) -> None:
    before, told_before = enrollment.status, enrollment.enrolled_at is not None
    enrollment.status = standing.status
    enrollment.transitions += 1
    if standing.status == S.ENROLLED and enrollment.enrolled_at is None:
        enrollment.enrolled_at = timezone.now()
    enrollment.save(update_fields=["status", "transitions", "enrolled_at"])
    EnrollmentLog.objects.create(
        enrollment=enrollment,
        seq=enrollment.transitions,
        from_status=before,
        to_status=standing.status,
        reason=standing.reason,
        order_id=standing.order_id or None,
        at=timezone.now(),
    )
    if standing.status == S.ENROLLED:
        prepare_progress(enrollment)
    _tell(enrollment, track, standing, told_before=told_before)


def _tell(enrollment: Enrollment, track: Track, standing: Standing, *, told_before: bool) -> None:
    """Publish the change for whoever writes to the person.

    `enrollment.enrolled` comes once per person and track; after it `enrollment.suspended`, `enrollment.withdrawn`
    and `enrollment.restored`, once per change. Who was refunded before ever being enrolled hears nothing. The payload
    of all four: `enrollment_id`, `transition` (its log's row), `user_id`, `order_id` (the order that decided),
    `track_code`, `track_name` and `reason` (`paid`, `refunded`, `disputed` or `dispute_lost`).
    """
    again = {
        S.ENROLLED: "enrollment.restored",
        S.SUSPENDED: "enrollment.suspended",
        S.WITHDRAWN: "enrollment.withdrawn",
    }
    if not told_before and standing.status != S.ENROLLED:
        return
    publish(
        again[S(standing.status)] if told_before else "enrollment.enrolled",
        f"{enrollment.pk}/{enrollment.transitions}",
        {
            "enrollment_id": enrollment.pk,
            "transition": enrollment.transitions,
            "user_id": enrollment.user_id,
            "order_id": standing.order_id,
            "track_code": track.code,
            "track_name": track.name,
            "reason": standing.reason,
        },
    )
