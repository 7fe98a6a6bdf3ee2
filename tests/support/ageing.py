"""Years go by: every moment that the database holds is moved into the past."""

from __future__ import annotations

from datetime import timedelta

from django.apps import apps
from django.db.models import DateTimeField, F, Model

from tests.support.emptying import without_guards

YEAR = timedelta(days=366)


def age(*models: type[Model], by: timedelta = 8 * YEAR) -> None:
    """Move all moments in the rows of these tables back; without any, in the rows of every table."""
    chosen = models or apps.get_models()
    with without_guards():
        for model in chosen:
            moments = [field.attname for field in model._meta.concrete_fields if isinstance(field, DateTimeField)]
            if moments and model._meta.managed:
                model._default_manager.update(**{name: F(name) - by for name in moments})
