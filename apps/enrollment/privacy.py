"""What enrollment keeps of a person: how far they came. It hangs on their number alone, so an erasure leaves it."""

from __future__ import annotations

from typing import Any

from apps.accounts.privacy.holders import Holder, Subject
from apps.enrollment.models import Enrollment


def _export(subject: Subject) -> list[dict[str, Any]]:
    if subject.user_id is None:
        return []
    enrollments = Enrollment.objects.filter(user=subject.user_id).select_related("track").order_by("pk")
    return [
        {
            "track": enrollment.track.code,
            "name": enrollment.track.name,
            "status": enrollment.status,
            "enrolled_at": enrollment.enrolled_at,
            "steps": list(enrollment.progress.values("step__project__title", "step__title", "state", "completed_at")),
            "history": list(enrollment.log.values("at", "to_status", "reason", "order__number")),
        }
        for enrollment in enrollments
    ]


HOLDER = Holder("enrollment", export=_export)
