"""I20: who is enrolled is who paid. Queries that return no row, for `manage.py verify`.

Between the commit that changes an order and the delivery that settles the enrollment the two differ. A delivery that
is still due excuses the enrollments it is about and no others; one that was given up excuses nothing. Lines of purged
orders are not there any more: `of_purged` says what they said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import BigIntegerField, Count, Exists, F, JSONField, OuterRef, Q, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from apps.enrollment.models import Enrollment, EnrollmentLog, Track
from apps.enrollment.subscribers import NAME
from apps.orders.models import Order, OrderItem
from apps.outbox.models import Delivery
from apps.payment.models import Dispute

S = Enrollment.Status


def checks() -> Iterator[tuple[str, str, QuerySet[Any]]]:
    """Each invariant's name, its meaning and the rows that break it."""
    lost = Dispute.objects.filter(payment__order=OuterRef("order"), payment__applied=True, status=Dispute.Status.LOST)
    lines = OrderItem.objects.filter(order__payment_status__in=Order.PAID, order__user__isnull=False)
    kept = lines.filter(refunded_quantity__lt=F("quantity")).exclude(Exists(lost))
    good, contested = kept.filter(order__disputed=False), kept.filter(order__disputed=True)
    settled = Enrollment.objects.exclude(_on_its_way(user="user", track="track"))
    yield (
        "I20",
        "who is enrolled has a line for the track that is paid, not refunded and not disputed",
        settled.filter(status=S.ENROLLED).exclude(_theirs(good)).exclude(of_purged=S.ENROLLED),
    )
    yield (
        "I20",
        "who is suspended has no better line than one under a dispute",
        settled.filter(status=S.SUSPENDED).filter(_theirs(good) | ~_theirs(contested) | Q(of_purged=S.ENROLLED)),
    )
    yield (
        "I20",
        "who is withdrawn paid once, and every line went back or was lost",
        settled.filter(status=S.WITHDRAWN).filter(
            _theirs(kept) | Q(of_purged=S.ENROLLED) | (~_theirs(lines) & Q(of_purged=""))
        ),
    )
    known = Enrollment.objects.filter(user=OuterRef("order__user"), track__variant=OuterRef("variant"))
    yield (
        "I20",
        "who paid for a track has an enrollment with a status",
        lines.filter(Exists(Track.objects.filter(variant=OuterRef("variant"))))
        .exclude(Exists(known.exclude(status=S.NOT_ENROLLED)))
        .exclude(_on_its_way(user="order__user", track="variant__track")),
    )
    yield from _of_the_log()


def _of_the_log() -> Iterator[tuple[str, str, QuerySet[Any]]]:
    logged = Enrollment.objects.annotate(rows=Count("log"))
    yield "I17", "an enrollment's log has no gap", logged.exclude(rows=F("transitions"))
    last = EnrollmentLog.objects.filter(
        enrollment=OuterRef("pk"), seq=OuterRef("transitions"), to_status=OuterRef("status")
    )
    yield (
        "I17",
        "the last row of an enrollment's log is its present state",
        Enrollment.objects.exclude(Exists(last)),
    )


def _theirs(lines: QuerySet[OrderItem]) -> Exists:
    """Of these lines, an enrollment's person has one for its track."""
    return Exists(lines.filter(order__user=OuterRef("user"), variant=OuterRef("track__variant")))


def _on_its_way(*, user: str, track: str) -> Exists:
    """A due delivery is about this person and track: about the track, or an order of theirs with it."""
    due = Delivery.objects.filter(subscriber=NAME, state=Delivery.State.DUE).annotate(
        told=Cast("payload", JSONField()),
        about_order=Cast(KT("told__order_id"), BigIntegerField()),
        about_track=Cast(KT("told__track_id"), BigIntegerField()),
    )
    theirs = OrderItem.objects.filter(
        order=OuterRef("about_order"),
        order__user=OuterRef(OuterRef(user)),
        variant__track=OuterRef(OuterRef(track)),
    )
    return Exists(due.filter(Exists(theirs) | Q(about_track=OuterRef(track))))
