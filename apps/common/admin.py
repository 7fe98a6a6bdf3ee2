"""What the admin's pages share: rows that nobody edits, money in major units."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

from apps.common.models import IdempotencyKey, LimitCount
from apps.common.money import to_major

COUNTED = 10_000
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


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that come from elsewhere: nothing is added, changed or deleted by hand.

    Viewing needs the view or the change permission, as everywhere in the admin.
    """

    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False

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
    @admin.display(description=name, ordering=field)
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
