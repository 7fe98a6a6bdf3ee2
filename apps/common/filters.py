"""Filters of the admin's lists whose choices are known beforehand: Django's own would look through whole tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

Choices = Iterable[tuple[str, str]]


def by_choice(field: str, choices: Callable[[], Choices], title: str = "") -> type[admin.SimpleListFilter]:
    """A filter on one column."""

    class Filter(admin.SimpleListFilter):
        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return list(choices())

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            value = self.value()
            return queryset if value is None else queryset.filter(**{field: value})

    Filter.title = title or field.replace("_", " ")
    Filter.parameter_name = field
    return Filter
