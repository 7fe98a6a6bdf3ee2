"""Accounts over HTTP."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import logout
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import services
from apps.accounts.models import User
from apps.accounts.registry import on_sign_in
from apps.accounts.schema import (
    ConfirmInput,
    LoginInput,
    MeInput,
    RegisterInput,
    ResetInput,
    SentOutput,
    SignedInOutput,
    UserOutput,
)
from apps.common import limits
from apps.common.api import parse, private
from apps.common.client import network
from apps.common.errors import SignInRequired
from apps.common.languages import language_of
from apps.common.schema import errors

ERRORS = errors(400, 401, 403, 413, 415, 429, 503)


def render_user(user: User) -> dict[str, Any]:
    return {"id": user.pk, "email": user.email, "name": user.name}


def _person(request: Request) -> User:
    if not isinstance(request.user, User):
        raise SignInRequired
    return request.user


def _signed_in(request: Request, user: User, code: int) -> Response:
    body: dict[str, Any] = {"token": services.new_token(user), "user": render_user(user)}
    for listener in on_sign_in:
        added = listener.after(request, user)
        if added is not None:
            body[listener.name] = added
    return private(body, code)


class RegisterView(APIView):
    """Make an account and sign in to it."""

    @extend_schema(request=RegisterInput, responses={201: SignedInOutput, **ERRORS})
    def post(self, request: Request) -> Response:
        limits.enforce("register", network(request._request), "20/hour")
        wish = parse(RegisterInput, request.data)
        for listener in on_sign_in:
            listener.before(request)
        person = services.register(**wish, language=language_of(request._request))
        return _signed_in(request, person, status.HTTP_201_CREATED)


class LoginView(APIView):
    """Sign in: a token of its own for each sign-in. The anonymous cart that the request names is merged."""

    @extend_schema(request=LoginInput, responses={200: SignedInOutput, **ERRORS})
    def post(self, request: Request) -> Response:
        limits.enforce("login", network(request._request), "60/hour")
        wish = parse(LoginInput, request.data)
        for listener in on_sign_in:
            listener.before(request)
        user = services.check_credentials(request._request, **wish)
        return _signed_in(request, user, status.HTTP_200_OK)


class LogoutView(APIView):
    """The token that asked is dead from now on, or the session has ended; other sign-ins stay."""

    @extend_schema(request=None, responses={204: None, **ERRORS})
    def post(self, request: Request) -> Response:
        _person(request)
        if isinstance(request.auth, AuthToken):
            request.auth.delete()
        else:
            logout(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    """The signed-in person."""

    @extend_schema(responses={200: UserOutput, **ERRORS})
    def get(self, request: Request) -> Response:
        return private(render_user(_person(request)))

    @extend_schema(request=MeInput, responses={200: UserOutput, **ERRORS})
    def patch(self, request: Request) -> Response:
        user = _person(request)
        wish = parse(MeInput, request.data)
        if "name" in wish:
            services.rename(user, name=wish["name"])
        return private(render_user(user))


class ResetView(APIView):
    """Mail a link that sets a new password. The answer is the same for addresses that nobody has."""

    @extend_schema(request=ResetInput, responses={200: SentOutput, **ERRORS})
    def post(self, request: Request) -> Response:
        limits.enforce("reset", network(request._request), "10/hour")
        services.ask_for_reset(email=parse(ResetInput, request.data)["email"])
        return private({"sent": True})


class ConfirmResetView(APIView):
    """Set a new password with the mailed link; every sign-in of the person ends."""

    @extend_schema(request=ConfirmInput, responses={204: None, **ERRORS})
    def post(self, request: Request) -> Response:
        limits.enforce("reset-confirm", network(request._request), "30/hour")
        services.reset_password(**parse(ConfirmInput, request.data))
        return Response(status=status.HTTP_204_NO_CONTENT)
