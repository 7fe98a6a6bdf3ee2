"""Money that arrives in every awkward way: wrong, late, twice, out of order."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.inventory.models import StockMovement
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.outbox.models import Delivery
from apps.outbox.services import deliver_due
from apps.payment.invariants import verify
from apps.payment.models import AttentionCase, Payment, Refund, StripeWebhookEvent
from apps.payment.services.cases import watch_delayed_payments
from apps.payment.services.expiry import expire_due_orders
from apps.payment.services.settlement import PaidFacts, apply_paid
from apps.payment.webhooks import inbox
from tests.support.shop import Shop, Stripe, deliver, make_variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]


def facts(payment: Payment, **changes: Any) -> PaidFacts:
    told = {"reference": payment.reference, "amount": payment.amount, "currency": payment.currency}
    return PaidFacts(**(told | {"payment_intent_id": f"pi_{payment.pk}"} | changes))


def settle_payment(told: PaidFacts) -> Payment:
    with transaction.atomic(durable=True):
        return apply_paid(told)


@pytest.fixture
def bought(shop: Shop, stripe_sandbox: Stripe) -> dict[str, Any]:
    """An open checkout of the last mug."""
    shop.add(make_variant("LAST", stock=1, price=1000))
    return shop.checkout().json()


@pytest.mark.parametrize("changes", [{"amount": 999}, {"amount": 1001}, {"currency": "EUR"}])
def test_other_amount_or_currency_is_kept_and_never_applied(bought: Any, changes: dict[str, Any]) -> None:
    payment = settle_payment(facts(Payment.objects.get(), **changes))
    assert (payment.status, payment.applied, payment.problem) == ("succeeded", False, "amount_mismatch")
    assert Order.objects.get().payment_status == "pending"
    assert AttentionCase.objects.get().kind == "amount_mismatch"
    assert Refund.objects.count() == 0
    assert Delivery.objects.filter(kind="payment.attention").count() == 1


def test_second_payment_of_a_paid_order_is_to_be_refunded_in_full(
    shop: Shop, bought: Any, stripe_sandbox: Stripe
) -> None:
    first = Payment.objects.get()
    second = shop.retry(bought).json()
    late = Payment.objects.get(stripe_session_id=second["session_id"])
    settle_payment(facts(first))
    settle_payment(facts(late))
    first.refresh_from_db()
    late.refresh_from_db()
    assert (first.applied, late.applied, late.problem) == (True, False, "surplus")
    refund = Refund.objects.get()
    assert (refund.payment, refund.amount, refund.status) == (late, 1000, "pending")
    assert StockMovement.objects.count() == 1
    assert Order.objects.get().payment_status == "paid"


def test_late_money_takes_the_stock_again_if_there_is_some(bought: Any, stripe_sandbox: Stripe, shop: Shop) -> None:
    cancel(shop, bought)
    settle_payment(facts(Payment.objects.get()))
    order = Order.objects.get()
    assert (order.status, order.payment_status, order.ended) == ("confirmed", "paid", "")
    assert StockMovement.objects.get().quantity == -1


def test_late_money_without_stock_is_to_be_refunded(bought: Any, stripe_sandbox: Stripe, shop: Shop) -> None:
    cancel(shop, bought)
    payment = Payment.objects.get()
    other = Shop()
    other.add(payment.order.items.get().variant)
    assert other.checkout().status_code == 201

    settle_payment(facts(payment))
    payment.refresh_from_db()
    assert (payment.status, payment.problem) == ("succeeded", "late")
    assert Refund.objects.get().amount == 1000
    assert payment.order.status == "cancelled"


def test_late_money_waits_for_staff_where_the_shop_says_so(
    bought: Any, stripe_sandbox: Stripe, shop: Shop, settings: Any
) -> None:
    settings.LATE_PAYMENT_POLICY = "staff"
    cancel(shop, bought)
    settle_payment(facts(Payment.objects.get()))
    assert Refund.objects.count() == 0
    assert AttentionCase.objects.get().kind == "late"


def cancel(shop: Shop, bought: dict[str, Any]) -> None:
    path = f"/api/orders/{bought['order_number']}/cancel/"
    assert shop.post(path, **{"X-Order-Token": bought["order_token"]}).status_code == 200


@pytest.mark.race
def test_expiry_of_an_old_attempt_leaves_the_new_one_alone(shop: Shop, bought: Any, stripe_sandbox: Stripe) -> None:
    second = shop.retry(bought)
    assert second.status_code == 201
    assert "checkout.session.expired" in stripe_sandbox.deliver_new()
    order = Order.objects.get()
    assert (order.status, order.payment_status) == ("pending", "pending")
    assert sorted(Payment.objects.values_list("attempt", "status")) == [(1, "cancelled"), (2, "pending")]


@pytest.mark.race
def test_expiry_that_comes_while_we_close_the_attempt_leaves_the_order(bought: Any, stripe_sandbox: Stripe) -> None:
    """The control is the next test: without the committed intention to close, the same event ends the order."""
    Payment.objects.update(closing=True)
    stripe_sandbox.sandbox.control(f"sessions/{bought['session_id']}/expire")
    stripe_sandbox.deliver_new()
    assert Payment.objects.get().status == "cancelled"
    order = Order.objects.get()
    assert (order.status, order.items.get().variant.held) == ("pending", 1)


@pytest.mark.race
def test_expiry_of_the_current_attempt_ends_the_order_and_frees_its_stock(bought: Any, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.control(f"sessions/{bought['session_id']}/expire")
    stripe_sandbox.deliver_new()
    order = Order.objects.get()
    assert (order.status, order.payment_status, order.ended) == ("cancelled", "failed", "expired")
    variant = order.items.get().variant
    assert (variant.stock, variant.held) == (1, 0)


def test_sweep_asks_stripe_before_it_ends_an_order(bought: Any, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.pay(bought["session_id"])  # and its webhook is lost
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_due_orders() == 0
    assert Order.objects.get().payment_status == "paid"


def test_sweep_ends_an_unpaid_order_and_its_session(bought: Any, stripe_sandbox: Stripe) -> None:
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_due_orders() == 1
    assert Order.objects.get().ended == "expired"
    found = stripe_sandbox.sandbox.get(f"/v1/checkout/sessions/{bought['session_id']}")
    assert found["status"] == "expired"


def test_sweep_keeps_the_hold_while_stripe_cannot_be_asked(bought: Any, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("500", times=9)
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_due_orders() == 0
    order = Order.objects.get()
    assert (order.status, order.items.get().variant.held) == ("pending", 1)


def test_unknown_reference_is_parked_and_applied_once_its_row_is_there(bought: Any, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.pay(bought["session_id"])
    payment = Payment.objects.get()
    Payment.objects.update(reference="pp_" + "0" * 32)
    stripe_sandbox.deliver_new()
    assert StripeWebhookEvent.objects.get(type="checkout.session.completed").state == "parked"

    Payment.objects.update(reference=payment.reference)
    StripeWebhookEvent.objects.update(due_at=timezone.now())
    inbox.process_due()
    assert StripeWebhookEvent.objects.get(type="checkout.session.completed").state == "done"
    assert Order.objects.get().payment_status == "paid"


def test_reference_that_never_appears_is_given_up_with_a_reason(stripe_sandbox: Stripe) -> None:
    found = {"id": "ch_1", "object": "charge", "metadata": {"proshop_payment": "pp_nowhere"}}
    deliver(
        {
            "id": "evt_9",
            "object": "event",
            "type": "charge.failed",
            "livemode": False,
            "created": 1_790_000_000,
            "data": {"object": found},
        }
    )
    assert StripeWebhookEvent.objects.get().state == "parked"
    StripeWebhookEvent.objects.update(due_at=timezone.now(), waiting_since=timezone.now() - timedelta(days=2))
    inbox.process_due()
    event = StripeWebhookEvent.objects.get()
    assert (event.state, event.reason) == ("dead", "no payment pp_nowhere")


def test_events_of_one_payment_in_every_order_give_one_final_state(shop: Shop, stripe_sandbox: Stripe) -> None:
    """All orders of the events of one card payment, each against an order of its own."""
    mug = make_variant("MANY", stock=1000, price=700)
    wanted = ("checkout.session.completed", "payment_intent.succeeded", "charge.succeeded", "charge.updated")
    finals = set()
    for sequence in itertools.permutations(wanted):
        buyer = Shop()
        buyer.add(mug)
        bought = buyer.checkout().json()
        stripe_sandbox.pay(bought["session_id"])
        stripe_sandbox.sandbox.control("advance", seconds=10)  # capture is asynchronous: brings charge.updated
        told = {event["type"]: event for event in stripe_sandbox.new_events()}
        for kind in sequence:
            assert deliver(told[kind]).status_code == 200
        payment = Payment.objects.select_related("order").get(stripe_session_id=bought["session_id"])
        finals.add(
            (
                payment.status,
                payment.applied,
                payment.brand,
                payment.last4,
                bool(payment.stripe_charge_id),
                bool(payment.stripe_payment_intent_id),
                payment.session_payment_status,
                payment.order.status,
                payment.order.payment_status,
                payment.order.email,
                payment.order.shipping_address["country"],
            )
        )
    assert finals == {
        ("succeeded", True, "visa", "4242", True, True, "paid", "confirmed", "paid", "buyer@example.com", "US")
    }
    assert StockMovement.objects.count() == 24
    deliver_due(limit=1000)
    assert Mail.objects.filter(kind="order_confirmation", recipient="buyer@example.com").count() == 24
    assert set(StripeWebhookEvent.objects.values_list("state", flat=True)) == {"done"}


def test_verify_finds_what_is_broken_by_hand(bought: Any) -> None:
    Order.objects.get().items.get().variant.__class__.objects.update(stock=7)
    assert [broken.name for broken in verify()] == ["I1"]
    Order.objects.get().items.get().variant.__class__.objects.update(stock=1)


def test_params_that_are_stored_are_those_that_stripe_got(bought: Any, stripe_sandbox: Stripe) -> None:
    params = json.loads(Payment.objects.get().request_params)
    session = stripe_sandbox.sandbox.get(f"/v1/checkout/sessions/{bought['session_id']}")
    assert session["expires_at"] == params["expires_at"]
    assert session["client_reference_id"] == Payment.objects.get().reference
    assert session["metadata"]["proshop_order"] == bought["order_number"]
    order = Order.objects.get()
    assert order.expires_at is not None
    assert int(order.expires_at.timestamp()) - session["expires_at"] == 60
    assert params["shipping_address_collection"] == {"allowed_countries": ["US", "CA", "GB", "DE", "FR"]}
    assert params["automatic_tax"] == params["adaptive_pricing"] == params["managed_payments"] == {"enabled": False}


def test_debit_that_is_long_on_its_way_becomes_a_case_once(bought: Any) -> None:
    Payment.objects.update(status="processing", created_at=timezone.now() - timedelta(days=15))
    Order.objects.update(payment_status="processing", expires_at=None)
    assert watch_delayed_payments() == 1
    assert watch_delayed_payments() == 0
    assert AttentionCase.objects.get().kind == "long_on_its_way"
    Payment.objects.update(status="pending")
    Order.objects.update(payment_status="pending", expires_at=timezone.now() + timedelta(minutes=5))


def test_zero_total_goes_through_a_session_too(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("FREE", price=0, stock=2, kind="digital"))
    body = shop.checkout().json()
    assert body["total_amount"] == "0.00"
    stripe_sandbox.pay(body["session_id"])
    stripe_sandbox.deliver_new()
    order = Order.objects.get()
    assert (order.status, order.payment_status) == ("confirmed", "paid")
    assert shop.status(body["session_id"])["stripe_status"] == "no_payment_required"
