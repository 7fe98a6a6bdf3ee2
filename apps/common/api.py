"""What every API view shares: JSON in, JSON out, one shape of errors, pages."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.exceptions import ErrorDetail
from rest_framework.pagination import PageNumberPagination
from rest_framework.parsers import BaseParser
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from apps.common.errors import DATABASE_AWAY, DomainError, InvalidInput, Unavailable

logger = logging.getLogger(__name__)


class TooLarge(DomainError):
    status = 413
    code = "too_large"
    message = "The body is longer than 1 MiB."


class JsonBody(BaseParser):
    """`application/json` in UTF-8. Constants that JSON does not have (NaN) and deep nesting are refused."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(most + 1)
        if len(raw) > most:
            raise TooLarge
        if not raw.strip():
            return {}
        try:
            body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise exceptions.ParseError("The body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise exceptions.ParseError("The body must be a JSON object.")
        if _has_unstorable_text(body):
            raise exceptions.ParseError("The body has text that cannot be stored: a NUL or half of a surrogate pair.")
        return body


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _has_unstorable_text(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return any(_has_unstorable_text(k) or _has_unstorable_text(v) for k, v in value.items())
    if isinstance(value, list):
        return any(map(_has_unstorable_text, value))
    return False


class Pages(PageNumberPagination):
    """`?page=&page_size=`, at most 100 rows a page."""

    page_size = 20
    page_size_query_param = "page_size"
    max_page_size = 100


def parse(serializer_class: type[Serializer[Any]], data: Any) -> Any:
    """The validated fields of `data`; raises InvalidInput with the sentences per field."""
    serializer = serializer_class(data=data)
    if not serializer.is_valid():
        raise InvalidInput(fields=_plain(serializer.errors))
    return serializer.validated_data


CODES = {
    400: "invalid",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
}


def handle_exception(exc: Exception, context: dict[str, Any]) -> Response | None:
    """The one place where an exception becomes an answer. None means: not ours, a fault, 500."""
    if isinstance(exc, DomainError):
        return _answer(exc.body(), exc.status, exc.headers)
    if isinstance(exc, DATABASE_AWAY):
        logger.error("database_unavailable", exc_info=exc)
        away = Unavailable(code="database_unavailable", retry_after=5)
        return _answer(away.body(), away.status, away.headers)
    if isinstance(exc, Http404):
        exc = exceptions.NotFound("Not found.")
    if isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, exceptions.ValidationError):
        return _answer(InvalidInput(fields=_plain(exc.detail)).body(), 400, {})
    if not isinstance(exc, exceptions.APIException):
        return None
    headers = {}
    if isinstance(exc, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
        headers["WWW-Authenticate"] = "Token"
    code = CODES.get(exc.status_code, "error")
    if isinstance(exc.detail, ErrorDetail) and exc.detail.code not in ("error", "parse_error"):
        code = exc.detail.code or code
    return _answer({"error": str(exc.detail), "code": code}, exc.status_code, headers)


def _answer(body: dict[str, Any], code: int, headers: Mapping[str, str]) -> Response:
    return Response(body, status=code, headers={"Cache-Control": "no-store", **headers})


def _plain(detail: Any) -> Any:
    """Serializer errors as plain lists of sentences; `non_field_errors` keeps its name."""
    if isinstance(detail, Mapping):
        return {str(key): _plain(value) for key, value in detail.items()}
    if isinstance(detail, list):
        return [_plain(value) for value in detail]
    return str(detail)


def private(body: Any, code: int = status.HTTP_200_OK, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that shows a person's data: no cache may keep it."""
    return Response(body, status=code, headers={"Cache-Control": "no-store", **(headers or {})})
