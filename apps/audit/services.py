"""Writing the trail."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model
from django.utils import timezone

from apps.audit.images import clean, difference, label_of, name_of, plain
from apps.audit.models import AuditEntry


@dataclass(frozen=True, slots=True)
class Thing:
    """What something was done to and is no row here. `kind` is such as payment.webhookendpoint."""

    kind: str
    id: str = ""
    name: str = ""

    @classmethod
    def of(cls, row: Model) -> Thing:
        return cls(label_of(row), str(row.pk), name_of(row))


def record(
    actor: AbstractBaseUser | AnonymousUser | None,
    action: str,
    obj: Model | Thing,
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
    thing = obj if isinstance(obj, Thing) else Thing.of(obj)
    return AuditEntry.objects.create(
        at=timezone.now(),
        actor_id=actor.pk if actor is not None else None,
        actor_name=actor.get_username() if actor is not None else "",
        source=source,
        action=action[:60],
        object_type=thing.kind,
        object_id=thing.id[:64],
        object_name=clean(thing.name)[:200],
        before=plain(old),
        after=plain(new),
        reason=clean(reason),
        detail=clean(detail),
    )


def record_command(
    command: str,
    action: str,
    obj: Model | Thing,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    *,
    told: str = "",
) -> AuditEntry:
    """As `record`, for what somebody at the command line did. `told` is what the command says of it."""
    detail = f"{command}, by {account()} of the machine" + (f". {told}" if told else "")
    return record(None, action, obj, before, after, source=AuditEntry.Source.COMMAND, detail=detail)


def account() -> str:
    """Who is at the command line, as far as the machine knows; a container may know nobody."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "an account without a name"
