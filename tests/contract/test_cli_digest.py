"""The shop takes in every event that the official CLI's triggers cause, and keeps it as somebody else's."""

from __future__ import annotations

import pytest

from apps.orders.models import Order
from apps.payment.models import Payment, StripeWebhookEvent
from tests.contract.test_cli_triggers import executable, trigger
from tests.sandbox.conftest import Box
from tests.support.shop import deliver

pytestmark = [pytest.mark.cli, pytest.mark.django_db(transaction=True)]

TRIGGERS = (
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "payment_intent.created",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "payment_intent.amount_capturable_updated",
    "charge.succeeded",
    "charge.captured",
    "charge.failed",
    "product.created",
)

__all__ = ["executable", "trigger"]  # fixtures that this module's tests use


def test_every_event_of_the_triggers_is_stored_ignored_and_acknowledged(trigger, box: Box) -> None:
    for name in TRIGGERS:
        assert trigger(name).returncode == 0, name
    box.control("settle")
    box.control("advance", seconds=5)
    events = box.look("events", limit=100)["data"]
    assert {event["type"] for event in events} >= set(TRIGGERS)
    for event in events:
        event.pop("deliveries")
        assert deliver(event).status_code == 200, event["type"]
    assert StripeWebhookEvent.objects.count() == len(events)
    assert set(StripeWebhookEvent.objects.values_list("state", flat=True)) == {"ignored"}
    assert Order.objects.count() == Payment.objects.count() == 0
