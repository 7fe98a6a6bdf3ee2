"""The control panel at `/`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("panel")


def act(request: HttpRequest, action: str) -> HttpResponse:
    return HttpResponse(action)
