"""Old orders go while somebody comes back to one of them, and while another process lets them go too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from apps.accounts.models import User
from apps.invoices import purging as invoices_share
from apps.invoices.invariants import checks
from apps.invoices.models import Document, DocumentCounter
from apps.invoices.services.issuing import issue_invoice
from apps.orders import purging as orders_share
from apps.orders.models import Order
from apps.payment.models import CheckRun, Payment, Refund
from apps.payment.services import check_runs, purging
from apps.payment.services.ledger import lock_payment
from apps.payment.services.purging import BUSY, Purged, purge
from apps.payment.services.refunds import RefundWish, intend_refund
from tests.support.ageing import age
from tests.support.orders import make_order
from tests.support.shop import in_parallel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.race]

PATIENCE = 20


def old_orders(count: int) -> list[Order]:
    orders = [make_order(("Mug", 1, 1000), number=f"ORD-20260301-{place:05d}") for place in range(1, count + 1)]
    for order in orders:
        issue_invoice(order.pk)
    age()
    return orders


def gaps() -> list[str]:
    return [meaning for _, meaning, rows in checks() if rows.exists()]


def give_back(payment: Payment) -> Refund:
    boss = User.objects.get(email="boss@example.com")
    return intend_refund(payment=payment, wish=RefundWish(amount=400), source=Refund.Source.STAFF, by=boss)


def hear_of_refund(payment: Payment) -> Refund:
    """Somebody gave the money back in Stripe's Dashboard, and the event is applied."""
    with transaction.atomic():
        locked = lock_payment(payment.pk)
        return Refund.objects.create(
            payment=locked, amount=400, currency="USD", reason="other", source="stripe", idempotency_key="re_1"
        )


class Meanwhile:
    """Something is done by somebody else between the first look at old orders and the locks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
        self.results: list[Any] = []
        whole = purging._let_go

        def let_go(ids: orders_share.Ids, found: Purged) -> None:
            self.results += in_parallel([act], threads=1)
            whole(ids, found)

        monkeypatch.setattr(purging, "_let_go", let_go)


@pytest.fixture
def payment() -> Payment:
    User.objects.create_superuser("boss@example.com", "correct horse battery")
    old_orders(1)
    return Payment.objects.get()


def test_refund_that_comes_between_look_and_lock_keeps_the_order(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = Meanwhile(monkeypatch, lambda: give_back(payment))
    done = purge()
    assert (done.orders, +done.stays) == (0, {"a refund is asked for or on its way": 1})
    assert [type(result) for result in meanwhile.results] == [Refund]
    assert Refund.objects.get().payment == payment
    assert Document.objects.count() == 1
    assert gaps() == []


def test_control_without_the_second_look_the_refund_is_gone(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of Stripe's Dashboard; what staff does is in the audit trail, which stops the purge once more."""
    meanwhile = Meanwhile(monkeypatch, lambda: hear_of_refund(payment))
    whole, looks = purging._stay, []

    def stay(ids: orders_share.Ids, found: Purged) -> set[int]:
        looks.append(ids)
        return whole(ids, found) if len(looks) == 1 else set()

    monkeypatch.setattr(purging, "_stay", stay)
    assert purge().orders == 1
    assert [type(result) for result in meanwhile.results] == [Refund], "somebody was told that it is on its way"
    assert Refund.objects.count() == 0


@pytest.mark.postgres
def test_order_that_somebody_has_in_hand_is_passed_over_without_waiting(payment: Payment) -> None:
    looked, purged = threading.Event(), threading.Event()

    def refund() -> Refund:
        with transaction.atomic():
            locked = lock_payment(payment.pk)
            looked.set()
            assert purged.wait(timeout=PATIENCE)
            return Refund.objects.create(
                payment=locked, amount=400, currency="USD", reason="other", idempotency_key="pr_late", reference="pr_1"
            )

    def let_go() -> Purged:
        assert looked.wait(timeout=PATIENCE)
        try:
            return purge()
        finally:
            purged.set()

    made, done = in_parallel([refund, let_go], threads=2)
    assert isinstance(made, Refund)
    assert (done.orders, +done.stays) == (0, {BUSY: 1})
    assert Refund.objects.get().pk == made.pk
    assert purge().orders == 0, "the refund is on its way"


@pytest.mark.postgres
def test_whoever_comes_too_late_finds_no_payment_and_leaves_nothing(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are locked and about to go: a refund waits for them, and a row that hangs on one is refused."""
    locked, waiting = threading.Event(), threading.Event()
    whole = purging.delete_rows

    def delete(rows: Any) -> int:
        locked.set()
        waiting.wait(timeout=PATIENCE)
        return whole(rows)

    monkeypatch.setattr(purging, "delete_rows", delete)

    def refund() -> Refund:
        assert locked.wait(timeout=PATIENCE)
        threading.Timer(0.3, waiting.set).start()
        return give_back(payment)

    done, late = in_parallel([purge, refund], threads=2)
    assert done.orders == 1
    assert isinstance(late, Payment.DoesNotExist)
    assert (Refund.objects.count(), Payment.objects.count(), Order.objects.count()) == (0, 0, 0)
    assert gaps() == []


def both_at_once(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Two processes purge the same fifteen orders, as after a run that was thought dead."""
    monkeypatch.setattr(purging, "BATCH", 5)
    monkeypatch.setattr(check_runs, "begin", lambda kind: CheckRun(kind=kind))
    monkeypatch.setattr(check_runs, "show_alive", lambda run: None)
    monkeypatch.setattr(check_runs, "finish", lambda run, **result: None)
    monkeypatch.setattr(purging, "record", lambda *args, **kwargs: None)
    old_orders(15)
    issue_invoice(make_order(("Mug", 1, 1000), number="ORD-20260301-00016").pk)
    together, mine = threading.Barrier(2), threading.local()
    whole = purging._let_go

    def let_go(ids: orders_share.Ids, found: Purged) -> None:
        if not hasattr(mine, "began"):
            mine.began = True
            together.wait(timeout=PATIENCE)
        whole(ids, found)

    monkeypatch.setattr(purging, "_let_go", let_go)
    return in_parallel([purge, purge], threads=2)


def test_two_at_once_let_each_order_go_once(monkeypatch: pytest.MonkeyPatch) -> None:
    results = both_at_once(monkeypatch)
    assert all(isinstance(result, Purged) for result in results), results
    results.append(purge())  # what both passed over because the other had it
    assert Order.objects.count() == 1
    assert sum(result.orders for result in results) == 15
    assert DocumentCounter.objects.values_list("last", "purged").get() == (16, 15)
    assert gaps() == []


@pytest.mark.postgres  # on SQLite a second writer waits for the first one's transaction
def test_control_without_the_locks_numbers_are_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, mine = threading.Barrier(2), threading.local()

    def unlocked(ids: orders_share.Ids) -> orders_share.Ids:
        return ids

    def settle(ids: orders_share.Ids) -> None:
        if not hasattr(mine, "counted"):
            mine.counted = True
            counted.wait(timeout=PATIENCE)
        whole(ids)

    whole = invoices_share.SHARE.settle
    shares = [
        replace(share, lock=unlocked, **({"settle": settle} if share.name == "invoices" else {}))
        for share in orders_share.shares
    ]
    monkeypatch.setattr(purging, "shares", shares)
    both_at_once(monkeypatch)
    assert DocumentCounter.objects.get().purged > 15
    assert gaps() == ["numbers have no gap"]
