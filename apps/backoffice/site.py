"""The admin as this shop has it: every page keeps the trail, and the first one says what there is to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.db.models.base import ModelBase
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from apps.audit.trail import View, keeping, kept
from apps.backoffice.navigation import sidebar


class ShopAdminSite(UnfoldAdminSite):  # type: ignore[misc]
    """Whatever an app registers here leaves its traces in the audit trail, without doing anything for it."""

    index_template = "backoffice/dashboard.html"
    index_title = "Dashboard"

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        models = [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else model_or_iterable
        super().register(models, keeping(admin_class or ModelAdmin), **options)

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        wrapped: View = super().admin_view(kept(view), cacheable)
        return wrapped

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        return [
            {**group, "items": self._get_navigation_items(request, group["items"])} for group in sidebar(self, request)
        ]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from apps.backoffice.dashboard import dashboard  # the site is made before there are models

        shown = dashboard(request.user)  # type: ignore[arg-type]
        answer: TemplateResponse = super().index(request, {**shown, **(extra_context or {})})
        return answer

    def extra_urls(self) -> list[URLPattern]:
        return [
            path("checks/", self.admin_view(self.checks), name="checks"),
            path("exports/", self.admin_view(self.exports), name="exports"),
            path("exports/month-end/", self.admin_view(self.month_end), name="month_end"),
        ]

    def checks(self, request: HttpRequest) -> TemplateResponse:
        """What the shop found when it last looked at itself."""
        from apps.backoffice.selectors.checks import checks

        if not request.user.has_perm("payment.view_checkrun"):
            raise PermissionDenied
        context = {**self.each_context(request), "title": "Checks", "checks": checks()}
        return TemplateResponse(request, "backoffice/checks.html", context)

    def exports(self, request: HttpRequest) -> HttpResponseBase:
        from apps.backoffice.exports.views import exports

        return exports(self, request)

    def month_end(self, request: HttpRequest) -> HttpResponseBase:
        from apps.backoffice.exports.views import month_report

        return month_report(self, request)
