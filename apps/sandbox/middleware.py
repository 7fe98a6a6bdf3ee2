"""Keeps other websites out: the sandbox answers this machine's own browser and programs only."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.sandbox.api.publishable import open_to_pages

HOSTS = ("127.0.0.1", "localhost")
# A form's answer may redirect to the shop, and browsers hold form-action against redirects too.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' https: data:; connect-src 'self';"
    " form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'"
)


class Guard:
    """Checks Host against DNS rebinding and Origin against posts from elsewhere; sets the security headers.

    Pages of other origins reach the few calls of `api/publishable.py`, as they do at Stripe.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        host = request.META.get("HTTP_HOST", "")
        if host.partition(":")[0] not in HOSTS:
            return JsonResponse({"error": "The sandbox answers on 127.0.0.1 and localhost only."}, status=400)
        reads = request.method in ("GET", "HEAD")
        if not reads and not self._same_origin(request, host) and not open_to_pages(request):
            return JsonResponse({"error": "Posts from other origins are refused."}, status=403)
        response = self.get_response(request)
        response["Content-Security-Policy"] = POLICY
        response["X-Content-Type-Options"] = "nosniff"
        # Not no-referrer: browsers then send `Origin: null` with the page's own forms.
        response["Referrer-Policy"] = "same-origin"
        response["X-Frame-Options"] = "DENY"
        return response

    @staticmethod
    def _same_origin(request: HttpRequest, host: str) -> bool:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = request.headers.get("Origin")
        return origin is None or urlsplit(origin).netloc == host
