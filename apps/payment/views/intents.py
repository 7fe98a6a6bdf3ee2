"""PaymentIntents for frontends with their own card form."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.common.api import parse
from apps.common.errors import SignInRequired
from apps.common.idempotency import run_once
from apps.common.money import to_major
from apps.payment import gateway
from apps.payment.models import Payment
from apps.payment.services.intents import start_intent
from apps.payment.services.methods import method_of
from apps.payment.views.access import buyer_of, caller_of, limit, order_of, refuse_to_save_for_guests
from apps.payment.views.schema import ERRORS, IntentInput, IntentOutput


class IntentView(APIView):
    """Open a PaymentIntent over an order's total, or hand out the open one again."""

    @extend_schema(request=IntentInput, responses={201: IntentOutput, 422: ERRORS[400], **ERRORS})
    def post(self, request: Request) -> Response:
        wish: dict[str, Any] = parse(IntentInput, request.data)
        buyer = buyer_of(request)
        save = wish["save_payment_method"]
        refuse_to_save_for_guests(buyer, save)
        order = order_of(request, wish["order_number"])
        method_id = wish.get("payment_method")
        if method_id and not isinstance(buyer.user, User):
            raise SignInRequired
        method = method_of(buyer.user, method_id) if method_id else None
        limit(request, "intents")

        def work() -> tuple[int, str]:
            payment = start_intent(order=order, buyer=buyer, method=method, save_method=save)
            return status.HTTP_201_CREATED, str(payment.pk)

        return run_once(request, caller=caller_of(request, order=order), work=work, render=_render)


def _render(payment_id: str) -> dict[str, Any]:
    """The client secret is Stripe's to tell each time: it is stored nowhere here."""
    payment = Payment.objects.get(pk=int(payment_id))
    intent = gateway.retrieve_payment_intent(payment.stripe_payment_intent_id or "")
    return {
        "payment_id": payment.pk,
        "client_secret": intent.client_secret,
        "payment_intent_id": intent.id,
        "amount": to_major(payment.amount, payment.currency),
        "currency": payment.currency,
        "status": payment.status,
        "stripe_status": intent.status,
    }
