"""Reading the trail."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Model, Q, QuerySet

from apps.audit.images import label_of
from apps.audit.models import AuditEntry


def entries_of(rows: Iterable[Model]) -> QuerySet[AuditEntry]:
    """What was done to any of these rows, oldest first."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        ids.setdefault(label_of(row), []).append(str(row.pk))
    about = Q(pk__in=[])
    for object_type, object_ids in ids.items():
        about |= Q(object_type=object_type, object_id__in=object_ids)
    return AuditEntry.objects.filter(about).order_by("pk")
