"""The admin as this shop has it: every page keeps the trail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import Model
from django.db.models.base import ModelBase
from unfold.sites import UnfoldAdminSite

from apps.audit.trail import View, keeping, kept


class ShopAdminSite(UnfoldAdminSite):  # type: ignore[misc]
    """Whatever an app registers here leaves its traces in the audit trail, without doing anything for it."""

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
