"""What stored events keep: everything for ninety days, then ids, amounts, times and states."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.orders.models import Order
from apps.payment.models import Payment, StripeWebhookEvent
from apps.payment.webhooks import inbox, trimming
from apps.payment.webhooks.snapshots import subject_of, trimmed
from tests.support.shop import Shop, Stripe, deliver, make_user, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

BUYER = "buyer@example.com"


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def event(**told: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "type": "charge.succeeded",
        "livemode": False,
        "created": 1_790_000_000,
        "data": {"object": told},
    }


def age(days: float) -> None:
    StripeWebhookEvent.objects.update(received_at=timezone.now() - timedelta(days=days))


def test_trimmed_event_keeps_ids_amounts_times_and_states_and_no_other_text() -> None:
    charge = event(
        object="charge",
        id="ch_1",
        amount=1250,
        currency="usd",
        paid=True,
        status="succeeded",
        customer="cus_1",
        payment_intent="pi_1",
        created=1_790_000_000,
        billing_details={"name": "Ada", "email": "ada@example.com", "address": {"line1": "12 Row"}},
        payment_method_details={"type": "card", "card": {"brand": "visa", "last4": "4242", "exp_month": 7}},
        receipt_email="ada@example.com",
        receipt_url="https://pay.example/ada",
        shipping={"name": "Ada"},
        description="For Ada",
        metadata={"proshop_payment": "pp_1", "note": "for Ada", "proshop_odd": {"name": "Ada"}},
        some_new_field={"whose": "Ada", "list": ["Ada", {"deeper": "Ada"}], "count": 3},
        client_reference_id="ada@example.com",
    )
    assert trimmed(charge)["data"]["object"] == {
        "object": "charge",
        "id": "ch_1",
        "amount": 1250,
        "currency": "usd",
        "paid": True,
        "status": "succeeded",
        "customer": "cus_1",
        "payment_intent": "pi_1",
        "created": 1_790_000_000,
        "billing_details": None,
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "", "exp_month": None}},
        "receipt_email": "",
        "receipt_url": "",
        "shipping": None,
        "description": "",
        "metadata": {"proshop_payment": "pp_1"},
        "some_new_field": {"whose": "", "list": ["", {"deeper": ""}], "count": 3},
        "client_reference_id": "",
    }
    assert trimmed(trimmed(charge)) == trimmed(charge)


@pytest.mark.parametrize(("levels", "status"), [(90, 200), (110, 400), (500, 400)])
def test_deep_nesting_is_stored_without_people_or_refused(levels: int, status: int) -> None:
    deep: Any = "Ada"
    for _ in range(levels):
        deep = {"more": deep}
    assert deliver({**event(object="thing", id="th_1", more=deep), "type": "thing.created"}).status_code == status
    assert ["Ada" in stored.payload for stored in StripeWebhookEvent.objects.all()] == [False] * (status == 200)


@pytest.mark.parametrize(
    ("told", "subject"),
    [
        ({"object": "checkout.session", "id": "cs_1", "client_reference_id": "pp_1", "payment_intent": "pi_1"}, "pp_1"),
        ({"object": "checkout.session", "id": "cs_1", "client_reference_id": "other", "payment_intent": None}, "cs_1"),
        ({"object": "payment_intent", "id": "pi_1", "metadata": {"proshop_payment": "pp_2"}}, "pp_2"),
        ({"object": "payment_intent", "id": "pi_1", "customer": "cus_1", "metadata": {}}, "pi_1"),
        ({"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}, "pi_1"),
        ({"object": "charge", "id": "ch_1", "payment_intent": None, "customer": "cus_1"}, "ch_1"),
        ({"object": "refund", "id": "re_1", "charge": "ch_1", "payment_intent": {"id": "pi_1"}}, "pi_1"),
        ({"object": "dispute", "id": "du_1", "charge": "ch_1"}, "ch_1"),
        ({"object": "payment_method", "id": "pm_1", "customer": "cus_1"}, "cus_1"),
        ({"object": "customer", "id": "cus_1"}, "cus_1"),
        ({"object": ["odd"], "id": 7, "metadata": ["proshop_payment"]}, ""),
        ({"id": "NUL \x00"}, ""),
    ],
)
def test_what_an_event_is_about(told: dict[str, Any], subject: str) -> None:
    assert subject_of({"data": {"object": told}}) == subject


def test_events_stay_whole_for_ninety_days(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant(kind="digital"))
    shop.buy(stripe_sandbox, email=BUYER)
    done = StripeWebhookEvent.objects.filter(state="done")
    whole = dict(done.values_list("stripe_id", "payload"))
    assert len(whole) >= 3
    assert any(BUYER in payload for payload in whole.values())

    age(89.9)
    assert trimming.trim_old() == 0
    assert dict(done.values_list("stripe_id", "payload")) == whole
    age(90.1)
    assert trimming.trim_old() == len(whole)
    assert trimming.trim_old() == 0

    for row in done:
        before, after = json.loads(whole[row.stripe_id]), json.loads(row.payload)
        assert BUYER not in row.payload
        assert after["id"] == before["id"]
        assert after["data"]["object"]["id"] == before["data"]["object"]["id"]
        assert after["data"]["object"]["status"] == before["data"]["object"]["status"]
        assert row.trimmed_at is not None
    assert {row.about for row in done} == {Payment.objects.get().reference}


def test_old_events_are_trimmed_in_batches_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimming, "BATCH", 2)
    monkeypatch.setattr(inbox, "_wake", None)
    for number in range(5):
        deliver({**event(object="charge", id=f"ch_{number}", description="Ada"), "id": f"evt_{number}"})
        row = StripeWebhookEvent.objects.filter(stripe_id=f"evt_{number}")
        row.update(received_at=timezone.now() - timedelta(days=100 - number))
    assert trimming.trim_old(limit=3) == 4
    left = StripeWebhookEvent.objects.filter(trimmed_at=None)
    assert [row.stripe_id for row in left] == ["evt_4"]
    StripeWebhookEvent.objects.update(state="done")


def test_an_event_that_is_not_acted_upon_is_trimmed_when_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "_wake", None)
    deliver({**event(object="customer", id="cus_1", email="ada@example.com"), "type": "customer.created"})
    row = StripeWebhookEvent.objects.get()
    assert (row.state, row.object_id, row.trimmed_at is not None) == ("ignored", "cus_1", True)
    assert "ada@example.com" not in row.payload


def test_an_event_of_somebody_elses_payment_is_trimmed_once_that_is_known(stripe_sandbox: Stripe) -> None:
    deliver(event(object="charge", id="ch_1", payment_intent="pi_1", receipt_email="ada@example.com"))
    row = StripeWebhookEvent.objects.get()
    assert (row.state, row.reason) == ("ignored", "its object carries no reference of ours")
    assert "ada@example.com" not in row.payload


def test_events_of_people_are_trimmed_once_they_are_done(stripe_sandbox: Stripe) -> None:
    user = make_user()
    buyer = Shop(user)
    buyer.add(make_variant(kind="digital"))
    buyer.buy(stripe_sandbox, "pm_card_visa", save_payment_method=True)
    rows = StripeWebhookEvent.objects.filter(type="payment_method.attached")
    assert [(row.state, row.trimmed_at is not None) for row in rows] == [("done", True)]
    assert "4242" not in rows[0].payload


def test_a_trimmed_event_settles_an_order_as_a_whole_one_does(shop: Shop, stripe_sandbox: Stripe) -> None:
    """Control: what is left out is not needed, and what is needed is not left out."""
    shop.add(make_variant())
    session = shop.checkout(email="first@example.com").json()["session_id"]
    stripe_sandbox.pay(session)
    for told in stripe_sandbox.new_events():
        lean = trimmed(told)
        assert "buyer@example.com" not in texts(lean)
        assert deliver(lean).status_code == 200
    work()
    order, payment = Order.objects.get(), Payment.objects.get()
    assert (order.status, order.payment_status, payment.status) == ("confirmed", "paid", "succeeded")
    assert (order.email, order.shipping_address) == ("first@example.com", None)
    assert payment.stripe_charge_id is not None
    assert payment.stripe_payment_intent_id is not None
    assert (payment.brand, payment.last4) == ("visa", "")
    assert not StripeWebhookEvent.objects.exclude(state__in=("done", "ignored")).exists()
