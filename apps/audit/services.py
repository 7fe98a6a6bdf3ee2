"""Writing the trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model
from django.utils import timezone

from apps.audit.images import clean, difference, label_of, name_of, plain
from apps.audit.models import AuditEntry


def record(
    actor: AbstractBaseUser | AnonymousUser | None,
    action: str,
    obj: Model,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    *,
    source: str = AuditEntry.Source.ADMIN,
    detail: str = "",
) -> AuditEntry:
    """Add one entry, in the caller's transaction if there is one: then it is there exactly when the deed is.

    Of `before` and `after` what differs is kept. No actor means that nobody was signed in, as on the command line.
    """
    old, new = difference(before or {}, after or {})
    return AuditEntry.objects.create(
        at=timezone.now(),
        actor_id=actor.pk if actor is not None else None,
        actor_name=actor.get_username() if actor is not None else "",
        source=source,
        action=action[:60],
        object_type=label_of(obj),
        object_id=str(obj.pk)[:64],
        object_name=name_of(obj),
        before=plain(old),
        after=plain(new),
        reason=clean(reason),
        detail=clean(detail),
    )
