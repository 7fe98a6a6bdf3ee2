"""Late money is applied to its order while it is given back, applied again, or the order is paid by another payment."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest import mock

import pytest
from django.db import connection

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.common.errors import DomainError
from apps.inventory.models import StockMovement
from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.outbox.models import Delivery
from apps.payment.invariants import verify
from apps.payment.models import AttentionCase, Payment, Refund
from apps.payment.services import applying
from apps.payment.services.applying import apply_payment
from apps.payment.services.carrying_out import carry_out
from tests.support.shop import Shop, Stripe, deliver, in_parallel, make_variant
from tests.support.stray import end, late_money

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.race]

THREADS = 24 if connection.vendor == "postgresql" else 8
ROUNDS = 8


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss@example.com", "correct horse battery")


def going_back(stripe: Stripe, mug: ProductVariant, count: int) -> list[Payment]:
    """Late payments of a mug each: their refunds are intended, Stripe was not asked, and the mugs are free again."""
    for _ in range(count):
        buyer = Shop()
        buyer.add(mug)
        stripe.pay(buyer.checkout().json()["session_id"])
    payments = list(Payment.objects.select_related("order").order_by("pk"))
    for payment in payments:
        end(payment.order)
    other = Shop()
    other.add(mug, count)
    assert other.checkout().status_code == 201
    stripe.deliver_new()
    end(Order.objects.latest("pk"))
    assert Refund.objects.filter(status="pending", tries=0).count() == count
    return payments


def applies(payment: Payment, boss: User) -> Callable[[], str]:
    def run() -> str:
        try:
            apply_payment(payment, reason="The goods are here.", by=boss)
        except DomainError as refusal:
            return refusal.code
        return "applied"

    return run


def gives_back(payment: Payment) -> Callable[[], str]:
    """What the worker does."""
    return lambda: carry_out(Refund.objects.get(payment=payment)).status


def test_money_is_applied_or_given_back_and_never_both(stripe_sandbox: Stripe, boss: User) -> None:
    mug = make_variant("MUG", stock=ROUNDS, price=1000)
    payments = going_back(stripe_sandbox, mug, ROUNDS)
    jobs = [
        job
        for payment in payments
        for job in (applies(payment, boss), gives_back(payment), applies(payment, boss), gives_back(payment))
    ]
    answers = in_parallel(jobs, threads=THREADS)
    known = {"applied", "applied_already", "money_going_back", "cancelled", "pending", "succeeded"}
    assert {answer if isinstance(answer, str) else repr(answer) for answer in answers} <= known
    stripe_sandbox.digest()
    applied = set(Payment.objects.filter(applied=True).values_list("pk", flat=True))
    assert len(applied) == Counter(answers)["applied"]
    for payment in payments:
        refund = Refund.objects.get(payment=payment)
        assert refund.status == ("cancelled" if payment.pk in applied else "succeeded")
    assert len(stripe_sandbox.sandbox.objects("refund")) == ROUNDS - len(applied)
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (ROUNDS - len(applied), 0)
    assert not AttentionCase.objects.filter(solved_at=None).exists()
    assert verify() == []


def meanwhile(payment: Payment) -> mock._patch[Any]:
    """The worker asks Stripe in the moment after the refunds were looked at."""
    look = applying._refusal_by_refunds

    def looked(refunds: Any) -> Any:
        found = look(refunds)
        in_parallel([gives_back(payment)], threads=1)
        return found

    return mock.patch.object(applying, "_refusal_by_refunds", looked)


@pytest.mark.postgres
def test_refund_that_begins_after_the_look_wins(stripe_sandbox: Stripe, boss: User) -> None:
    [payment] = going_back(stripe_sandbox, make_variant("MUG", stock=1, price=1000), 1)
    begun = Refund.objects.get()
    # Its answer waits for the payment's lock: what is committed is that Stripe was to be asked.
    with mock.patch("apps.payment.services.carrying_out._keep", return_value=begun), meanwhile(payment):
        assert applies(payment, boss)() == "money_going_back"
    assert len(stripe_sandbox.sandbox.objects("refund")) == 1
    stripe_sandbox.digest()
    assert Refund.objects.get().status == "succeeded"
    assert verify() == []


@pytest.mark.postgres
def test_control_without_the_conditional_update_money_is_applied_and_given_back(
    stripe_sandbox: Stripe, boss: User
) -> None:
    [payment] = going_back(stripe_sandbox, make_variant("MUG", stock=1, price=1000), 1)
    begun = Refund.objects.get()
    with ExitStack() as off:
        off.enter_context(mock.patch("apps.payment.services.carrying_out._keep", return_value=begun))
        off.enter_context(mock.patch.object(applying, "_unasked", lambda row: Refund.objects.filter(pk=row.pk)))
        off.enter_context(meanwhile(payment))
        assert applies(payment, boss)() == "applied"
    assert len(stripe_sandbox.sandbox.objects("refund")) == 1, "and the goods are sold"
    assert Order.objects.get(pk=payment.order_id).payment_status == "paid"


def test_many_who_apply_the_same_money_apply_it_once(stripe_sandbox: Stripe, boss: User, settings: Any) -> None:
    settings.LATE_PAYMENT_POLICY = "staff"
    payment = late_money(stripe_sandbox, make_variant("MUG", stock=3, price=1000))
    answers = in_parallel([applies(payment, boss)] * THREADS, threads=THREADS)
    others = Counter(answer if isinstance(answer, str) else repr(answer) for answer in answers)
    assert others.pop("applied") == 1
    # So many ask Stripe at once that some are told to try again.
    assert set(others) <= {"applied_already", "payment_provider_unavailable"}
    assert StockMovement.objects.filter(kind="sale").count() == 1
    subscribers = Delivery.objects.filter(kind="order.paid").values_list("subscriber", flat=True)
    assert sorted(subscribers) == sorted(set(subscribers))
    assert verify() == []


@pytest.mark.postgres
def test_control_without_locks_the_second_runs_into_the_database(
    stripe_sandbox: Stripe, boss: User, settings: Any
) -> None:
    """Both believe that they apply it; the order's conditional UPDATE is what stops one of them, with an error."""
    settings.LATE_PAYMENT_POLICY = "staff"
    payment = late_money(stripe_sandbox, make_variant("MUG", stock=3, price=1000))
    with ExitStack() as off:
        off.enter_context(mock.patch.object(applying, "lock_payment", lambda pk: Payment.objects.get(pk=pk)))
        off.enter_context(mock.patch.object(lifecycle, "lock_order", together(lambda pk: Order.objects.get(pk=pk))))
        answers = in_parallel([applies(payment, boss)] * 2, threads=2)
    assert sorted(isinstance(answer, Exception) for answer in answers) == [False, True], answers
    assert StockMovement.objects.filter(kind="sale").count() == 1


def together(function: Callable[..., Any]) -> Callable[..., Any]:
    """Two callers go on from here at the same moment."""
    both = threading.Barrier(2)

    def run(*args: Any) -> Any:
        result = function(*args)
        both.wait(timeout=20)
        return result

    return run


def test_order_that_is_paid_meanwhile_takes_one_of_both(stripe_sandbox: Stripe, boss: User, settings: Any) -> None:
    """The buyer tried again and pays in the moment in which staff applies the first payment."""
    settings.LATE_PAYMENT_POLICY = "staff"
    mug = make_variant("MUG", stock=ROUNDS, price=1000)
    jobs: list[Callable[[], Any]] = []
    for _ in range(ROUNDS):
        buyer = Shop()
        buyer.add(mug)
        bought = buyer.checkout().json()
        stripe_sandbox.pay(bought["session_id"])
        payment = Payment.objects.select_related("order").latest("pk")
        end(payment.order)
        stripe_sandbox.deliver_new()
        stripe_sandbox.pay(buyer.retry(bought).json()["session_id"])
        events = stripe_sandbox.new_events()
        jobs += [applies(payment, boss), *(lambda event=event: deliver(event).status_code for event in events)]
    answers = in_parallel(jobs, threads=THREADS)
    told = {answer if isinstance(answer, str | int) else repr(answer) for answer in answers}
    assert told <= {"applied", "order_paid", "payment_provider_unavailable", 200}
    stripe_sandbox.digest()
    assert Payment.objects.filter(applied=True).count() == ROUNDS
    assert StockMovement.objects.filter(kind="sale").count() == ROUNDS
    assert set(Order.objects.values_list("payment_status", flat=True)) == {"paid"}
    surplus = Payment.objects.filter(problem="surplus")
    assert set(surplus.values_list("status", flat=True)) <= {"refunded"}
    assert surplus.count() == Counter(answers)["applied"]
    assert verify() == []


def test_last_unit_goes_to_one_of_two_late_payments(stripe_sandbox: Stripe, boss: User, settings: Any) -> None:
    settings.LATE_PAYMENT_POLICY = "staff"
    last = make_variant("LAST", stock=1, price=1000)
    payments = [late_money(stripe_sandbox, last) for _ in range(6)]
    answers = in_parallel([applies(payment, boss) for payment in payments], threads=6)
    told = Counter(answer if isinstance(answer, str) else repr(answer) for answer in answers)
    assert told.pop("applied") == 1
    assert set(told) <= {"out_of_stock", "payment_provider_unavailable"}
    last.refresh_from_db()
    assert (last.stock, last.held) == (0, 0)
    assert AttentionCase.objects.filter(solved_at=None).count() == 5
    assert verify() == []
