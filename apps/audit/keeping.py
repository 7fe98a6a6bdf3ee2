"""The one way around the database's refusal: to forget a person, and to drop what is older than records are kept.

Both databases have triggers on the trail (migrations 0002 and 0003). They let an UPDATE pass only between `OPEN` and
`CLOSE` of the keeper, in the same transaction, and then for names, values and texts alone. A DELETE takes
`apps.common.retention.letting_go` and an old entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from apps.audit.models import AuditEntry
from apps.common.retention import delete_rows, kept_since, letting_go
from apps.common.retention import drop_old as drop_old_rows

OPEN = {
    "postgresql": "SELECT set_config('proshop.audit_keeper', 'on', true)",
    "sqlite": "INSERT INTO audit_keeper (at_work) VALUES (1)",
}
CLOSE = {
    "postgresql": "SELECT set_config('proshop.audit_keeper', '', true)",
    "sqlite": "DELETE FROM audit_keeper",
}
FORGOTTEN = "(forgotten)"
PERSONAL = frozenset(
    {
        "email",
        "name",
        "recipient",
        "shipping_address",
        "tracking_number",
        "description",
        "decision_note",
        "note",
        "evidence",
        "last4",
        "receipt_url",
        "last_error",
    }
)
"""Columns that tell who a person is, and those in which people write about them."""

TEXTS = ("object_name", "before", "after", "reason", "detail")

BATCH = 1000


Objects = Iterable[tuple[str, Any]]
"""Type and id of each, such as `payment.refund` and 7."""


def entries_about(objects: Objects) -> QuerySet[AuditEntry]:
    """What was done to these objects."""
    ids: dict[str, list[str]] = {}
    for object_type, object_id in objects:
        ids.setdefault(object_type, []).append(str(object_id))
    about = Q(pk__in=[])
    for object_type, of_type in ids.items():
        about |= Q(object_type=object_type, object_id__in=of_type)
    return AuditEntry.objects.filter(about)


def forget_person(user_id: int | None, *, objects: Objects = (), mentions: Iterable[str] = ()) -> int:
    """Blank what the trail says of a person: as an actor, as an object, and in `objects` of theirs.

    Elsewhere the texts that one of the `mentions` (their addresses) stands in are blanked. What was done, to which
    row and when stays. Returns how many entries were blanked.
    """
    own = list(objects)
    if user_id is not None:
        own.append((settings.AUTH_USER_MODEL.lower(), user_id))
    with _keeper():
        if user_id is not None:
            AuditEntry.objects.filter(actor_id=user_id).update(actor_name="")
        entries = {entry.pk: entry for entry in entries_about(own)}
        for entry in entries.values():
            entry.object_name = entry.reason = entry.detail = ""
            entry.before, entry.after = _blanked(entry.before), _blanked(entry.after)
        for mention in mentions:
            for entry in AuditEntry.objects.filter(_mentioning(mention)):
                entry = entries.setdefault(entry.pk, entry)
                for name in TEXTS:
                    setattr(entry, name, _without(getattr(entry, name), mention.lower()))
        AuditEntry.objects.bulk_update(entries.values(), TEXTS, batch_size=BATCH)
    return len(entries)


def drop_old() -> int:
    """Drop entries that are older than records are kept, the admin's own log too. Returns how many, a batch each."""
    end = kept_since()
    gone = drop_old_rows(LogEntry, "action_time", before=end, limit=BATCH)
    old = list(AuditEntry.objects.filter(at__lt=end).order_by("at").values_list("pk", flat=True)[:BATCH])
    if old:
        with letting_go(end):
            gone += delete_rows(AuditEntry.objects.filter(pk__in=old))
    return gone


def touched_since(moment: datetime, object_type: str, ids: Iterable[Any]) -> set[int]:
    """Which of these objects somebody did something to since then."""
    done = AuditEntry.objects.filter(object_type=object_type, object_id__in=[str(pk) for pk in ids], at__gte=moment)
    return {int(pk) for pk in done.values_list("object_id", flat=True)}


def _blanked(image: Any) -> Any:
    """An image, or a list or a part of one, with whatever is personal blanked."""
    if isinstance(image, dict):
        return {key: FORGOTTEN if key in PERSONAL and value else _blanked(value) for key, value in image.items()}
    return [_blanked(each) for each in image] if isinstance(image, list) else image


def _mentioning(text: str) -> Q:
    found = Q()
    for name in TEXTS:
        found |= Q(**{f"{name}__icontains": text})
    return found


def _without(value: Any, mention: str) -> Any:
    """A text, an image or a part of one, without the texts that a mention stands in."""
    if isinstance(value, dict):
        return {key: _without(each, mention) for key, each in value.items()}
    if isinstance(value, list):
        return [_without(each, mention) for each in value]
    return FORGOTTEN if isinstance(value, str) and mention in value.lower() else value


@contextmanager
def _keeper() -> Iterator[None]:
    """A transaction in which the triggers let the trail's keeper work."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(OPEN[connection.vendor])
        yield
        cursor.execute(CLOSE[connection.vendor])
