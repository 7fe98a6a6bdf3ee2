"""Orders as they stand after a purchase, without the purchase."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from apps.orders.models import Order, OrderItem
from apps.orders.services import state
from apps.payment.models import Payment, Refund
from tests.support.shop import make_variant

PAID_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "Hauptstr. 1",
    "line2": "",
    "city": "Köln",
    "state": "",
    "postal_code": "50667",
    "country": "DE",
}


def make_order(
    *lines: tuple[str, int, int], number: str = "ORD-20260301-00001", kind: str = "physical", **columns: Any
) -> Order:
    """A paid order with its applied payment; each line a name, a quantity and a unit price in minor units."""
    subtotal = sum(quantity * price for _, quantity, price in lines)
    charges = {name: columns.pop(name, 0) for name in ("discount", "shipping", "tax")}
    fields = {
        "email": "buyer@example.com",
        "currency": "USD",
        "status": "confirmed",
        "payment_status": "paid",
        "paid_at": PAID_AT,
        "shipping_address": ADDRESS if kind == "physical" else None,
        **columns,
    }
    order = Order.objects.create(
        number=number,
        subtotal=subtotal,
        total=subtotal + charges["shipping"] + charges["tax"] - charges["discount"],
        transitions=1,
        **charges,
        **fields,
    )
    Order.objects.filter(pk=order.pk).update(created_at=PAID_AT)
    for place, (name, quantity, price) in enumerate(lines, start=1):
        variant = make_variant(f"{number[-5:]}-{place}", kind=kind, currency=order.currency)
        OrderItem.objects.create(
            order=order,
            variant=variant,
            sku=f"SKU-{place}",
            name=name,
            kind=kind,
            quantity=quantity,
            unit_price=price,
            line_total=quantity * price,
        )
    state.open_log(order, reason="paid")
    if order.is_paid:
        make_payment(order, applied=True)
    order.refresh_from_db()
    return order


def make_payment(order: Order, *, applied: bool, **columns: Any) -> Payment:
    attempt = order.payments.count() + 1
    return Payment.objects.create(
        order=order,
        attempt=attempt,
        reference=f"pp_{order.pk}_{attempt}",
        idempotency_key=f"pp_{order.pk}_{attempt}",
        status="succeeded",
        applied=applied,
        amount=order.total,
        amount_captured=order.total,
        currency=order.currency,
        livemode=False,
        paid_at=PAID_AT,
        **columns,
    )


def make_refund(order: Order, amount: int, *, succeeded: bool = True, **columns: Any) -> Refund:
    """A refund of the applied payment, as the ledger leaves it."""
    reference = f"pr_{Refund.objects.count() + 1}"
    return Refund.objects.create(
        payment=order.payments.get(applied=True),
        reference=reference,
        idempotency_key=reference,
        amount=amount,
        currency=order.currency,
        reason="other",
        status="succeeded" if succeeded else "pending",
        succeeded_at=PAID_AT if succeeded else None,
        **columns,
    )
