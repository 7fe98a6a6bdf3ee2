"""Payment rows: opening an attempt, locking it, logging what happens to it, closing it."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from apps.common import rows, tokens
from apps.common.errors import DomainError
from apps.orders.models import Order, OrderItem
from apps.payment.models import Payment, PaymentLog

REFERENCE_PREFIX = "pp_"
"""What our references begin with. Whatever else is in an object's reference field is somebody else's."""

METADATA_VALUE, METADATA_LINES = 500, 40
"""Stripe takes 50 values of 500 characters."""

LINES_KEY = "proshop_lines_"
KEY_KIND = "stripe"

HOLD_BEYOND_SESSION = timedelta(minutes=1)
LATENCY_SLACK = timedelta(seconds=30)
"""Stripe wants 30 minutes counted from when it gets the request; our tries take up to 10 s."""


def hold_end() -> datetime:
    """When an attempt that starts now frees its stock."""
    return timezone.now() + timedelta(minutes=settings.CHECKOUT_HOLD_MINUTES) + LATENCY_SLACK


def next_attempt_number(order: Order) -> int:
    """The number of a locked order's next attempt; they count from 1."""
    return 1 + (Payment.objects.filter(order=order).aggregate(last=Max("attempt"))["last"] or 0)


@dataclass(frozen=True, slots=True)
class Wish:
    """How a buyer wants to pay. `customer` is Stripe's id of the signed-in buyer, `method` of a saved method."""

    channel: str = Payment.Channel.SESSION
    customer: str = ""
    method: str = ""
    save_method: bool = False


def open_attempt(order: Order, *, number: int, wish: Wish) -> Payment:
    """Write the intention to collect a locked order's total, in the caller's transaction.

    Key and parameters are stored with it, so that whoever finds the row can repeat the very same request.
    """
    reference = REFERENCE_PREFIX + secrets.token_hex(16)
    params = (
        _session_params(order, reference, wish)
        if wish.channel == Payment.Channel.SESSION
        else (_intent_params(order, reference, wish))
    )
    payment = Payment(
        order=order,
        attempt=number,
        channel=wish.channel,
        reference=reference,
        amount=order.total,
        currency=order.currency,
        livemode=settings.PAYMENT_ENV == "live",
        stripe_customer_id=wish.customer,
        stripe_method_id=wish.method,
        saves_method=wish.save_method,
        idempotency_key=f"{reference}-1",
        request_params=json.dumps(params),
    )
    rows.insert_one(payment)
    write_log(payment, "opened", before="")
    return payment


def open_attempt_of(order: Order) -> Payment | None:
    return Payment.objects.filter(order=order, status__in=Payment.OPEN).first()


def lock_payment(payment_id: int) -> Payment:
    payment = rows.locked(Payment, "id", payment_id)
    if payment is None:
        raise Payment.DoesNotExist
    return payment


def close_attempt(payment: Payment, *, status: str, kind: str, event_id: str = "", **columns: Any) -> None:
    """End a locked, open attempt without money. The order is left alone."""
    before = payment.status
    save(payment, status=status, **columns)
    write_log(payment, kind, before=before, event_id=event_id, object_id=f"{payment.reference}:closed")


def save(payment: Payment, **columns: Any) -> None:
    """Change columns of a locked payment, here and in its row."""
    if not rows.change(Payment, {"id": payment.pk}, columns):
        raise Payment.DoesNotExist
    for name, value in columns.items():
        setattr(payment, name, value)


def write_log(
    payment: Payment, kind: str, *, before: str, object_id: str = "", event_id: str = "", detail: str = ""
) -> None:
    """Keep what happened. The same kind for the same object again is one row."""
    rows.insert_unless_known(
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
        ]
    )


def _session_params(order: Order, reference: str, wish: Wish) -> dict[str, Any]:
    items = list(OrderItem.objects.filter(order=order).order_by("pk"))
    metadata = _metadata(order, reference)
    if order.expires_at is None:
        raise DomainError("The order holds nothing.", code="order_not_held", status=409)
    intent_data: dict[str, Any] = {"metadata": metadata, **_capture()}
    params: dict[str, Any] = {
        "mode": "payment",
        "client_reference_id": reference,
        "metadata": metadata,
        "payment_intent_data": intent_data,
        "line_items": [_line(item, order.currency) for item in items],
        "success_url": settings.FRONTEND_URL + settings.CHECKOUT_SUCCESS_PATH,
        "cancel_url": settings.FRONTEND_URL + settings.CHECKOUT_CANCEL_PATH.replace("{number}", order.number),
        "expires_at": int((order.expires_at - HOLD_BEYOND_SESSION).timestamp()),
        "automatic_tax": {"enabled": False},
        "adaptive_pricing": {"enabled": False},
        "managed_payments": {"enabled": False},
    }
    if wish.customer:
        params["customer"] = wish.customer
        if wish.save_method:
            intent_data["setup_future_usage"] = "off_session"
        # The page offers what the buyer has saved, and asks whether to save what is new.
        params["saved_payment_method_options"] = {
            "payment_method_save": "disabled" if wish.save_method else "enabled",
            "allow_redisplay_filters": ["always", "unspecified", "limited"],
        }
    elif order.email:
        params["customer_email"] = order.email
    if order.shipping_address:
        intent_data["shipping"] = _shipping(order, order.shipping_address)
    elif any(item.kind == "physical" for item in items):
        params["shipping_address_collection"] = {"allowed_countries": settings.SHIPPING_COUNTRIES}
    return params


def _intent_params(order: Order, reference: str, wish: Wish) -> dict[str, Any]:
    params: dict[str, Any] = {
        "amount": order.total,
        "currency": order.currency.lower(),
        "description": f"Order {order.number}",
        "metadata": _metadata(order, reference) | _lines_as_metadata(order),
        "automatic_payment_methods": {"enabled": True},
        **_capture(),
    }
    if wish.customer:
        params["customer"] = wish.customer
    if wish.method:
        params["payment_method"] = wish.method
    if wish.save_method:
        params["setup_future_usage"] = "off_session"
    if order.shipping_address:
        params["shipping"] = _shipping(order, order.shipping_address)
    return params


def _shipping(order: Order, given: dict[str, str]) -> dict[str, Any]:
    address = {name: value for name, value in given.items() if name != "name" and value}
    return {"name": given.get("name") or order.email, "address": address}


def _metadata(order: Order, reference: str) -> dict[str, str]:
    """What `reconcile` knows the order by, also one that a restored backup does not have.

    The key says that this shop made it: several may share an account. It opens nothing.
    """
    key = tokens.issue(KEY_KIND, order.public_id)
    told = {"proshop_payment": reference, "proshop_order": order.number, "proshop_order_key": key}
    return told | ({"proshop_language": order.language} if order.language else {})


def _lines_as_metadata(order: Order) -> dict[str, str]:
    """An intent has no lines of its own, so they go along in portions of what one value takes."""
    lines = [
        [item.sku, item.quantity, item.unit_price] for item in OrderItem.objects.filter(order=order).order_by("pk")
    ]
    text = json.dumps(lines, separators=(",", ":"))
    portions = [text[start : start + METADATA_VALUE] for start in range(0, len(text), METADATA_VALUE)]
    if len(portions) > METADATA_LINES:
        return {}
    return {f"{LINES_KEY}{number}": portion for number, portion in enumerate(portions)}


def _capture() -> dict[str, str]:
    """Manual: cards are only authorised, and staff captures within seven days."""
    return {"capture_method": "manual"} if settings.CAPTURE_METHOD == "manual" else {}


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
