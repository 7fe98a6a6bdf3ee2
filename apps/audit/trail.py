"""What keeps the admin's trail: every page registered on the shop's site, whichever app it comes from.

A form's entry is written in the transaction that saves the form. A page or an action that asks a service to do
something is compared with what it left behind: its own transaction may be over, and Stripe may have been asked in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponseBase, QueryDict

from apps.audit.images import Image, difference, image_of, label_of, stored_image_of
from apps.audit.services import record

MOST = 1000
"""Of how many rows one action's changes are kept row by row; a list's page is far smaller."""

FORM_VIEWS = frozenset({"add_view", "change_view", "changeform_view", "changelist_view", "delete_view"})
REASONS = ("trail_reason", "reason", "note", "decision_note", "description")
"""Fields of forms in which people say why, the first that is filled in counts."""

View = Callable[..., HttpResponseBase]
Key = tuple[str, str]


class Trail:
    """What one request of a member of staff touches, until it is written down."""

    def __init__(self, request: HttpRequest, action: str) -> None:
        self.request = request
        self.action = action
        self.rows: dict[Key, Model] = {}
        self.before: dict[Key, Image] = {}
        self.notes: dict[Key, list[str]] = {}
        self.written: set[Key] = set()
        self.old: Image | None = None
        self.related: tuple[Image, Image] = ({}, {})

    def begin_form(self, old: Image) -> None:
        """A form is about to be saved; `old` is its row as it was, empty when the row is new."""
        self.old, self.related = old, ({}, {})

    def watch(self, rows: Iterable[Model]) -> None:
        for row in rows:
            self.rows[_key(row)] = row
            self.before[_key(row)] = image_of(row)

    def note(self, row: Model, message: str) -> None:
        """Keep what a page says it did to a row."""
        self.rows.setdefault(_key(row), row)
        self.notes.setdefault(_key(row), []).append(message)

    def write(self, row: Model, action: str, before: Image, after: Image, detail: str = "") -> None:
        """One entry, now."""
        self.written.add(_key(row))
        record(self.request.user, action, row, before, after, reason_in(self.request), detail=detail)

    def close(self) -> None:
        """Write down which of the watched rows are not as they were, and what was noted of others."""
        for key, row in self.rows.items():
            if key in self.written:
                continue
            before = self.before.get(key)
            after = {} if before is None else stored_image_of(row)
            notes = self.notes.get(key, [])
            if notes or (before or {}) != after:
                self.write(row, self.action, before or {}, after, " ".join(notes))


def reason_in(request: HttpRequest) -> str:
    """Why, as far as the form was told."""
    return next((text for name in REASONS if (text := request.POST.get(name, "").strip())), "")


def kept(view: View) -> View:
    """An admin view whose doings go into the trail. Reading leaves none."""

    @wraps(view)
    def keeping(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        with _trail_of(request):
            model_admin = getattr(view, "__self__", None)
            named = kwargs.get("object_id", kwargs.get("id"))  # Django's page for passwords says id
            if named and isinstance(model_admin, ModelAdmin) and view.__name__ not in FORM_VIEWS:
                row = model_admin.get_object(request, unquote(named))
                trail(request).watch([row] if row is not None else [])
            elif request.resolver_match and request.resolver_match.url_name == "password_change":
                trail(request).watch([request.user])  # type: ignore[list-item]
            return view(request, *args, **kwargs)

    return keeping


@contextmanager
def _trail_of(request: HttpRequest) -> Iterator[None]:
    """Closed also when the view fails: what was done before it failed was done."""
    request._trail = Trail(request, _action_of(request))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        trail(request).close()


def trail(request: HttpRequest) -> Trail:
    """The trail of a request that `kept` let through."""
    found: Trail = request._trail  # type: ignore[attr-defined]
    return found


def _action_of(request: HttpRequest) -> str:
    """What a page's address or a list's menu calls it: `refund` of `payment_payment_refund`."""
    name = request.resolver_match.url_name if request.resolver_match else ""
    if name and name.endswith("_changelist"):
        return request.POST.get("action", "") or "changed"
    parts = (name or "").split("_", 2)
    return parts[2] if len(parts) == 3 else name or ""


def _key(row: Model) -> Key:
    return label_of(row), str(row.pk)


class KeepsTrail:
    """What the admin's own forms and lists do, written down where it is saved."""

    change_form_after_template = "audit/reason.html"
    delete_confirmation_template: Any = "audit/delete.html"
    delete_selected_confirmation_template: Any = "audit/delete.html"

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        trail(request).begin_form(stored_image_of(obj) if change else {})
        super().save_model(request, obj, form, change)  # type: ignore[misc]

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        touched = [each.instance for each in formset.initial_forms if each.has_changed()]
        old = {row.pk: stored_image_of(row) for row in touched}
        super().save_formset(request, form, formset, change)  # type: ignore[misc]
        found = formset.model._base_manager.in_bulk([*old, *(row.pk for row in getattr(formset, "new_objects", ()))])
        before, after = trail(request).related
        for pk in {**old, **found}:
            name = f"{formset.model._meta.verbose_name} {pk}"
            then, now = old.get(pk, {}), image_of(found[pk]) if pk in found else {}
            if then != now:
                before[name], after[name] = difference(then, now)

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        _, after = trail(request).related
        trail(request).write(obj, "added", {}, {**stored_image_of(obj), **after})
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """A form was saved, or a page of another kind notes in its own words what it did."""
        kept_by = trail(request)
        if isinstance(message, str):
            kept_by.note(obj, message)
        elif kept_by.old is not None:
            before, after = kept_by.related
            old, new = {**kept_by.old, **before}, {**stored_image_of(obj), **after}
            if old != new:
                kept_by.write(obj, "changed", old, new)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        if request.method == "POST" and not reason_in(request):
            _ask_why(request)
        answer: HttpResponseBase = super().delete_view(request, object_id, extra_context)  # type: ignore[misc]
        return answer

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        trail(request).write(obj, "deleted", image_of(obj), {})
        super().delete_model(request, obj)  # type: ignore[misc]

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for obj in queryset:
            trail(request).write(obj, "deleted", image_of(obj), {})
        super().delete_queryset(request, queryset)  # type: ignore[misc]

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        chosen = queryset
        if request.POST.get("select_across", "0") == "0":
            chosen = queryset.filter(pk__in=_possible(queryset, request.POST.getlist(ACTION_CHECKBOX_NAME)))
        trail(request).watch(chosen[:MOST])
        if request.POST.get("action") == "delete_selected" and "post" in request.POST and not reason_in(request):
            _ask_why(request)
        response: HttpResponseBase | None = super().response_action(request, queryset)  # type: ignore[misc]
        return response


def _ask_why(request: HttpRequest) -> None:
    """A deletion without a reason is not confirmed: what confirms it is taken out, and its page is shown again."""
    posted = request.POST.copy()
    posted.pop("post", None)
    request.POST = posted if posted.get("action") else QueryDict()  # type: ignore[assignment]
    messages.error(request, "Nothing was deleted. Say why: the reason is kept in the audit trail.")


def _possible(queryset: QuerySet[Any], keys: Iterable[str]) -> list[Any]:
    """The keys of chosen rows. One that the table cannot have was made up: the request is refused."""
    try:
        return [queryset.model._meta.pk.to_python(key) for key in keys]
    except ValidationError:
        raise SuspiciousOperation("a row was chosen that cannot be") from None


def keeping(admin_class: type[ModelAdmin[Any]]) -> type[ModelAdmin[Any]]:
    """The same pages, keeping the trail."""
    if issubclass(admin_class, KeepsTrail):
        return admin_class
    return type(admin_class.__name__, (KeepsTrail, admin_class), {"__module__": admin_class.__module__})
