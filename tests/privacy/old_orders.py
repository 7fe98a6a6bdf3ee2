"""An order of eight years ago with a row of every kind, and the rows that an order may have part in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.enrollment.models import Enrollment, EnrollmentLog
from apps.inventory.models import StockHold, StockMovement
from apps.invoices.models import Document
from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.notifications.models import Mail
from apps.orders import purging as registry
from apps.orders.models import Order, OrderTransition
from apps.outbox.models import Delivery
from apps.payment.models import (
    AttentionCase,
    BalanceEntry,
    Dispute,
    Payment,
    PaymentLog,
    Refund,
    StripeWebhookEvent,
)
from tests.support.ageing import age
from tests.support.orders import make_order, make_refund


def make_old() -> Order:
    """An order of eight years ago with an invoice, a credit note, a delivery, an e-mail and an event."""
    order = make_order(("Mug", 2, 1000))
    payment = order.payments.get()
    Payment.objects.filter(pk=payment.pk).update(stripe_payment_intent_id="pi_old", stripe_charge_id="ch_old")
    refund = make_refund(order, 500)
    issue_invoice(order.pk)
    issue_for_refund(refund.pk)
    now = timezone.now()
    PaymentLog.objects.create(payment=payment, kind="succeeded", event_id="evt_logged", to_status="succeeded", at=now)
    deliver_to("mail", order, state="done")
    write_mail(order)
    tell("evt_named", about=payment.reference)
    tell("evt_logged", about="cus_1")
    StockHold.objects.create(
        variant=order.items.get().variant, order_id=order.pk, quantity=2, state="sold", ended_at=now
    )
    BalanceEntry.objects.create(
        stripe_id="txn_1", kind="charge", category="charge", source_id="ch_old", payment=payment, amount=2000, fee=88,
        net=1912, currency="USD", created=now, available_on=now,
    )  # fmt: skip
    record(None, "noted", order)
    age()
    return order


@contextmanager
def guard_off(reason: str) -> Iterator[None]:
    """Nobody asks whether orders stay for this reason."""

    def without(share: registry.Share) -> registry.Share:
        def stays(ids: registry.Ids, before: Any) -> dict[str, Any]:
            return {why: which for why, which in share.stays(ids, before).items() if why != reason}

        return replace(share, stays=stays)

    whole, registry.shares[:] = list(registry.shares), [without(share) for share in registry.shares]
    try:
        yield
    finally:
        registry.shares[:] = whole


def deliver_to(subscriber: str, order: Order, **columns: Any) -> Delivery:
    now = timezone.now()
    return Delivery.objects.create(
        kind="order.paid", key=str(order.pk), subscriber=subscriber, payload=json.dumps({"order_id": order.pk}),
        due_at=now, created_at=now, **columns,
    )  # fmt: skip


def write_mail(order: Order, **columns: Any) -> Mail:
    now = timezone.now()
    columns = {"kind": "order_confirmation", "key": str(order.pk), "state": "sent", "sent_at": now} | columns
    return Mail.objects.create(
        recipient=order.email, context="{}", due_at=now, created_at=now, message_id="<1>", **columns
    )


def tell(stripe_id: str, *, about: str, state: str = "done") -> StripeWebhookEvent:
    now = timezone.now()
    return StripeWebhookEvent.objects.create(
        stripe_id=stripe_id, type="charge.updated", object_id="ch_x", about=about, livemode=False, created=now,
        payload="{}", sha256="", received_at=now, waiting_since=now, due_at=now, state=state, reason="because",
    )  # fmt: skip


def held() -> Counter[str]:
    """How many rows each table has that an order may have part in. Deliveries that are done go by their own age."""
    models = (
        Order, OrderTransition, Payment, PaymentLog, Refund, Dispute, AttentionCase, BalanceEntry, StripeWebhookEvent,
        Document, Mail, StockHold, StockMovement, AuditEntry, Enrollment, EnrollmentLog,
    )  # fmt: skip
    return Counter({model._meta.label: model._default_manager.count() for model in models})
