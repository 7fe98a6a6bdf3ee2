"""The main job: cart, session, signed webhook, paid. Through HTTP on both sides."""

from __future__ import annotations

import pytest

from apps.inventory.models import StockHold, StockMovement
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.outbox.services import deliver_due
from apps.payment.models import Payment, PaymentLog, StripeWebhookEvent
from tests.support.shop import Shop, Stripe, deliver, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]


def test_guest_buys_and_the_webhook_makes_the_order_paid(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant(stock=5, price=1250)
    shop.add(mug, 2)

    bought = shop.checkout()
    assert bought.status_code == 201, bought.content
    body = bought.json()
    assert (body["total_amount"], body["currency"], body["items_count"]) == ("25.00", "USD", 2)
    assert body["checkout_url"].startswith(stripe_sandbox.sandbox.address)
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (5, 2)

    stripe_sandbox.pay(body["session_id"])
    types = stripe_sandbox.deliver_new()
    assert "checkout.session.completed" in types

    order = Order.objects.get(number=body["order_number"])
    assert (order.status, order.payment_status, order.expires_at) == ("confirmed", "paid", None)
    assert order.email == "buyer@example.com"
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (3, 0)
    assert list(StockMovement.objects.values_list("quantity", "kind", "order_id")) == [(-2, "sale", order.pk)]
    payment = Payment.objects.get()
    assert (payment.status, payment.applied, payment.brand, payment.last4) == ("succeeded", True, "visa", "4242")
    assert payment.stripe_payment_intent_id.startswith("pi_")
    assert payment.stripe_charge_id.startswith("ch_")
    assert PaymentLog.objects.filter(kind="succeeded").count() == 1
    assert [(t.seq, t.to_status, t.to_payment_status) for t in order.log.all()] == [
        (1, "pending", "pending"),
        (2, "confirmed", "paid"),
    ]
    assert set(StripeWebhookEvent.objects.values_list("state", flat=True)) <= {"done", "ignored"}
    assert shop.status(body["session_id"]) == {
        "session_id": body["session_id"],
        "stripe_status": "paid",
        "order_number": order.number,
        "order_status": "confirmed",
        "payment_status": "paid",
        "amount": "25.00",
        "currency": "USD",
    }
    assert shop.get("/api/cart/").json()["items"] == []


def test_status_settles_when_no_webhook_came(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant())
    session_id = shop.checkout().json()["session_id"]
    assert shop.status(session_id)["stripe_status"] == "open"
    stripe_sandbox.pay(session_id)
    Payment.objects.update(asked_at=None)

    assert shop.status(session_id)["payment_status"] == "paid"
    assert StripeWebhookEvent.objects.count() == 0

    stripe_sandbox.deliver_new()
    assert StockMovement.objects.count() == 1


def test_same_cart_gets_the_same_session_and_a_changed_cart_another(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant(stock=5)
    shop.add(mug, 1)
    first = shop.checkout().json()
    assert shop.checkout().json() == first

    shop.add(mug, 1)
    second = shop.checkout().json()
    assert second["session_id"] != first["session_id"]
    assert stripe_sandbox.sandbox.get(f"/v1/checkout/sessions/{first['session_id']}")["status"] == "expired"
    old = Order.objects.get(number=first["order_number"])
    assert (old.status, old.payment_status, old.ended) == ("cancelled", "failed", "superseded")
    mug.refresh_from_db()
    assert mug.held == 2

    stripe_sandbox.deliver_new()  # the old session's expiry arrives after the new attempt
    new = Order.objects.get(number=second["order_number"])
    assert (new.status, new.payment_status) == ("pending", "pending")
    assert StockHold.objects.filter(state="active").count() == 1


def test_changed_cart_whose_old_session_was_paid_is_refused(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant(stock=5)
    shop.add(mug, 1)
    first = shop.checkout().json()
    stripe_sandbox.pay(first["session_id"])
    shop.add(mug, 1)

    answer = shop.checkout()
    assert (answer.status_code, answer.json()["code"]) == (409, "already_paid")
    assert answer.json()["order_number"] == first["order_number"]
    assert Order.objects.get().payment_status == "paid"
    deliver_due()
    assert [line["quantity"] for line in shop.get("/api/cart/").json()["items"]] == [1]


def test_declined_card_cancels_nothing_and_the_next_card_pays(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant())
    body = shop.checkout().json()
    with pytest.raises(AssertionError, match="402"):
        stripe_sandbox.pay(body["session_id"], "4000000000000002")
    stripe_sandbox.deliver_new()
    payment = Payment.objects.get()
    assert (payment.status, payment.failure_code) == ("pending", "generic_decline")
    assert Order.objects.get().status == "pending"

    stripe_sandbox.pay(body["session_id"])
    stripe_sandbox.deliver_new()
    payment.refresh_from_db()
    assert (payment.status, payment.failure_code) == ("succeeded", "")


def test_bank_debit_keeps_its_hold_until_it_settles(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant(stock=5, currency="EUR")
    shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": "EUR"})
    shop.cart_token = shop.get("/api/cart/").json()["token"]
    body = shop.checkout().json()
    stripe_sandbox.pay(body["session_id"], "AT611904300234573201")
    stripe_sandbox.deliver_new()
    order = Order.objects.get()
    assert (order.status, order.payment_status, order.expires_at) == ("pending", "processing", None)
    again = shop.checkout()
    assert (again.status_code, again.json()["code"]) == (409, "already_paid")

    stripe_sandbox.sandbox.control("settle")
    stripe_sandbox.deliver_new()
    order.refresh_from_db()
    mug.refresh_from_db()
    assert (order.status, order.payment_status, mug.stock, mug.held) == ("confirmed", "paid", 4, 0)


def test_bank_debit_that_fails_frees_the_stock_and_may_be_retried(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant(stock=1, currency="EUR")
    shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": "EUR"})
    shop.cart_token = shop.get("/api/cart/").json()["token"]
    body = shop.checkout().json()
    stripe_sandbox.pay(body["session_id"], "AT861904300235473202")
    stripe_sandbox.deliver_new()
    stripe_sandbox.sandbox.control("settle")
    stripe_sandbox.deliver_new()
    order = Order.objects.get()
    assert (order.status, order.payment_status, order.ended) == ("cancelled", "failed", "payment_failed")
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (1, 0)

    again = shop.retry(body)
    assert again.status_code == 201, again.content
    stripe_sandbox.pay(again.json()["session_id"])
    stripe_sandbox.deliver_new()
    order.refresh_from_db()
    assert (order.status, order.payment_status) == ("confirmed", "paid")


@pytest.mark.parametrize("intent_first", [True, False])
def test_bank_debit_tells_the_buyer_whichever_event_comes_first(
    shop: Shop, stripe_sandbox: Stripe, intent_first: bool
) -> None:
    mug = make_variant(stock=1, currency="EUR")
    shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": "EUR"})
    shop.cart_token = shop.get("/api/cart/").json()["token"]
    stripe_sandbox.pay(shop.checkout().json()["session_id"], "AT861904300235473202")
    for bank_answers in (False, True):
        if bank_answers:
            stripe_sandbox.sandbox.control("settle")
        events = stripe_sandbox.new_events()
        for event in sorted(events, key=lambda event: event["type"].startswith("payment_intent") != intent_first):
            assert deliver(event).status_code == 200
            work()
    assert Order.objects.get().email == "buyer@example.com"
    kinds = list(Mail.objects.order_by("pk").values_list("kind", "recipient"))
    assert kinds == [("payment_on_its_way", "buyer@example.com"), ("payment_failed", "buyer@example.com")]


def test_event_delivered_again_changes_nothing(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant())
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    events = stripe_sandbox.new_events()
    for event in [*events, *reversed(events), *events]:
        assert deliver(event).status_code == 200
    assert StockMovement.objects.count() == 1
    assert StripeWebhookEvent.objects.count() == len(events)
    assert PaymentLog.objects.filter(kind="succeeded").count() == 1
