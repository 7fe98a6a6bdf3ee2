"""Rows as they stand in the trail: plain values by column, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from django.db.models import Model
from django.utils import timezone

SECRET = frozenset({"password", "payload", "request_params", "idempotency_key", "checkout_url", "digest", "key"})
"""Columns whose change is told and whose value is not."""

LONGEST = 2000
"""A longer text is cut."""

Image = dict[str, Any]


def label_of(row: Model | type[Model]) -> str:
    """Such as `payment.refund`."""
    return row._meta.label_lower


def name_of(row: Model) -> str:
    """How a row calls itself, unless that gives a secret away."""
    name = clean(str(row))[:200]
    secrets = (str(getattr(row, field.attname)) for field in row._meta.concrete_fields if field.name in SECRET)
    return "" if any(secret and secret in name for secret in secrets) else name


def image_of(row: Model) -> Image:
    """Every column of a row and what its many-to-many fields name."""
    image = {field.attname: plain(field.value_from_object(row)) for field in row._meta.concrete_fields}
    for field in row._meta.many_to_many:
        image[field.name] = sorted(str(related) for related in field.value_from_object(row))
    return image


def stored_image_of(row: Model) -> Image:
    """The same, of the row as the database has it now; empty when it is gone."""
    found = row._meta.model._base_manager.filter(pk=row.pk).first()
    return image_of(found) if found else {}


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Image, Image]:
    """What of two images differs; a secret's values are left out."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return _shown(before, names), _shown(after, names)


def _shown(image: Mapping[str, Any], names: list[str]) -> Image:
    return {name: "(not shown)" if name in SECRET else image[name] for name in names if name in image}


def plain(value: Any) -> Any:
    """A value as JSON that every database takes: no NUL, no lone surrogate, aware times in UTC."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if timezone.is_aware(value) else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {str(plain(str(name))): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return clean(str(value))


def clean(text: str) -> str:
    """A text that every database takes, cut where it is too long."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:LONGEST]
