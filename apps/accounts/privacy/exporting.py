"""All that is held of a person, to be handed to them."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.privacy.holders import NothingHeld, Subject, find_subject, holders, objects_of
from apps.accounts.privacy.trails import export_trails
from apps.audit.models import AuditEntry
from apps.audit.services import record


def collect(subject: Subject) -> dict[str, Any]:
    """What every app holds, by the app's name, as JSON takes it."""
    found = {holder.name: holder.export(subject) for holder in holders}
    return {
        "exported_at": timezone.now(),
        "addresses": sorted(subject.addresses),
        **found,
        "trails": export_trails(subject, objects_of(subject)),
    }


def export_to(path: Path, *, address: str) -> int:
    """Write what is held into a new ZIP file that only its owner may read. Returns how many files are in it.

    Raises NothingHeld, FileExistsError.
    """
    subject = find_subject(address)
    if not objects_of(subject):
        raise NothingHeld
    text = json.dumps(collect(subject), cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
    with open(path, "xb", opener=_private) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.json", text)
        for holder in holders:
            for name, content in holder.files(subject):
                archive.writestr(f"{holder.name}/{name}", content)
        count = len(archive.namelist())
    user = User.objects.filter(pk=subject.user_id).first() if subject.user_id else None
    if user is not None:
        record(None, "exported", user, source=AuditEntry.Source.COMMAND)
    return count


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
