"""Payment rows: opening an attempt, locking it, logging what happens to it, closing it."""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from apps.common.errors import DomainError
from apps.orders.models import Order, OrderItem
from apps.payment.models import Payment, PaymentLog

REFERENCE_PREFIX = "pp_"
"""What our references begin with. Whatever else is in an object's reference field is somebody else's."""

HOLD_BEYOND_SESSION = timedelta(minutes=1)
LATENCY_SLACK = timedelta(seconds=30)
"""Stripe wants 30 minutes counted from when it gets the request; our tries take up to 10 s."""


def hold_end() -> datetime:
    """When an attempt that starts now frees its stock."""
    return timezone.now() + timedelta(minutes=settings.CHECKOUT_HOLD_MINUTES) + LATENCY_SLACK


def next_attempt_number(order: Order) -> int:
    """The number of a locked order's next attempt; they count from 1."""
    return 1 + (Payment.objects.filter(order=order).aggregate(last=Max("attempt"))["last"] or 0)


def open_checkout_attempt(order: Order, *, number: int) -> Payment:
    """Write the intention to collect a locked order's total on Stripe's page, in the caller's transaction.

    Key and parameters are stored with it, so that whoever finds the row can repeat the very same request.
    """
    reference = REFERENCE_PREFIX + secrets.token_hex(16)
    payment = Payment.objects.create(
        order=order,
        attempt=number,
        reference=reference,
        amount=order.total,
        currency=order.currency,
        livemode=settings.PAYMENT_ENV == "live",
        idempotency_key=f"{reference}-1",
        request_params=json.dumps(_session_params(order, reference)),
    )
    write_log(payment, "opened", before="")
    return payment


def open_attempt_of(order: Order) -> Payment | None:
    return Payment.objects.filter(order=order, status__in=Payment.OPEN).first()


def lock_payment(payment_id: int) -> Payment:
    return Payment.objects.select_for_update(no_key=True).get(pk=payment_id)


def close_attempt(payment: Payment, *, status: str, kind: str, event_id: str = "", **columns: Any) -> None:
    """End a locked, open attempt without money. The order is left alone."""
    before = payment.status
    save(payment, status=status, **columns)
    write_log(payment, kind, before=before, event_id=event_id, object_id=f"{payment.reference}:closed")


def save(payment: Payment, **columns: Any) -> None:
    for name, value in columns.items():
        setattr(payment, name, value)
    payment.save(update_fields=list(columns))


def write_log(
    payment: Payment, kind: str, *, before: str, object_id: str = "", event_id: str = "", detail: str = ""
) -> None:
    """Keep what happened. The same kind for the same object again is one row."""
    PaymentLog.objects.bulk_create(
        [
            PaymentLog(
                payment=payment,
                kind=kind,
                object_id=object_id,
                event_id=event_id,
                from_status=before,
                to_status=payment.status,
                detail=detail[:500],
                at=timezone.now(),
            )
        ],
        ignore_conflicts=True,
    )


def _session_params(order: Order, reference: str) -> dict[str, Any]:
    items = list(OrderItem.objects.filter(order=order).order_by("pk"))
    metadata = {"proshop_payment": reference, "proshop_order": order.number}
    if order.expires_at is None:
        raise DomainError("The order holds nothing.", code="order_not_held", status=409)
    params: dict[str, Any] = {
        "mode": "payment",
        "client_reference_id": reference,
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata},
        "line_items": [_line(item, order.currency) for item in items],
        "success_url": settings.FRONTEND_URL + settings.CHECKOUT_SUCCESS_PATH,
        "cancel_url": settings.FRONTEND_URL + settings.CHECKOUT_CANCEL_PATH.replace("{number}", order.number),
        "expires_at": int((order.expires_at - HOLD_BEYOND_SESSION).timestamp()),
        "automatic_tax": {"enabled": False},
        "adaptive_pricing": {"enabled": False},
        "managed_payments": {"enabled": False},
    }
    if order.email:
        params["customer_email"] = order.email
    if any(item.kind == "physical" for item in items) and order.shipping_address is None:
        params["shipping_address_collection"] = {"allowed_countries": settings.SHIPPING_COUNTRIES}
    return params


def _line(item: OrderItem, currency: str) -> dict[str, Any]:
    product: dict[str, Any] = {"name": item.name[:250], "metadata": {"sku": item.sku}}
    picture = item.image_url
    if picture.startswith("/"):
        picture = settings.PUBLIC_URL + picture
    if picture.startswith("https://"):  # Stripe fetches pictures itself and takes nothing else
        product["images"] = [picture]
    return {
        "quantity": item.quantity,
        "price_data": {"currency": currency.lower(), "unit_amount": item.unit_price, "product_data": product},
    }
