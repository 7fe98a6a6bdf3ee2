"""When documents are issued. Each runs inside the outbox's transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.orders.models import Order
from apps.outbox.services import Later

PATIENCE = timedelta(minutes=10)
"""How long an invoice waits for the buyer's name and address, which may come with a later event than the money."""

LOOK_AGAIN = timedelta(seconds=30)


def order_paid(payload: dict[str, Any]) -> None:
    order = Order.objects.get(pk=payload["order_id"])
    waited = order.paid_at is not None and timezone.now() - order.paid_at > PATIENCE
    if not waited and not _knows_buyer(order):
        raise Later(LOOK_AGAIN)
    issue_invoice(order.pk)


def order_contact_learned(payload: dict[str, Any]) -> None:
    order = Order.objects.get(pk=payload["order_id"])
    if order.is_paid and _knows_buyer(order):
        issue_invoice(order.pk)


def refund_changed(payload: dict[str, Any]) -> None:
    """A refund succeeded, or failed, perhaps after it had succeeded."""
    issue_for_refund(payload["refund_id"])


def _knows_buyer(order: Order) -> bool:
    """Goods go to an address; for anything else an e-mail address is all that a buyer is asked for."""
    return bool(order.email) and (
        order.shipping_address is not None or not order.items.filter(kind="physical").exists()
    )
