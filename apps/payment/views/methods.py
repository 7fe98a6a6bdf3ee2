"""A signed-in buyer's saved payment methods."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.common.api import parse, private
from apps.common.errors import SignInRequired
from apps.payment.services import methods
from apps.payment.views.access import limit
from apps.payment.views.render import render_method
from apps.payment.views.schema import ERRORS, MethodInput, SavedMethodOutput, SetupOutput


def _person(request: Request) -> User:
    if not isinstance(request.user, User):
        raise SignInRequired
    return request.user


class MethodListView(APIView):
    """What the caller can pay with, the default first; and a method is added."""

    @extend_schema(responses={200: SavedMethodOutput(many=True), **ERRORS})
    def get(self, request: Request) -> Response:
        return private([render_method(method) for method in methods.saved_methods(_person(request))])

    @extend_schema(request=MethodInput, responses={201: SavedMethodOutput, 402: ERRORS[400], **ERRORS})
    def post(self, request: Request) -> Response:
        person = _person(request)
        wish: dict[str, Any] = parse(MethodInput, request.data)
        limit(request, "methods")
        if "setup_intent" in wish:
            method = methods.keep_from_setup(person, wish["setup_intent"])
        else:
            method = methods.keep_unowned(person, wish["payment_method"])
        return private(render_method(method), status.HTTP_201_CREATED)


class SetupView(APIView):
    """A SetupIntent with which the frontend's form saves a method without a payment."""

    @extend_schema(request=None, responses={201: SetupOutput, **ERRORS})
    def post(self, request: Request) -> Response:
        person = _person(request)
        limit(request, "methods")
        setup = methods.start_setup(person)
        body = {"client_secret": setup.client_secret, "setup_intent_id": setup.id}
        return private(body, status.HTTP_201_CREATED)


class MethodView(APIView):
    """Remove a method, at Stripe too."""

    @extend_schema(responses={204: None, **ERRORS})
    def delete(self, request: Request, method_id: int) -> Response:
        methods.remove(_person(request), method_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class DefaultMethodView(APIView):
    """Let a method be the one that is offered first."""

    @extend_schema(request=None, responses={200: SavedMethodOutput, **ERRORS})
    def post(self, request: Request, method_id: int) -> Response:
        return private(render_method(methods.make_default(_person(request), method_id)))
