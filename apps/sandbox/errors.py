"""Stripe's error bodies: `{"error": {"type", "code", "message", "param", …}}`."""

from __future__ import annotations

from typing import Any

DOCS = "https://stripe.com/docs/error-codes"


class ApiError(Exception):
    """An answer other than 200.

    `keep_effects`: what was written before it was raised is committed, and the answer is saved under the
    idempotency key, as with a declined card. Otherwise everything is rolled back and nothing is saved.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        keep_effects: bool = False,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.keep_effects = keep_effects
        self.error: dict[str, Any] = {"message": message, "type": kind}
        if code is not None:
            self.error["code"] = code
            self.error["doc_url"] = f"{DOCS}/{code.replace('_', '-')}"
        if param is not None:
            self.error["param"] = param
        self.error.update(extra)

    def body(self) -> dict[str, Any]:
        return {"error": self.error}


def missing(param: str) -> ApiError:
    return ApiError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown(param: str) -> ApiError:
    return ApiError(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)


def invalid(message: str, param: str, code: str | None = None) -> ApiError:
    return ApiError(message, code=code, param=param)


def unsupported(param: str) -> ApiError:
    """For what Stripe knows and this sandbox does not: better refused than silently ignored."""
    return ApiError(f"The sandbox does not support '{param}'.", code="sandbox_unsupported", param=param)


def no_such(kind: str, object_id: str, *, param: str, status: int = 404) -> ApiError:
    """404 for an id in the path, 400 for one that a parameter names."""
    name = kind.replace(".", " ")
    return ApiError(f"No such {name}: '{object_id}'", status=status, code="resource_missing", param=param)


def unexpected_state(message: str, intent: dict[str, Any]) -> ApiError:
    """For a payment_intent or a setup_intent."""
    error = ApiError(message, code=f"{intent['object']}_unexpected_state")
    error.error[intent["object"]] = intent
    return error


def bad_key(message: str) -> ApiError:
    return ApiError(message, status=401)


def unknown_url(method: str, path: str) -> ApiError:
    return ApiError(f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs", status=404)
