"""Answers that are the same wherever they come from."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from apps.common.api import CODES

Next = Callable[[HttpRequest], HttpResponseBase]


class JsonErrors:
    """No path under /api/ answers an error in HTML, whichever part of Django made it."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code < 400 or not request.path.startswith("/api/"):
            return response
        if str(response.get("Content-Type", "")).startswith("application/json"):
            return response
        return error_response(response.status_code)


def error_response(status: int, code: str | None = None, message: str | None = None) -> HttpResponse:
    body = {
        "error": message or HTTPStatus(status).phrase + ".",
        "code": code or CODES.get(status, "server_error"),
    }
    response = JsonResponse(body, status=status)
    response["Cache-Control"] = "no-store"
    return response


class ContentSecurityPolicy(CSPMiddleware):
    """The strict policy everywhere but on pages whose own scripts cannot live under it.

    The admin's theme evaluates expressions (Alpine) and writes inline styles; Swagger writes inline styles.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path.startswith("/admin/"):
            response._csp_replace = {  # type: ignore[attr-defined]
                "script-src": ["'self'", "'unsafe-inline'", "'unsafe-eval'"],
                "style-src": ["'self'", "'unsafe-inline'"],
            }
        elif request.path.startswith("/api/docs"):
            response._csp_replace = {"style-src": ["'self'", "'unsafe-inline'"]}  # type: ignore[attr-defined]
        result: HttpResponseBase = super().process_response(request, response)
        return result
