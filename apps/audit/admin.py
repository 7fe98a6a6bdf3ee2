"""The trail for those who may read it. Nobody adds, changes or deletes an entry here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.audit.models import AuditEntry
from apps.audit.selectors import meant_by, values_of
from apps.common.admin import ReadOnlyAdmin


class Distinct(admin.SimpleListFilter):
    """The values that a column has, found by jumping from one to the next in its index, not by reading all rows."""

    column = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value.replace("_", " ")) for value in values_of(self.column)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class Action(Distinct):
    title = column = parameter_name = "action"


class ObjectType(Distinct):
    title, column, parameter_name = "kind of object", "object_type", "object_type"


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Found by the object's id, by its name or by who did it."""

    list_display = ("at", "actor_name", "action", "thing", "reason", "source")
    list_filter = ("source", Action, ObjectType, "at")
    search_fields = ("object_id", "object_name", "actor_name")
    search_help_text = (
        "Who did it, as an e-mail address; or the object's id or name, such as an order's number, in full."
    )
    date_hierarchy = "at"
    fields = ("at", "actor", "actor_name", "source", "action", "thing", "changes", "reason", "detail")
    readonly_fields = ("thing", "changes")
    list_select_related = ("actor",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """By what an index answers."""
        return queryset.filter(meant_by(search_term)) if search_term.strip() else queryset, False

    @admin.display(description="object", ordering="object_type")
    def thing(self, entry: AuditEntry) -> SafeString | str:
        """The object, with a link to its page where it has one."""
        name = f"{entry.object_type} {entry.object_name or entry.object_id}"
        try:
            address = reverse(f"admin:{entry.object_type.replace('.', '_')}_change", args=[entry.object_id])
        except NoReverseMatch:
            return name
        return format_html('<a class="text-link" href="{}">{}</a>', address, name)

    @admin.display(description="before and after")
    def changes(self, entry: AuditEntry) -> SafeString | str:
        names = [*entry.before, *(name for name in entry.after if name not in entry.before)]
        if not names:
            return "Nothing of the object itself changed."
        rows = format_html_join(
            "", "<tr><th scope=row>{}</th><td>{}</td><td>{}</td></tr>", (_row(entry, name) for name in names)
        )
        return format_html(
            '<div class="overflow-x-auto"><table class="audit-changes">'
            "<thead><tr><th scope=col>field</th><th scope=col>before</th><th scope=col>after</th></tr></thead>"
            "<tbody>{}</tbody></table></div>",
            rows,
        )


def _row(entry: AuditEntry, name: str) -> tuple[str, str, str]:
    return name, _text(entry.before.get(name)), _text(entry.after.get(name))


def _text(value: Any) -> str:
    """A value in plain words; an image of a related row as its columns."""
    if value is None or value == "":
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "–"
    return str(value)
