"""Which of the shop's languages a client asks for."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import get_language_from_request


def language_of(request: HttpRequest) -> str:
    """The code of the best match between `Accept-Language` and the shop's languages; its own where none matches."""
    return get_language_from_request(request)
