"""Orders, payments and checkouts as the API shows them. Money leaves here as decimal strings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.common.money import to_major
from apps.orders.models import Order
from apps.payment.declines import public_code
from apps.payment.models import Payment, PaymentMethod, Refund


def moment(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def render_payment(payment: Payment, *, order_number: str) -> dict[str, Any]:
    currency = payment.currency
    method = {"type": payment.method_type, "brand": payment.brand, "last4": payment.last4}
    return {
        "id": payment.pk,
        "order_number": order_number,
        "status": payment.status,
        "amount": to_major(payment.amount, currency),
        "amount_refunded": to_major(payment.amount_refunded, currency),
        "currency": currency,
        "payment_method": method if payment.method_type else None,
        "receipt_url": payment.receipt_url or None,
        "failure": {"code": public_code(payment.failure_code), "message": payment.failure_message}
        if payment.failure_code
        else None,
        "stripe_session_id": payment.stripe_session_id,
        "stripe_payment_intent_id": payment.stripe_payment_intent_id,
        "created_at": moment(payment.created_at),
        "paid_at": moment(payment.paid_at),
    }


def render_payment_state(payment: Payment) -> dict[str, Any]:
    """A payment with how it stands at Stripe, in Stripe's words, and how its order stands."""
    order = payment.order
    session = payment.session_payment_status if payment.session_status == "complete" else payment.session_status
    return {
        **render_payment(payment, order_number=order.number),
        "stripe_status": payment.intent_status if payment.channel == Payment.Channel.INTENT else session,
        "order_status": order.status,
        "payment_status": order.payment_status,
    }


def render_refund(refund: Refund) -> dict[str, Any]:
    """A refund with its lines; `payment__order` and `items` are to be fetched with it."""
    return {
        "id": refund.pk,
        "payment_id": refund.payment_id,
        "order_number": refund.payment.order.number,
        "amount": to_major(refund.amount, refund.currency),
        "currency": refund.currency,
        "status": refund.status,
        "reason": refund.reason,
        "description": refund.description,
        "items": [
            {"order_item_id": item.order_item_id, "quantity": item.quantity, "restock": item.restock}
            for item in refund.items.all()
        ],
        "created_at": moment(refund.created_at),
    }


def render_method(method: PaymentMethod) -> dict[str, Any]:
    return {
        "id": method.pk,
        **{name: getattr(method, name) for name in ("type", "brand", "last4", "exp_month", "exp_year", "is_default")},
    }


def render_order(order: Order, *, with_token: bool = False) -> dict[str, Any]:
    """An order with its lines and payments; `items` and `payments` are to be prefetched."""
    currency = order.currency
    body: dict[str, Any] = {
        "number": order.number,
        "status": order.status,
        "payment_status": order.payment_status,
        "currency": currency,
        **{
            name: to_major(getattr(order, name), currency)
            for name in ("subtotal", "discount", "shipping", "tax", "total")
        },
        "email": order.email,
        "shipping_address": order.shipping_address,
        "tracking_number": order.tracking_number,
        "items": [
            {
                "id": item.pk,
                "sku": item.sku,
                "name": item.name,
                "quantity": item.quantity,
                "unit_price": to_major(item.unit_price, currency),
                "line_total": to_major(item.line_total, currency),
                "refunded_quantity": item.refunded_quantity,
            }
            for item in order.items.all()
        ],
        "payments": [render_payment(payment, order_number=order.number) for payment in order.payments.all()],
        "disputed": order.disputed,
        "created_at": moment(order.created_at),
        "paid_at": moment(order.paid_at),
        "expires_at": moment(order.expires_at),
    }
    if with_token:
        body["order_token"] = order.token
    return body


def render_checkout(payment: Payment, order: Order, *, items_count: int) -> dict[str, Any]:
    return {
        "session_id": payment.stripe_session_id,
        "checkout_url": payment.checkout_url,
        "total_amount": to_major(payment.amount, payment.currency),
        "currency": payment.currency,
        "items_count": items_count,
        "order_number": order.number,
        "order_token": order.token,
        "expires_at": moment(payment.session_expires_at),
    }


def render_status(payment: Payment, order: Order) -> dict[str, Any]:
    state = payment.session_status
    return {
        "session_id": payment.stripe_session_id,
        "stripe_status": payment.session_payment_status if state == "complete" else state,
        "order_number": order.number,
        "order_status": order.status,
        "payment_status": order.payment_status,
        "amount": to_major(payment.amount, payment.currency),
        "currency": payment.currency,
    }
