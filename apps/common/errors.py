"""Errors that a client may see: a stable code, a status, a sentence and data."""

from __future__ import annotations

from typing import Any

from django.db import InterfaceError, InternalError, OperationalError

DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)
"""What Django raises when the database cannot serve: gone, full, locked for too long, or read-only.

PostgreSQL calls it an internal error when a statement would write on a standby, as happens for a moment at a failover.
"""


class DomainError(Exception):
    """A rule of the shop forbids what was asked.

    `apps.common.api.handle_exception` turns it into JSON, and nothing else does. `data` is merged into the answer
    beside `error` and `code`. `headers` go onto the response.
    """

    status = 400
    code = "invalid"
    message = "The request could not be carried out."

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        **data: Any,
    ) -> None:
        self.message = message or self.message
        self.code = code or self.code
        self.status = status or self.status
        self.headers = headers or {}
        self.data = data
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        return {"error": self.message, "code": self.code, **self.data}


class InvalidInput(DomainError):
    """Fields of the body or the query are not what the call takes; `fields` names them."""

    code = "invalid"
    message = "Some fields are not valid."


class NotFound(DomainError):
    """Nothing is there, or it belongs to someone else: both look the same."""

    status = 404
    code = "not_found"
    message = "Not found."


class SignInRequired(DomainError):
    """Only a signed-in person can be meant."""

    status = 401
    code = "sign_in_required"
    message = "Sign in first."
    # A 401 names the scheme that would help.

    def __init__(self, message: str | None = None, **data: Any) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Token"}, **data)


class Conflict(DomainError):
    """The object's state forbids it."""

    status = 409
    code = "conflict"


class TooManyRequests(DomainError):
    status = 429
    code = "too_many_requests"
    message = "Too many requests. Try again later."

    def __init__(self, message: str | None = None, *, retry_after: int, **data: Any) -> None:
        super().__init__(message, headers={"Retry-After": str(max(1, retry_after))}, **data)


class Unavailable(DomainError):
    """Something this call needs cannot be reached now; the same call may work later."""

    status = 503
    code = "unavailable"
    message = "The shop cannot do this at the moment. Try again shortly."

    def __init__(self, message: str | None = None, *, retry_after: int = 1, **data: Any) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)}, **data)
