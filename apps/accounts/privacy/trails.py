"""What the audit trail and the admin's own log say of a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet

from apps.accounts.privacy.holders import Subject
from apps.audit.keeping import FORGOTTEN, entries_about, forget_person

Objects = Sequence[tuple[str, Any]]


def export_trails(subject: Subject, objects: Objects) -> dict[str, Any]:
    """What was done to what belongs to a person. Who did it is somebody else's data."""
    entries = entries_about(objects).order_by("pk")
    log = _log_about(objects).order_by("pk")
    return {
        "audit_trail": list(
            entries.values("at", "action", "object_type", "object_id", "before", "after", "reason", "detail")
        ),
        "admin_log": list(log.values("action_time", "content_type__model", "object_id", "change_message")),
    }


def forget_in_trails(subject: Subject, objects: Objects) -> None:
    """Blank what both say; that something was done, to which row and when stays."""
    forget_person(subject.user_id, objects=objects, mentions=subject.addresses)
    mentioning = Q()
    for address in subject.addresses:
        mentioning |= Q(object_repr__icontains=address) | Q(change_message__icontains=address)
    for entries in (_log_about(objects), LogEntry.objects.filter(mentioning)):
        entries.update(object_repr=FORGOTTEN, change_message="")


def _log_about(objects: Objects) -> QuerySet[LogEntry]:
    types = {f"{kind.app_label}.{kind.model}": kind.pk for kind in ContentType.objects.all()}
    keys: dict[str, list[str]] = {}
    for label, key in objects:
        keys.setdefault(label, []).append(str(key))
    about = Q(pk__in=[])
    for label, of_type in keys.items():
        about |= Q(content_type=types.get(label), object_id__in=of_type)
    return LogEntry.objects.filter(about)
