"""Path converters."""

from __future__ import annotations

from django.urls import register_converter


class RowId:
    """A database id. Bounded, because a longer number fits no column and would be a fault instead of a 404."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(RowId, "id")
