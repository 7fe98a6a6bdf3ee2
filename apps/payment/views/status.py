"""How a session stands, for the page that the buyer comes back to."""

from __future__ import annotations

import contextlib
import re

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.api import private
from apps.common.errors import InvalidInput, NotFound
from apps.orders.models import Order
from apps.payment.gateway import StripeRefused, StripeUnavailable
from apps.payment.models import Payment
from apps.payment.services.provider import ask_stripe, take_turn
from apps.payment.views.render import render_status
from apps.payment.views.schema import ERRORS, StatusOutput

SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,250}", re.ASCII)


class StatusView(APIView):
    """How a checkout session and its order stand. When Stripe says paid and no webhook came, this settles it."""

    authentication_classes = ()

    @extend_schema(
        parameters=[OpenApiParameter("session_id", str, required=True)],
        responses={200: StatusOutput, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        session_id = request.query_params.get("session_id", "")
        if not SESSION_ID.fullmatch(session_id):
            raise InvalidInput(fields={"session_id": ["This is no id of a checkout session."]})
        payment = Payment.objects.select_related("order").filter(stripe_session_id=session_id).first()
        if payment is None:
            raise NotFound("There is no such checkout session.", code="session_not_found")
        if payment.is_open and take_turn(payment):
            # Without Stripe the stored state is the best answer there is.
            with contextlib.suppress(StripeUnavailable, StripeRefused):
                payment = ask_stripe(payment)
            payment.order = Order.objects.get(pk=payment.order_id)
        return private(render_status(payment, payment.order))
