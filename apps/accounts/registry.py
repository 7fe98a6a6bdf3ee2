"""What other apps do when somebody signs in. They stand to the left, so they hand themselves over here."""

from __future__ import annotations

from typing import Any, Protocol

from rest_framework.request import Request


class OnSignIn(Protocol):
    """`before` may refuse the sign-in with a DomainError; `after` returns what it adds to the answer."""

    name: str

    def before(self, request: Request) -> None: ...

    def after(self, request: Request, user: Any) -> dict[str, Any] | None: ...


on_sign_in: list[OnSignIn] = []
