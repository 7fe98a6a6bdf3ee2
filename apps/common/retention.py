"""How long records are kept, and how old ones are let go."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.utils import timezone


def kept_since() -> datetime:
    """RETENTION_YEARS ago: whatever came to its end before then may go."""
    now = timezone.now()
    day = 28 if (now.month, now.day) == (2, 29) else now.day
    return now.replace(year=now.year - settings.RETENTION_YEARS, day=day)


def drop_old(model: type[Model], column: str, *, before: datetime, limit: int = 1000) -> int:
    """Delete the oldest rows of a table that only grows, as far as `column` is before that moment. Returns how many.

    Read by the primary key, so that it costs nothing while there is nothing to do.
    """
    rows: Any = model._default_manager.order_by("pk").values_list("pk", column)[:limit]
    old = []
    for key, at in rows:
        if at >= before:
            break
        old.append(key)
    if old:
        model._default_manager.filter(pk__in=old).delete()
    return len(old)
