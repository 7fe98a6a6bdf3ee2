"""Which webhook secret verified last is known, and the secret itself is nowhere."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.db import OperationalError
from django.test import Client

from apps.accounts.models import User
from apps.payment.models import StripeWebhookEvent, StripeWebhookSecret
from apps.payment.services import webhook_secrets
from tests.support.shop import sign
from tests.support.staff import CONFIRMED

CURRENT, PREVIOUS = "whsec_tests_current", "whsec_tests_previous"
MOMENT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_secrets, "_noted", {})


def fingerprint(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


def deliver(number: int, secret: str) -> int:
    event = {
        "id": f"evt_{number}",
        "object": "event",
        "type": "product.created",
        "livemode": False,
        "created": int(MOMENT.timestamp()),
        "data": {"object": {"id": "prod_1", "object": "product"}},
    }
    payload, header = sign(event, secret)
    answer = Client().post(
        "/api/payment/webhook/", payload, content_type="application/json", headers={"Stripe-Signature": header}
    )
    return int(answer.status_code)


def notes() -> dict[str, tuple[datetime, datetime]]:
    rows = StripeWebhookSecret.objects.values_list("fingerprint", "first_seen_at", "last_verified_at")
    return {name: (first, last) for name, first, last in rows}


def test_each_secret_has_its_own_first_and_last_time() -> None:
    with time_machine.travel(MOMENT, tick=False) as clock:
        deliver(1, PREVIOUS)
        clock.shift(3600)
        deliver(2, PREVIOUS)
        deliver(3, CURRENT)
        later = datetime.fromtimestamp(MOMENT.timestamp() + 3600, tz=UTC)
    assert notes() == {fingerprint(PREVIOUS): (MOMENT, later), fingerprint(CURRENT): (later, later)}


def test_within_a_minute_nothing_more_is_written() -> None:
    with time_machine.travel(MOMENT, tick=False) as clock:
        deliver(1, CURRENT)
        clock.shift(59)
        deliver(2, CURRENT)
        assert notes() == {fingerprint(CURRENT): (MOMENT, MOMENT)}
        clock.shift(1)
        deliver(3, CURRENT)
        assert notes()[fingerprint(CURRENT)][1].timestamp() == MOMENT.timestamp() + 60


def test_a_note_that_cannot_be_written_leaves_the_event_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(StripeWebhookSecret.objects, "bulk_create", away)
    assert deliver(1, CURRENT) == 200
    assert StripeWebhookEvent.objects.count() == 1
    assert notes() == {}


def test_bytes_that_no_secret_signed_leave_no_note() -> None:
    assert deliver(1, "whsec_somebody_else") == 400
    assert notes() == {}


def test_staff_read_fingerprints_and_change_nothing() -> None:
    deliver(1, CURRENT)
    client = Client()
    owner = User.objects.create_superuser("owner@example.com", "correct horse battery")
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    page = "/admin/payment/stripewebhooksecret/"
    shown = client.get(page).content.decode()
    assert fingerprint(CURRENT) in shown
    assert CURRENT not in shown
    row = StripeWebhookSecret.objects.get()
    assert client.get(f"{page}add/").status_code == 403
    assert client.post(f"{page}{row.pk}/delete/", CONFIRMED).status_code == 403
    assert client.post(f"{page}{row.pk}/change/", {"fingerprint": "0" * 12}).status_code == 403
    assert notes().keys() == {fingerprint(CURRENT)}
