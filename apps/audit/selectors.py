"""Reading the trail."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Model, Q, QuerySet

from apps.audit.images import label_of
from apps.audit.models import AuditEntry

MOST_VALUES = 200
"""Of an action or a kind of object; a shop has some dozens."""


def entries_of(rows: Iterable[Model]) -> QuerySet[AuditEntry]:
    """What was done to any of these rows, oldest first."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        ids.setdefault(label_of(row), []).append(str(row.pk))
    about = Q(pk__in=[])
    for object_type, object_ids in ids.items():
        about |= Q(object_type=object_type, object_id__in=object_ids)
    return AuditEntry.objects.filter(about).order_by("pk")


def values_of(column: str) -> list[str]:
    """The different values of a column, as far as `MOST_VALUES` goes, in order. One statement.

    Each is the smallest that is greater than the one before, which an index that begins with the column answers at
    once. SELECT DISTINCT would read the whole trail.
    """
    name = connection.ops.quote_name(column)
    table = connection.ops.quote_name(AuditEntry._meta.db_table)
    statement = f"""
        WITH RECURSIVE found(value, n) AS (
            SELECT min({name}), 1 FROM {table}
            UNION ALL
            SELECT (SELECT min({name}) FROM {table} WHERE {name} > found.value), n + 1
            FROM found WHERE found.value IS NOT NULL AND n < %s
        )
        SELECT value FROM found WHERE value IS NOT NULL ORDER BY value
    """  # noqa: S608 - names of the model alone
    with connection.cursor() as cursor:
        cursor.execute(statement, [MOST_VALUES])
        return [value for (value,) in cursor.fetchall()]


def meant_by(text: str) -> Q:
    """The entries that a search means: done by somebody, or to an object of this id or name."""
    text = text.replace("\x00", "").strip()
    meant = Q(object_name=text)
    if "@" in text:
        people = get_user_model()._default_manager.filter(email__in=[text, text.lower()])
        # Ids, not a join: beside another condition a join would have every entry looked at.
        return meant | Q(actor__in=list(people.values_list("pk", flat=True)))
    return meant | Q(object_type__in=values_of("object_type"), object_id=text)
