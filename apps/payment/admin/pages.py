"""What payment's own pages in the admin share: who may open them, how they are drawn, what they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponseBase
from django.http.request import QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action as unfold_action
from unfold.enums import ActionVariant

from apps.accounts.models import User
from apps.common.admin import ReadOnlyAdmin

F = TypeVar("F", bound=Callable[..., Any])


def opens_page(*, title: str, path: str, permission: str, danger: bool = False) -> Callable[[F], F]:
    """A button on an object's page that opens a page at `path` below it, for people with a permission.

    Others neither see it nor get past a 403. The permission is named as in the admin: `issue` asks
    `has_issue_permission`. (A permission's full name would make a system check read the database before it is there.)
    """
    variant = ActionVariant.DANGER if danger else ActionVariant.DEFAULT
    decorated: Callable[[F], F] = unfold_action(
        description=title, url_path=path, permissions=[permission], variant=variant
    )
    return decorated


class PagesAdmin(ReadOnlyAdmin):
    """Rows that nobody edits, with pages of their own that ask a service to do something."""

    class Media:
        css = {"all": ("payment/admin.css",)}

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The buttons that this object's state gives a use to."""
        actions: list[Any] = super().get_actions_detail(request, object_id)
        row = self.get_object(request, object_id) if actions else None
        if row is None:
            return []
        useful = {f"{self.opts.app_label}_{self.opts.model_name}_{name}" for name in self.useful_pages(row)}
        return [action for action in actions if action.action_name in useful]

    def useful_pages(self, row: Any) -> Iterable[str]:
        """Names of the methods whose pages make sense for a row now."""
        return self.actions_detail  # type: ignore[no-any-return]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """An action that a person is not offered is refused when it comes all the same."""
        if request.method == "POST":
            unoffered = {name for name in self.actions or () if isinstance(name, str)} - set(self.get_actions(request))
            if unoffered & set(request.POST.getlist("action")):
                raise PermissionDenied
        answer: HttpResponseBase = super().changelist_view(request, extra_context)
        return answer

    def row_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """The object of a page, for people who may see it."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def note(self, request: HttpRequest, row: Model, message: str) -> None:
        """Keep in the admin's own history who did what to a row."""
        self.log_change(request, row, message)


def draw(
    model_admin: ModelAdmin,
    request: HttpRequest,
    template: str,
    *,
    title: str,
    row: Model | None = None,
    **context: Any,
) -> TemplateResponse:
    """One of the pages under `templates/admin/payment`."""
    shared = model_admin.admin_site.each_context(request)
    given = {"title": title, "opts": model_admin.opts, "original": row, **context}
    return TemplateResponse(request, f"admin/payment/{template}", {**shared, **given})


def staff_of(request: HttpRequest) -> User:
    """Who is at work. The admin lets nobody in who is not signed in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: nothing until it is sent."""
    return request.POST if request.method == "POST" else None


def address_of(row: Model) -> str:
    """A row's own page in the admin."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def link_to(row: Model, text: str = "") -> SafeString:
    return format_html('<a class="text-link" href="{}">{}</a>', address_of(row), text or row)
