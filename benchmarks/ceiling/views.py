"""A webhook that stores an event in one statement, and one that does the whole job of a paid order in nine.

They keep what they promise: what is stored or settled is committed, once, and checked. They know nothing of a mode, a
forgotten buyer, another amount, late money, holds, deliveries or a second try.
"""

from __future__ import annotations

import json
from typing import Any

import stripe
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

TABLES = """
CREATE TABLE event (id bigserial PRIMARY KEY, stripe_id text UNIQUE NOT NULL, type text NOT NULL, payload text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE shop_order (id bigserial PRIMARY KEY, status text NOT NULL, total bigint NOT NULL, currency text NOT NULL,
    email text NOT NULL, paid_at timestamptz);
CREATE TABLE variant (id bigint PRIMARY KEY, stock int NOT NULL CHECK (stock >= 0));
CREATE TABLE line (order_id bigint NOT NULL, variant_id bigint NOT NULL, quantity int NOT NULL,
    PRIMARY KEY (order_id, variant_id));
CREATE TABLE payment (id bigserial PRIMARY KEY, order_id bigint NOT NULL, reference text UNIQUE NOT NULL,
    status text NOT NULL, intent text NOT NULL DEFAULT '');
CREATE TABLE payment_log (id bigserial PRIMARY KEY, payment_id bigint NOT NULL, kind text NOT NULL, event text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(), UNIQUE (payment_id, kind));
CREATE TABLE order_log (id bigserial PRIMARY KEY, order_id bigint NOT NULL, status text NOT NULL,
    at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON order_log (order_id);
"""

STORE = "INSERT INTO event (stripe_id, type, payload) VALUES (%s, %s, %s) ON CONFLICT (stripe_id) DO NOTHING"
LOCK = (
    "SELECT p.id, o.id, o.total, o.currency FROM payment p JOIN shop_order o ON o.id = p.order_id "
    "WHERE p.reference = %s AND p.status = 'pending' FOR UPDATE"
)
LINES = "SELECT variant_id, quantity FROM line WHERE order_id = %s ORDER BY variant_id"
SELL = (
    "UPDATE variant SET stock = stock - line.quantity FROM line "
    "WHERE line.order_id = %s AND line.variant_id = variant.id AND variant.id = %s"
)
PAY = "UPDATE payment SET status = 'succeeded', intent = %s WHERE id = %s"
CONFIRM = "UPDATE shop_order SET status = 'paid', paid_at = now(), email = %s WHERE id = %s"
LOG_PAYMENT = "INSERT INTO payment_log (payment_id, kind, event) VALUES (%s, 'succeeded', %s)"
LOG_ORDER = "INSERT INTO order_log (order_id, status) VALUES (%s, 'paid')"


def verified(request: HttpRequest) -> dict[str, Any] | None:
    try:
        stripe.WebhookSignature.verify_header(
            request.body, request.headers.get("Stripe-Signature", ""), settings.STRIPE_WEBHOOK_SECRETS[0], 300
        )
    except stripe.SignatureVerificationError:
        return None
    event: dict[str, Any] = json.loads(request.body)
    return event


@csrf_exempt
def store(request: HttpRequest) -> HttpResponse:
    event = verified(request)
    if event is None:
        return HttpResponseBadRequest()
    with connection.cursor() as cursor:
        cursor.execute(STORE, [event["id"], event["type"], request.body.decode()])
    return JsonResponse({"received": True})


@csrf_exempt
def settle(request: HttpRequest) -> HttpResponse:
    """The event, the locked order, two variants, payment, order and two log rows: nine statements for two lines."""
    event = verified(request)
    if event is None:
        return HttpResponseBadRequest()
    session = event["data"]["object"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(STORE, [event["id"], event["type"], request.body.decode()])
        cursor.execute(LOCK, [session["client_reference_id"]])
        payment_id, order_id, total, currency = cursor.fetchone()
        assert (session["amount_total"], session["currency"]) == (total, currency)
        cursor.execute(LINES, [order_id])
        for variant_id, _ in cursor.fetchall():
            cursor.execute(SELL, [order_id, variant_id])
        cursor.execute(PAY, [session["payment_intent"], payment_id])
        cursor.execute(CONFIRM, [session["customer_details"]["email"], order_id])
        cursor.execute(LOG_PAYMENT, [payment_id, event["id"]])
        cursor.execute(LOG_ORDER, [order_id])
    return JsonResponse({"received": True})
