"""What a client may send, and the one shape in which errors come back."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import exceptions, serializers

from apps.common.api import JsonBody, handle_exception, parse
from apps.common.errors import Conflict, DomainError, InvalidInput, NotFound, SignInRequired, TooManyRequests

LOGIN = "/api/auth/login/"


class Wish(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=5)


def read(raw: bytes) -> Any:
    return JsonBody().parse(io.BytesIO(raw))


@pytest.mark.parametrize("raw", [b"", b"  ", b"\n\t", b"{}"])
def test_empty_body_is_an_empty_object(raw: bytes) -> None:
    assert read(raw) == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"nope",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b"[1]",
        b'"text"',
        b"1",
        b"null",
        b'{"a": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"a": "\\u0000"}',
        b'{"\\u0000": 1}',
        b'{"a": ["x", {"b": "\\ud800"}]}',
        b'{"a": "\x00"}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_hostile_bodies_are_refused(raw: bytes) -> None:
    with pytest.raises(exceptions.ParseError):
        read(raw)


def test_text_of_every_language_is_taken() -> None:
    assert read('{"a": "Zoë 🛒 \\ud83d\\uded2"}'.encode()) == {"a": "Zoë 🛒 🛒"}


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_are_refused(raw: bytes) -> None:
    with contextlib.suppress(exceptions.ParseError):
        assert isinstance(read(raw), dict)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("raw", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid"),
        (b"[]", "application/json", 400, "invalid"),
        (b"[" * 50_000, "application/json", 400, "invalid"),
        (b'{"email": "\\ud800"}', "application/json", 400, "invalid"),
        (b'{"email": {"a": 1}, "password": []}', "application/json", 400, "invalid"),
        (b"email=a", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"<a/>", "text/xml", 415, "unsupported_media_type"),
    ],
)
def test_hostile_requests_get_a_clear_answer(raw: bytes, content_type: str, status: int, code: str) -> None:
    answer = Client().generic("POST", LOGIN, raw, content_type=content_type)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Cache-Control"] == "no-store"


def test_parse_names_each_field() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(Wish, {"name": "too long"})
    assert refused.value.data == {"fields": {"name": ["Ensure this field has no more than 5 characters."]}}
    assert parse(Wish, {"name": "Nia", "more": 1}) == {"name": "Nia"}


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (NotFound(), 404, {"error": "Not found.", "code": "not_found"}),
        (Conflict("Paid.", code="paid"), 409, {"error": "Paid.", "code": "paid"}),
        (
            DomainError("No.", status=402, code="card_declined", a=1),
            402,
            {"error": "No.", "code": "card_declined", "a": 1},
        ),
        (Http404("a secret"), 404, {"error": "Not found.", "code": "not_found"}),
        (exceptions.MethodNotAllowed("PUT"), 405, {"error": 'Method "PUT" not allowed.', "code": "method_not_allowed"}),
        (
            exceptions.ValidationError({"a": ["Bad."]}),
            400,
            {"error": "Some fields are not valid.", "code": "invalid", "fields": {"a": ["Bad."]}},
        ),
        (
            PermissionDenied("a secret"),
            403,
            {"error": "You do not have permission to perform this action.", "code": "permission_denied"},
        ),
        (
            exceptions.PermissionDenied("Proof is missing.", code="csrf_failed"),
            403,
            {"error": "Proof is missing.", "code": "csrf_failed"},
        ),
    ],
)
def test_errors_have_one_shape(error: Exception, status: int, body: dict[str, Any]) -> None:
    answer = handle_exception(error, {})
    assert answer is not None
    assert (answer.status_code, json.loads(json.dumps(answer.data))) == (status, body)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (SignInRequired(), "WWW-Authenticate", "Token"),
        (exceptions.AuthenticationFailed(), "WWW-Authenticate", "Token"),
        (TooManyRequests(retry_after=7), "Retry-After", "7"),
        (TooManyRequests(retry_after=0), "Retry-After", "1"),
        (OperationalError("a secret"), "Retry-After", "5"),
    ],
)
def test_errors_tell_what_helps(error: Exception, header: str, value: str) -> None:
    answer = handle_exception(error, {})
    assert answer is not None
    assert answer.headers[header] == value
    assert "secret" not in str(answer.data)


def test_faults_of_ours_are_left_to_the_server() -> None:
    assert handle_exception(RuntimeError(), {}) is None


def test_a_body_over_one_mebibyte_is_413() -> None:
    answer = Client().generic("POST", "/api/cart/add/", b" " * (1024 * 1024 + 1), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
