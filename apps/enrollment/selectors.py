"""Tracks on offer, and a person's course as the API shows it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Case, F, IntegerField, OuterRef, QuerySet, Subquery, Value, When

from apps.catalog.models import Price
from apps.common.errors import NotFound
from apps.common.money import to_major
from apps.enrollment.models import Enrollment, StepProgress, Track
from apps.enrollment.services.progress import projects_of, states_of, unlocked
from apps.payment.views.render import moment

S = Enrollment.Status


def tracks_on_offer() -> QuerySet[Any]:
    """Tracks that can be bought in the shop's currency, each with its price in minor units as `price`."""
    price = Price.objects.filter(variant=OuterRef("variant"), currency=settings.DEFAULT_CURRENCY).values("amount")
    on_offer = Track.objects.filter(variant__active=True, variant__product__active=True)
    return on_offer.annotate(price=Subquery(price[:1])).filter(price__isnull=False)


def track_on_offer(code: str) -> Track:
    """Raises NotFound `track_not_found`."""
    return _found(tracks_on_offer(), code)


def render_track(track: Any) -> dict[str, Any]:
    """A track that `tracks_on_offer` found."""
    return {
        "code": track.code,
        "name": track.name,
        "price": to_major(track.price, settings.DEFAULT_CURRENCY),
        "currency": settings.DEFAULT_CURRENCY,
        "variant_id": track.variant_id,
    }


def render_course(*, user: Any, code: str = "") -> dict[str, Any]:
    """A person's enrollment in the track of this code with its projects, and all enrollments beside it.

    Without a code it is the latest active one; where none is active, the latest of those that are suspended, then of
    those withdrawn. Raises NotFound `track_not_found`.
    """
    enrollments = list(_enrollments(user))
    if code:
        asked = _found(Track.objects.all(), code)
        shown = next((each for each in enrollments if each.track_id == asked.pk), None)
    else:
        asked = None
        shown = next(iter(enrollments), None)
    track = shown.track if shown else asked
    return {
        "status": shown.status if shown else S.NOT_ENROLLED,
        "track": track.code if track else None,
        "track_name": track.name if track else None,
        "enrolled_at": moment(shown.enrolled_at) if shown else None,
        "projects": _render_projects(shown) if shown else [],
        "enrollments": [
            {
                "track": each.track.code,
                "track_name": each.track.name,
                "status": each.status,
                "enrolled_at": moment(each.enrolled_at),
            }
            for each in enrollments
        ],
    }


def _found(tracks: QuerySet[Any], code: str) -> Track:
    # No database takes a NUL, and none of ours has anything beyond ASCII in a code.
    track: Track | None = tracks.filter(code=code).first() if code.isascii() and code.isprintable() else None
    if track is None:
        raise NotFound("There is no such track.", code="track_not_found")
    return track


def _enrollments(user: Any) -> QuerySet[Enrollment]:
    rank = Case(
        When(status=S.ENROLLED, then=Value(0)),
        When(status=S.SUSPENDED, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    return (
        Enrollment.objects.filter(user=user)
        .select_related("track")
        .order_by(rank, F("enrolled_at").desc(nulls_last=True), "-pk")
    )


def _render_projects(enrollment: Enrollment) -> list[dict[str, Any]]:
    states = states_of(enrollment)
    return [
        {
            "number": number,
            "title": project.title,
            "unlocked": open_now,
            "steps": [
                {"id": step.pk, "title": step.title, "state": states.get(step.pk, StepProgress.State.LOCKED)}
                for step in project.steps.all()
            ],
        }
        for number, (project, open_now) in enumerate(unlocked(projects_of(enrollment.track_id), states), start=1)
    ]
