"""The one way around the database's refusal: to forget a person, and to drop what is older than records are kept.

Both databases have triggers on the trail (migration 0002). They let a statement pass only between `open` and `close`
of the keeper, in the same transaction; and even then an UPDATE may change nothing but names, values and texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from apps.audit.models import AuditEntry

OPEN = {
    "postgresql": "SELECT set_config('proshop.audit_keeper', 'on', true)",
    "sqlite": "INSERT INTO audit_keeper (at_work) VALUES (1)",
}
CLOSE = {
    "postgresql": "SELECT set_config('proshop.audit_keeper', '', true)",
    "sqlite": "DELETE FROM audit_keeper",
}
FORGOTTEN = "(forgotten)"
PERSONAL = frozenset({"email", "name", "recipient", "shipping_address"})
"""Columns that tell who a person is."""

BATCH = 1000


def forget_person(user_id: int, *, objects: Iterable[tuple[str, Any]] = ()) -> int:
    """Blank what the trail says of a person: as an actor, as an object, and in `objects` (type and id) of theirs.

    What was done, to which row and when stays. Returns how many entries were blanked.
    """
    about = Q(object_type=settings.AUTH_USER_MODEL.lower(), object_id=str(user_id))
    for object_type, object_id in objects:
        about |= Q(object_type=object_type, object_id=str(object_id))
    with _keeper():
        AuditEntry.objects.filter(actor_id=user_id).update(actor_name="")
        entries = list(AuditEntry.objects.filter(about))
        for entry in entries:
            entry.object_name = entry.reason = entry.detail = ""
            entry.before, entry.after = _blanked(entry.before), _blanked(entry.after)
        AuditEntry.objects.bulk_update(
            entries, ["object_name", "before", "after", "reason", "detail"], batch_size=BATCH
        )
    return len(entries)


def drop_old() -> int:
    """Drop entries that are older than records are kept. Returns how many, at most a batch at a time."""
    end = timezone.now() - timedelta(days=366 * settings.RETENTION_YEARS)
    with _keeper():
        old = list(AuditEntry.objects.filter(at__lt=end).order_by("at").values_list("pk", flat=True)[:BATCH])
        if old:
            AuditEntry.objects.filter(pk__in=old).delete()
    return len(old)


def _blanked(image: Any) -> Any:
    """An image, or a list or a part of one, with whatever is personal blanked."""
    if isinstance(image, dict):
        return {key: FORGOTTEN if key in PERSONAL and value else _blanked(value) for key, value in image.items()}
    return [_blanked(each) for each in image] if isinstance(image, list) else image


@contextmanager
def _keeper() -> Iterator[None]:
    """A transaction in which the triggers let the trail's keeper work."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(OPEN[connection.vendor])
        yield
        cursor.execute(CLOSE[connection.vendor])
