"""Money goes back from everywhere at once, and never more than came in."""

from __future__ import annotations

import io
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.accounts.models import User
from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.payment.invariants import verify
from apps.payment.models import Payment, Refund
from apps.payment.services import refunds
from tests.support.shop import Shop, Stripe, in_parallel, make_user, make_variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.race]

THREADS = 24 if connection.vendor == "postgresql" else 8
FIFTIETH = "0.60"  # 2 % of 30.00


def by_api(payment: Payment, boss: User) -> Callable[[], str]:
    staff = Shop(boss)

    def refund() -> str:
        answer = staff.post("/api/payment/refunds/", {"payment_id": payment.pk, "amount": FIFTIETH})
        return "made" if answer.status_code == 201 else str(answer.json()["code"])

    return refund


def by_admin(payment: Payment, boss: User) -> Callable[[], str]:
    client = Shop(boss).client
    page = {"payment": payment.pk, f"amount-{payment.pk}": FIFTIETH, "reason": "requested_by_customer"}
    page |= {"page": secrets.token_hex(16)}

    def refund() -> str:
        answer = client.post("/admin/payment/payment/process-refunds/", page)
        assert answer.status_code == 200
        outcome = answer.context_data["rows"][0]["outcome"]
        return "made" if outcome.refund is not None and not outcome.refusal else "refused"

    return refund


def by_command(payment: Payment, boss: User) -> Callable[[], str]:
    def refund() -> str:
        try:
            call_command("stripe_refund", payment_id=payment.pk, amount=FIFTIETH, again=True, stdout=io.StringIO())
        except CommandError as refusal:
            return str(refusal).partition(":")[0]
        return "made"

    return refund


@pytest.fixture
def jobs(stripe_sandbox: Stripe) -> list[Callable[[], str]]:
    """Twenty refunds of 2 % each from the API, the admin and the command, of one payment of 30.00."""
    buyer = Shop(make_user())
    buyer.add(make_variant("MUG", price=1000), 3)
    buyer.buy(stripe_sandbox)
    payment = Payment.objects.get()
    boss = User.objects.create_superuser("boss@example.com", "correct horse battery")
    return [source(payment, boss) for _ in range(20) for source in (by_api, by_admin, by_command)]


def test_sixty_refunds_of_two_per_cent_at_once_are_fifty(jobs: list[Callable[[], str]], stripe_sandbox: Stripe) -> None:
    answers = in_parallel(jobs, threads=THREADS)
    counts = Counter(answer if isinstance(answer, str) else repr(answer) for answer in answers)
    stripe_sandbox.digest()  # what Stripe was too busy for is carried out by `work`
    assert counts["made"] == 50, counts
    assert sum(counts.values()) == 60
    assert set(counts) <= {"made", "refused", "amount_exceeds_remaining"}
    assert list(Refund.objects.values_list("status", flat=True)) == ["succeeded"] * 50
    payment = Payment.objects.get()
    assert (payment.amount_refunded, payment.status) == (3000, "refunded")
    assert Order.objects.get().payment_status == "refunded"
    charge = stripe_sandbox.sandbox.objects("charge")[0]
    assert (charge["amount_refunded"], charge["refunded"]) == (3000, True)
    assert len(stripe_sandbox.sandbox.objects("refund")) == 50
    assert verify() == []


@pytest.mark.postgres
def test_control_without_the_lock_more_is_promised_than_came_in(
    jobs: list[Callable[[], str]], stripe_sandbox: Stripe
) -> None:
    """The same with payment and order read, not locked, where two are left: all who looked together believe so.

    Stripe alone stops what goes beyond.
    """
    wish = refunds.RefundWish(amount=2880)
    refunds.intend_refund(payment=Payment.objects.get(), wish=wish, source=Refund.Source.STAFF)
    stripe_sandbox.digest()
    real, looked = refunds.left_of, threading.Event()
    together = threading.Barrier(THREADS, action=looked.set)

    def left_of(payment: Payment) -> int:
        left = real(payment)
        if not looked.is_set():
            together.wait(timeout=30)
        return left

    with ExitStack() as off:
        off.enter_context(mock.patch.object(refunds, "left_of", left_of))
        off.enter_context(mock.patch.object(refunds, "lock_payment", lambda pk: Payment.objects.get(pk=pk)))
        off.enter_context(mock.patch.object(lifecycle, "lock_order", lambda pk: Order.objects.get(pk=pk)))
        in_parallel(jobs[:THREADS], threads=THREADS)
    assert Refund.objects.filter(amount=60).count() == THREADS, "where two fitted"
