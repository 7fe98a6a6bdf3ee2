"""Error views, health and nothing else: what Django calls when no view of an app answers."""

from __future__ import annotations

import sys
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.csrf import csrf_failure as django_csrf_failure
from django.views.defaults import page_not_found, server_error

from apps.common.errors import DATABASE_AWAY
from apps.common.middleware import error_response


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(404, message="Not found.")
    return page_not_found(request, exception or Exception())


def fault(request: HttpRequest) -> HttpResponse:
    """A fault of ours, or the database being away: the latter is 503 and tells when to come back."""
    if isinstance(sys.exc_info()[1], DATABASE_AWAY):
        response = error_response(503, "database_unavailable", "The shop cannot do this at the moment.")
        response["Retry-After"] = "5"
        return response
    if request.path.startswith("/api/"):
        return error_response(500, "server_error", "Something went wrong on our side.")
    return server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "", **kwargs: Any) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(403, "csrf_failed", "CSRF verification failed. Send the csrftoken cookie as X-CSRFToken.")
    return django_csrf_failure(request, reason)
