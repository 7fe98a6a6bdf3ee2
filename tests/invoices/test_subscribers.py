"""When an invoice is issued, and what it waits for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from apps.invoices import subscribers
from apps.invoices.models import Document
from apps.orders.models import Order
from apps.outbox.models import Delivery
from apps.outbox.services import deliver_due, publish
from tests.support.orders import ADDRESS, make_order

pytestmark = pytest.mark.django_db(transaction=True)


def issued() -> int:
    return Document.objects.count()


def order_paid_now(**columns: Any) -> Order:
    return make_order(("Mug", 1, 1000), paid_at=timezone.now(), **columns)


@pytest.mark.parametrize("columns", [{"shipping_address": None}, {"email": ""}])
def test_invoice_waits_for_the_buyers_address_and_not_for_ever(columns: dict[str, Any]) -> None:
    order = order_paid_now(**columns)
    publish("order.paid", str(order.pk), {"order_id": order.pk})
    mine = Delivery.objects.filter(kind="order.paid", subscriber="invoices")
    for minutes in (0, 1, 9):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
            deliver_due()
            waiting = mine.get()
            assert (waiting.state, waiting.attempts, waiting.lease_until, waiting.last_error) == ("due", 0, None, "")
            assert timedelta(seconds=28) < waiting.due_at - timezone.now() <= timedelta(seconds=30)
        assert issued() == 0
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        deliver_due()
    assert (issued(), mine.get().state) == (1, "done")


def test_address_that_is_learned_ends_the_wait() -> None:
    order = order_paid_now(shipping_address=None)
    subscribers.order_contact_learned({"order_id": order.pk})
    assert issued() == 0, "it was the e-mail that was learned"
    Order.objects.update(shipping_address=ADDRESS)
    subscribers.order_contact_learned({"order_id": order.pk})
    assert issued() == 1


def test_nothing_digital_needs_an_address() -> None:
    order = order_paid_now(kind="digital")
    subscribers.order_paid({"order_id": order.pk})
    assert issued() == 1


def test_address_of_an_unpaid_order_issues_nothing() -> None:
    order = make_order(("Mug", 1, 1000), status="pending", payment_status="processing", paid_at=None)
    subscribers.order_contact_learned({"order_id": order.pk})
    assert issued() == 0
