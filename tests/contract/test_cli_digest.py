"""The shop takes in every event that the official CLI's triggers cause, and keeps it as somebody else's."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from apps.orders.models import Order
from apps.payment.models import Payment, StripeWebhookEvent
from tests.contract.test_cli_triggers import executable, trigger
from tests.sandbox.conftest import API_KEY, Box
from tests.support.shop import deliver, work

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
    "charge.refunded",
    "charge.refund.updated",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "setup_intent.created",
    "setup_intent.succeeded",
    "setup_intent.canceled",
    "setup_intent.requires_action",
    "setup_intent.setup_failed",
    "payment_method.attached",
    "product.created",
)

__all__ = ["executable", "trigger"]  # fixtures that this module's tests use


def all_events(box: Box) -> list[dict[str, Any]]:
    """Every event at Stripe, oldest first."""
    found: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        answer = requests.get(
            f"{box.url}/v1/events",
            params={"limit": "100", **more},
            headers={"Authorization": f"Bearer {API_KEY}"},
            timeout=10,
        )
        page = answer.json()
        found += page["data"]
        if not page["has_more"]:
            return found[::-1]
        more = {"starting_after": page["data"][-1]["id"]}


def test_every_event_of_the_triggers_is_stored_ignored_and_acknowledged(trigger, box: Box, settings) -> None:
    settings.STRIPE_API_BASE, settings.STRIPE_SECRET_KEY = box.url, API_KEY
    for name in TRIGGERS:
        assert trigger(name).returncode == 0, name
    box.control("settle")
    box.control("advance", seconds=5)
    events = all_events(box)
    assert {event["type"] for event in events} >= set(TRIGGERS)
    for event in events:
        assert deliver(event).status_code == 200, event["type"]
    work()
    assert StripeWebhookEvent.objects.count() == len(events)
    assert set(StripeWebhookEvent.objects.values_list("state", flat=True)) == {"ignored"}
    assert Order.objects.count() == Payment.objects.count() == 0
