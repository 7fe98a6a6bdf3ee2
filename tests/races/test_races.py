"""Many at once, with connections of their own. Each guard has its control: without it, the fault shows."""

from __future__ import annotations

import random
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.cart.models import CartItem
from apps.catalog.models import ProductVariant
from apps.inventory import services as inventory
from apps.inventory.models import StockHold, StockMovement
from apps.orders.models import Order
from apps.orders.services.numbers import next_number
from apps.payment.invariants import verify
from apps.payment.models import Payment, PaymentLog, StripeWebhookEvent
from apps.payment.services import checkout, ordering
from apps.payment.services.ordering import expire_order
from apps.payment.webhooks import inbox
from tests.support.shop import Shop, Stripe, deliver, in_parallel, make_user, make_variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.race]

THREADS = 24 if connection.vendor == "postgresql" else 8


def place(variants: list[ProductVariant]) -> Callable[[], int]:
    """A buyer's whole placing, without Stripe: 201, or the code of the refusal."""
    buyer = Shop()
    for variant in variants:
        buyer.add(variant)

    def run() -> int:
        return buyer.checkout().status_code

    return run


@pytest.fixture
def no_stripe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's creation takes no time, so that the races are the database's."""

    def opened(payment: Payment) -> Payment:
        Payment.objects.filter(pk=payment.pk, stripe_session_id=None).update(
            stripe_session_id=f"cs_test_{payment.reference}", session_status="open", session_expires_at=timezone.now()
        )
        payment.refresh_from_db()
        return payment

    monkeypatch.setattr(ordering, "open_at_stripe", opened)
    monkeypatch.setattr(checkout, "ask_stripe", lambda payment: payment)


def test_two_hundred_buyers_for_the_last_unit(no_stripe: None) -> None:
    last = make_variant("LAST", stock=1)
    answers = in_parallel([place([last]) for _ in range(200)], threads=THREADS)
    assert Counter(answers) == {201: 1, 400: 199}
    last.refresh_from_db()
    assert (last.stock, last.held) == (1, 1)
    assert StockHold.objects.count() == Order.objects.count() == 1
    assert verify() == []


def test_control_without_the_lock_the_last_unit_is_sold_twice() -> None:
    """The same holds with a plain read before the write: more than one believes to have it."""
    last = make_variant("LAST", stock=1)

    def unguarded(variant_ids: Any) -> list[ProductVariant]:
        found = list(ProductVariant.objects.filter(pk__in=set(variant_ids)))
        together.wait(timeout=20)
        return found

    together = threading.Barrier(2)

    def hold(order_id: int) -> str:
        with transaction.atomic():
            inventory.hold(order_id=order_id, cart_id=None, wanted={last.pk: 1})
        return "held"

    if connection.vendor != "postgresql":
        pytest.skip("SQLite takes its write lock at BEGIN: two such transactions cannot overlap")
    with mock.patch.object(inventory, "lock_variants", unguarded):
        answers = in_parallel([lambda n=n: hold(n) for n in (1, 2)], threads=2)
    # Both pass the check; the database's own constraint is what stops the second one.
    assert sorted(type(answer).__name__ for answer in answers) == ["IntegrityError", "str"]
    last.refresh_from_db()
    assert last.held == 1


def test_carts_in_opposite_order_do_not_deadlock(no_stripe: None) -> None:
    first, second = make_variant("A", stock=1000), make_variant("B", stock=1000)
    jobs = [place([first, second] if number % 2 else [second, first]) for number in range(100)]
    assert Counter(in_parallel(jobs, threads=THREADS)) == {201: 100}
    first.refresh_from_db()
    assert first.held == 100
    assert verify() == []


@pytest.mark.postgres
def test_control_without_one_order_of_locks_opposite_carts_deadlock() -> None:
    first, second = make_variant("A"), make_variant("B")
    together = threading.Barrier(2)

    def lock(pks: list[int]) -> str:
        with transaction.atomic():
            ProductVariant.objects.select_for_update().get(pk=pks[0])
            together.wait(timeout=20)
            ProductVariant.objects.select_for_update().get(pk=pks[1])
        return "done"

    answers = in_parallel([lambda: lock([first.pk, second.pk]), lambda: lock([second.pk, first.pk])], threads=2)
    assert sorted(type(answer).__name__ for answer in answers) == ["OperationalError", "str"]


def test_same_cart_checked_out_twenty_times_is_one_order_and_one_session(stripe_sandbox: Stripe) -> None:
    user = make_user()
    mug = make_variant(stock=50)
    Shop(user).add(mug)
    answers = in_parallel([lambda: Shop(user).checkout() for _ in range(20)], threads=min(THREADS, 12))
    codes = Counter(answer.status_code for answer in answers)
    assert set(codes) <= {201, 503}, [answer.content for answer in answers]
    assert codes[201] >= 1
    assert len({answer.json()["session_id"] for answer in answers if answer.status_code == 201}) == 1
    assert Order.objects.count() == Payment.objects.count() == 1
    assert len(stripe_sandbox.sandbox.get("/v1/checkout/sessions", limit=100)["data"]) == 1
    mug.refresh_from_db()
    assert mug.held == 1
    assert verify() == []


def test_control_without_the_look_at_standing_orders_a_second_order_is_tried(stripe_sandbox: Stripe) -> None:
    """Only the database's constraint is left then, and it says so."""
    buyer = Shop()
    buyer.add(make_variant(stock=5))
    assert buyer.checkout().status_code == 201
    with mock.patch.object(ordering, "unsettled_orders", return_value=[]), pytest.raises(IntegrityError):
        buyer.checkout()
    assert Order.objects.count() == 1


def test_event_delivered_fifty_times_at_once_sells_the_unit_once(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant(stock=5)
    shop.add(mug)
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    event = next(e for e in stripe_sandbox.new_events() if e["type"] == "checkout.session.completed")

    answers = in_parallel([lambda: deliver(event) for _ in range(50)], threads=THREADS)
    assert {answer.status_code for answer in answers} == {200}
    while inbox.process_due():
        StripeWebhookEvent.objects.filter(state="due").update(due_at=timezone.now())
    assert StripeWebhookEvent.objects.get().state == "done"
    assert StockMovement.objects.filter(kind="sale").count() == 1
    assert PaymentLog.objects.filter(kind="succeeded").count() == 1
    assert verify() == []


def test_control_without_the_guards_one_event_twice_would_sell_twice(shop: Shop, stripe_sandbox: Stripe) -> None:
    """With the settled check off, only the database's constraints stand in the way, and they say so."""
    shop.add(make_variant(stock=5))
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    event = next(e for e in stripe_sandbox.new_events() if e["type"] == "checkout.session.completed")
    deliver(event)
    StripeWebhookEvent.objects.update(state="due", due_at=timezone.now() - timedelta(seconds=1))
    with mock.patch.object(Payment, "is_settled", False):
        inbox.process_due()
    # A second settlement went through as surplus money: the fault that the guard prevents.
    assert Payment.objects.get().problem == "surplus" or StripeWebhookEvent.objects.get().state == "due"


def test_all_events_of_many_payments_shuffled_and_doubled_in_parallel(stripe_sandbox: Stripe) -> None:
    mug = make_variant("MANY", stock=30)
    for _ in range(10):
        buyer = Shop()
        buyer.add(mug)
        stripe_sandbox.pay(buyer.checkout().json()["session_id"])
    events = stripe_sandbox.new_events() * 2
    seed = secrets.randbelow(10**6)
    random.Random(seed).shuffle(events)

    answers = in_parallel([lambda event=event: deliver(event) for event in events], threads=THREADS)
    assert {answer.status_code for answer in answers} == {200}, seed
    for _ in range(20):
        StripeWebhookEvent.objects.filter(state__in=("due", "parked")).update(due_at=timezone.now(), lease_until=None)
        if not inbox.process_due():
            break
    assert set(StripeWebhookEvent.objects.values_list("state", flat=True)) <= {"done", "ignored"}, seed
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (20, 0), seed
    assert verify() == [], seed


def test_fifty_adds_at_once_make_one_line(db: None) -> None:
    mug = make_variant(stock=500)
    user = make_user()
    Shop(user).add(mug)
    answers = in_parallel([lambda: Shop(user).add(mug) for _ in range(50)], threads=THREADS)
    assert {getattr(answer, "status_code", answer) for answer in answers} == {201}
    assert CartItem.objects.get().quantity == 51


def test_order_numbers_are_unique_under_concurrency(db: None) -> None:
    def take() -> str:
        with transaction.atomic():
            return next_number()

    numbers = in_parallel([take for _ in range(60)], threads=THREADS)
    assert len(set(numbers)) == 60
    assert all(str(number).startswith("ORD-") for number in numbers)


def test_payment_and_expiry_at_the_same_moment_give_one_of_two_good_ends(stripe_sandbox: Stripe) -> None:
    mug = make_variant("M", stock=20)
    for _ in range(5):
        buyer = Shop()
        buyer.add(mug)
        bought = buyer.checkout().json()
        order = Order.objects.get(number=bought["order_number"])
        stripe_sandbox.pay(bought["session_id"])
        events = [e for e in stripe_sandbox.new_events() if e["type"] == "checkout.session.completed"]
        in_parallel([lambda o=order: expire_order(o), lambda e=events[0]: deliver(e)], threads=2)
        while inbox.process_due():
            pass
        order.refresh_from_db()
        assert (order.status, order.payment_status) == ("confirmed", "paid")
    assert verify() == []
