"""The admin as this shop has it: every page keeps the trail, and the first one says what there is to do.

The site is made before there are models, so what reads them is imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.db.models.base import ModelBase
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
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
        """Nobody gets past the second factor where one is wanted, whichever page was asked for."""
        inner: View = super().admin_view(kept(view), cacheable)

        @wraps(inner)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            from apps.backoffice.second_factor.services import is_wanted

            if is_wanted(request):
                return redirect(f"{reverse('admin:second_factor')}?{urlencode({'next': request.get_full_path()})}")
            return inner(request, *args, **kwargs)

        return guarded

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """Who has given the password already goes on to the second factor."""
        from apps.backoffice.second_factor.services import is_wanted

        if request.method == "GET" and is_wanted(request):
            return redirect("admin:second_factor")
        answer: HttpResponseBase = super().login(request, extra_context)
        return answer

    @method_decorator(never_cache)
    @method_decorator(csrf_protect)
    def second_factor(self, request: HttpRequest) -> HttpResponseBase:
        from apps.backoffice.second_factor.views import second_factor

        return second_factor(self, request)

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        return [
            {**group, "items": self._get_navigation_items(request, group["items"])} for group in sidebar(self, request)
        ]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from apps.backoffice.dashboard import dashboard

        shown = dashboard(request.user)  # type: ignore[arg-type]
        answer: TemplateResponse = super().index(request, {**shown, **(extra_context or {})})
        return answer

    def extra_urls(self) -> list[URLPattern]:
        return [
            path("second-factor/", self.second_factor, name="second_factor"),
            path("checks/", self.admin_view(self.checks), name="checks"),
            path("exports/", self.admin_view(self.exports), name="exports"),
            path("exports/month-end/", self.admin_view(self.month_end), name="month_end"),
            path("endpoint/", self.admin_view(self.endpoint), name="endpoint"),
            path("shelves/", self.admin_view(self.shelves), name="shelves"),
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

    def shelves(self, request: HttpRequest) -> HttpResponseBase:
        from apps.backoffice.shelves.views import shelves

        return shelves(self, request)

    def endpoint(self, request: HttpRequest) -> HttpResponseBase:
        from apps.backoffice.endpoint import endpoint

        return endpoint(self, request)
