"""What is unlocked for whom, and what is done. Nothing that was open is ever locked again.

Whoever changes progress holds the enrollment's lock: two last steps completed at once would else both be followed by
nothing, each not seeing the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.common.errors import Conflict, NotFound
from apps.enrollment.models import Enrollment, Project, Step, StepProgress

LOCKED, OPEN, COMPLETED = StepProgress.State


def complete_step(*, user: Any, step_id: int) -> Enrollment:
    """Note that a person has done a step; the last one of a project unlocks the next. Again it changes nothing.

    Raises NotFound `step_not_found`, Conflict `not_enrolled`, `step_locked`.
    """
    with transaction.atomic(durable=True):
        track_id = Step.objects.filter(pk=step_id).values_list("project__track", flat=True).first()
        mine = Enrollment.objects.filter(user=user, track=track_id)
        enrollment = mine.select_for_update(no_key=True).first()
        if enrollment is None:
            raise NotFound("There is no such step.", code="step_not_found")
        if enrollment.status != Enrollment.Status.ENROLLED:
            raise Conflict(f"Your enrollment is {enrollment.status}.", code="not_enrolled")
        prepare_progress(enrollment)  # the step may be newer than the news of it
        progress = StepProgress.objects.filter(enrollment=enrollment, step=step_id).first()
        if progress is None:
            raise NotFound("There is no such step.", code="step_not_found")
        if progress.state == LOCKED:
            raise Conflict("Finish the project before it first.", code="step_locked")
        if progress.state == OPEN:
            progress.state, progress.completed_at = COMPLETED, timezone.now()
            progress.save(update_fields=["state", "completed_at"])
            _open_reached(enrollment)
    return enrollment


def prepare_progress(enrollment: Enrollment) -> None:
    """Give a locked enrollment a row for each step of its track and open what it has reached."""
    known = StepProgress.objects.filter(enrollment=enrollment).values("step")
    missing = Step.objects.filter(project__track=enrollment.track_id).exclude(pk__in=known)
    StepProgress.objects.bulk_create(
        [StepProgress(enrollment=enrollment, step_id=step_id) for step_id in missing.values_list("pk", flat=True)],
        ignore_conflicts=True,
    )
    _open_reached(enrollment)


def unlocked(projects: Iterable[Project], states: Mapping[int, str]) -> list[tuple[Project, bool]]:
    """Each project in its order with whether it is unlocked, given the state of each step by the step's id.

    The first is, the next once all before it are completed, and one that was unlocked stays so whatever staff adds
    before it or to it.
    """
    found = []
    reached = True
    for project in projects:
        own = [states.get(step.pk, LOCKED) for step in project.steps.all()]
        found.append((project, reached or any(state != LOCKED for state in own)))
        reached = reached and all(state == COMPLETED for state in own)
    return found


def projects_of(track_id: int) -> list[Project]:
    """A track's projects in their order, with their steps."""
    return list(Project.objects.filter(track=track_id).prefetch_related("steps"))


def states_of(enrollment: Enrollment) -> dict[int, str]:
    """The state of each step by the step's id."""
    return dict(StepProgress.objects.filter(enrollment=enrollment).values_list("step", "state"))


def _open_reached(enrollment: Enrollment) -> None:
    to_open = [
        step.pk
        for project, open_now in unlocked(projects_of(enrollment.track_id), states_of(enrollment))
        for step in project.steps.all()
        if open_now
    ]
    StepProgress.objects.filter(enrollment=enrollment, step__in=to_open, state=LOCKED).update(state=OPEN)
