"""Page shells. They read nothing but the address: the scripts fill them over the public API."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.generic import TemplateView

View = Callable[..., HttpResponseBase]


def shell(name: str, *, stripe_js: bool = False) -> View:
    """The view of `templates/storefront/<name>.html`; the parts of its address reach the template as they are.

    With `stripe_js` the page may load Stripe.js and what belongs to it, from where the settings say.
    """
    view = never_cache(TemplateView.as_view(template_name=f"storefront/{name}.html"))
    return _with_stripe_js(view) if stripe_js else view


def _with_stripe_js(view: View) -> View:
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response._csp_update = settings.STRIPE_JS_POLICY  # type: ignore[attr-defined]
        return response

    return answer
