"""Shapes that every call shares, for the OpenAPI schema."""

from __future__ import annotations

from rest_framework import serializers


class ErrorOutput(serializers.Serializer[dict[str, object]]):
    """The one shape of errors."""

    error = serializers.CharField(help_text="A sentence for a person.")
    code = serializers.CharField(help_text="Stable; for programs.")
    fields = serializers.DictField(required=False, help_text="Sentences per field, for invalid input.")  # type: ignore[assignment]


def errors(*statuses: int) -> dict[int, type[ErrorOutput]]:
    """Error answers by status, to be merged into `extend_schema(responses=...)`; 406 is every call's."""
    return dict.fromkeys((*statuses, 406), ErrorOutput)


class PageOutput(serializers.Serializer[dict[str, object]]):
    """One page of a list; `results` is added by each list."""

    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
