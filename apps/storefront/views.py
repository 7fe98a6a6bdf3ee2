"""Page shells. They read nothing but the address: the scripts fill them over the public API."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.generic import TemplateView


def shell(name: str) -> Callable[..., HttpResponseBase]:
    """The view of `templates/storefront/<name>.html`; the parts of its address reach the template as they are."""
    return never_cache(TemplateView.as_view(template_name=f"storefront/{name}.html"))
