"""What the admin's pages share: rows that nobody edits, money in major units."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Max, Min, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from apps.common.models import IdempotencyKey, LimitCount
from apps.common.money import to_major

COUNTED = 1000
"""How far a list is counted and paged through. Filters and the search find what lies further back."""


class AtLeast(int):
    """A number of which nobody knows whether there are more."""

    def __str__(self) -> str:
        return f"{int(self)}+"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts so many rows and no more: a list of millions opens as fast as a short one."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        found = rows.order_by()[: COUNTED + 1].count() if isinstance(rows, QuerySet) else len(rows)
        return AtLeast(COUNTED) if found > COUNTED else found


class CalendarChangeList(ChangeList):  # type: ignore[misc]
    """Years, months and days from the first row's to the last one's, instead of looking through all rows for them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.date_hierarchy:
            self.queryset.aggregate = self._ends
            self.queryset.datetimes = self._steps

    def _ends(self, **wanted: Any) -> dict[str, datetime | None]:
        """When the first and the last row of the table are; filters are left aside. Rows come in order of time."""
        field, rows = self.date_hierarchy, self.model._base_manager.all()
        whole = [index for index in self.model._meta.indexes if index.condition is None and index.fields]
        if any(index.fields[0].lstrip("-") == field for index in whole):
            ends: dict[str, datetime | None] = rows.aggregate(first=Min(field), last=Max(field))
            return ends
        times = rows.values_list(field, flat=True)
        return {"first": times.order_by("pk").first(), "last": times.order_by("-pk").first()}

    def _steps(self, field: str, kind: str) -> list[date]:
        ends = self._ends()
        if not ends["first"] or not ends["last"]:
            return []
        first, last = timezone.localdate(ends["first"]), timezone.localdate(ends["last"])
        if kind == "year":
            return [date(year, 1, 1) for year in range(first.year, last.year + 1)]
        year = int(self.params.get(f"{field}__year", last.year))
        if kind == "month":
            months = [date(year, month, 1) for month in range(1, 13)]
            return [month for month in months if first.replace(day=1) <= month <= last]
        month = int(self.params.get(f"{field}__month", last.month))
        days = [date(year, month, day) for day in range(1, monthrange(year, month)[1] + 1)]
        return [day for day in days if first <= day <= last]


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that come from elsewhere: nothing is added, changed or deleted by hand.

    Viewing needs the view or the change permission, as everywhere in the admin.
    """

    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CalendarChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyInline:
    """An inline table for reading."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MajorUnits:
    """Shows amount columns as decimals in the row's currency.

    `money_fields` maps the name of a column on the page to the model's field in minor units.
    """

    money_fields: dict[str, str] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, field in cls.money_fields.items():
            setattr(cls, name, _column(name, field))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), *self.money_fields]  # type: ignore[misc]


def _column(name: str, field: str) -> Any:
    @admin.display(description=name.replace("_", " "), ordering=field)
    def show(self: Any, row: Any) -> str:
        return to_major(getattr(row, field), row.currency)

    return show


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    """Answers that a client may ask for again; they go after a day."""

    list_display = ("caller", "key", "status", "error_code", "created_at")
    list_filter = ("status",)
    search_fields = ("caller__exact", "key__exact")


@admin.register(LimitCount)
class LimitCountAdmin(ReadOnlyAdmin):
    """Who used what how often in a window that is still open."""

    list_display = ("key", "n", "expires_at")
    search_fields = ("key__startswith",)
