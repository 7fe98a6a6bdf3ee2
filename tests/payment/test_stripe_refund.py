"""`manage.py stripe_refund` against a real sandbox, with the exit codes that a shell sees."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import load_command_class
from django.utils import timezone

from apps.catalog.models import ProductVariant
from apps.orders.models import Order
from apps.payment import gateway
from apps.payment.models import Payment, Refund
from apps.payment.services import refund_requests, refunds
from apps.payment.services.carrying_out import finish_refunds
from apps.payment.services.refunds import EqualRefund, RefundWish, intend_refund
from tests.payment.test_refunds import make_staff, state
from tests.support.shop import Shop, Stripe, in_parallel, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit code, standard output and standard error of the command, as a shell sees them."""

    def stripe_refund(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = 0
        try:
            load_command_class("apps.payment", "stripe_refund").run_from_argv(["manage.py", "stripe_refund", *words])
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return stripe_refund


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1000, stock=10)


@pytest.fixture
def paid(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> Payment:
    """Three mugs at 10.00 and one pen at 2.50, paid: 32.50."""
    shop.add(mug, 3)
    shop.add(make_variant("PEN", price=250, stock=10))
    shop.buy(stripe_sandbox)
    return Payment.objects.get()


def at_stripe(stripe_sandbox: Stripe) -> list[tuple[int, str]]:
    """Amount and reason of every refund at Stripe, newest first."""
    return [(refund["amount"], refund["reason"]) for refund in stripe_sandbox.sandbox.objects("refund")]


def test_all_that_is_left_goes_back(paid: Payment, run: Run, stripe_sandbox: Stripe) -> None:
    code, said, _ = run("--payment-id", str(paid.pk))
    refund = Refund.objects.get()
    assert (code, said) == (
        0,
        f"Stripe answered succeeded: 32.50 USD of payment {paid.pk}, order {paid.order.number}, refund {refund.pk}, "
        f"{refund.stripe_refund_id}. 0.00 USD are left.\n",
    )
    assert (refund.source, refund.requested_by, refund.reason) == ("command", None, "requested_by_customer")
    assert at_stripe(stripe_sandbox) == [(3250, "requested_by_customer")]
    assert state() == ("confirmed", "refunded", 3250, "refunded")


def test_part_by_the_id_of_the_intent_with_a_reason(paid: Payment, run: Run, stripe_sandbox: Stripe) -> None:
    words = ("--payment-intent-id", str(paid.stripe_payment_intent_id), "--amount", "12.50", "--reason", "duplicate")
    code, said, _ = run(*words)
    assert (code, said.endswith(". 20.00 USD are left.\n")) == (0, True)
    assert at_stripe(stripe_sandbox) == [(1250, "duplicate")]
    assert state() == ("confirmed", "partially_refunded", 1250, "partially_refunded")


def test_dry_run_shows_and_changes_nothing(paid: Payment, run: Run, stripe_sandbox: Stripe) -> None:
    run("--payment-id", str(paid.pk), "--amount", "10")
    before = (Refund.objects.count(), paid.log.count(), state())
    stripe_sandbox.sandbox.faults("500", path="*", times=None)  # whoever asks Stripe fails

    code, said, _ = run("--payment-id", str(paid.pk), "--amount", "12.50", "--dry-run")
    assert code == 0
    assert said.splitlines() == [
        f"payment           {paid.pk} ({paid.stripe_payment_intent_id})",
        f"order             {paid.order.number}",
        "captured          32.50 USD",
        "refunded so far   10.00 USD",
        "left              22.50 USD",
        "this refund       12.50 USD",
        "left afterwards   10.00 USD",
        "Nothing was changed.",
    ]
    assert (Refund.objects.count(), paid.log.count(), state()) == before
    stripe_sandbox.sandbox.control("rules/clear")
    assert at_stripe(stripe_sandbox) == [(1000, "requested_by_customer")]


def test_dry_run_refuses_what_the_refund_would_be_refused_for(paid: Payment, run: Run) -> None:
    which = ("--payment-id", str(paid.pk), "--dry-run")
    assert run(*which, "--amount", "32.51")[0] == 1
    intend_refund(payment=paid, wish=RefundWish(amount=500), source="staff")
    assert run(*which, "--amount", "5")[0] == 3
    assert run(*which, "--amount", "5", "--again")[0] == 0
    assert Refund.objects.count() == 1


def test_what_a_lost_dispute_took_is_shown_and_not_given_back(
    shop: Shop, mug: ProductVariant, run: Run, stripe_sandbox: Stripe
) -> None:
    shop.add(mug, 3)
    shop.buy(stripe_sandbox)
    payment = Payment.objects.get()
    charge = f"charges/{payment.stripe_payment_intent_id}/dispute"
    dispute = stripe_sandbox.sandbox.control(charge, amount=1200)["dispute"]["id"]
    stripe_sandbox.digest()
    which = ("--payment-id", str(payment.pk), "--dry-run")
    code, _, refused = run(*which)
    assert (code, refused.startswith("CommandError: charge_disputed: A dispute stands")) == (1, True)
    stripe_sandbox.sandbox.control(f"disputes/{dispute}/decide", outcome="lost")
    stripe_sandbox.digest()
    said = run(*which)[1].splitlines()
    assert said[2:6] == [
        "captured          30.00 USD",
        "refunded so far   0.00 USD",
        "lost in disputes  12.00 USD",
        "left              18.00 USD",
    ]


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("12.505", "12.505 has more decimals than USD allows."),
        ("12,50", "'12,50' is not an amount such as 12.50."),
        ("1e2", "'1e2' is not an amount such as 12.50."),
        ("0", "More than nothing."),
        ("-5", "More than nothing."),
        ("999999999999", "Not between 0.00 and 999999.99 USD."),
    ],
)
def test_amount_that_is_none_is_wrong_usage(paid: Payment, run: Run, amount: str, told: str) -> None:
    assert run("--payment-id", str(paid.pk), f"--amount={amount}") == (2, "", f"CommandError: --amount: {told}\n")
    assert Refund.objects.count() == 0


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--payment-id", "one"),
        ("--payment-id", "1", "--payment-intent-id", "pi_1"),
        ("--payment-id", "1", "--reason", "because"),
        ("--payment-id", "1", "--amuont", "5"),
    ],
)
def test_wrong_words_are_wrong_usage(db: None, run: Run, words: tuple[str, ...]) -> None:
    code, said, told = run(*words)
    assert (code, said, told.startswith("usage: manage.py stripe_refund")) == (2, "", True)


def test_refusals_name_their_code(shop: Shop, mug: ProductVariant, run: Run, stripe_sandbox: Stripe) -> None:
    missing = "CommandError: payment_not_found: There is no such payment.\n"
    assert run("--payment-id", "999999") == (1, "", missing)
    assert run("--payment-id", "99999999999999999999999") == (1, "", missing)
    assert run("--payment-intent-id", "pi_nothing") == (1, "", missing)

    shop.add(mug)
    session = shop.checkout().json()["session_id"]
    which = ("--payment-id", str(Payment.objects.get().pk))
    unpaid = "CommandError: not_refundable: This payment was not paid, so there is nothing to give back.\n"
    assert run(*which) == (1, "", unpaid)

    stripe_sandbox.pay(session)
    stripe_sandbox.digest()
    beyond = "CommandError: amount_exceeds_remaining: This is more than is left of the payment. Left: 10.00 USD.\n"
    assert run(*which, "--amount", "10.01") == (1, "", beyond)
    assert Refund.objects.count() == 0


def test_refusal_of_stripe_is_told_and_the_row_failed(paid: Payment, run: Run, stripe_sandbox: Stripe) -> None:
    """Somebody gave the money back in the Dashboard, and no event has come yet."""
    stripe_sandbox.sandbox.control("refund", payment_intent=paid.stripe_payment_intent_id)
    code, said, told = run("--payment-id", str(paid.pk), "--amount", "5")
    assert (code, said, told.split(": ")[:2]) == (1, "", ["CommandError", "amount_exceeds_remaining"])
    assert sorted(Refund.objects.values_list("status", "amount", "source")) == [
        ("failed", 500, "command"),
        ("succeeded", 3250, "stripe"),
    ]


def test_stripe_away_is_pending_and_work_goes_on(
    paid: Payment, run: Run, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.payment.gateway.calls.time.sleep", lambda seconds: None)
    stripe_sandbox.sandbox.faults("reset", path="/v1/refunds", times=3)
    code, said, _ = run("--payment-id", str(paid.pk), "--amount", "5")
    refund = Refund.objects.get()
    assert (code, said) == (
        0,
        f"Stripe did not answer; pending: 5.00 USD of payment {paid.pk}, order {paid.order.number}, refund "
        f"{refund.pk}. `manage.py work` goes on with it.\n",
    )
    assert (refund.status, at_stripe(stripe_sandbox)) == ("pending", [])
    assert run("--payment-id", str(paid.pk), "--amount", "5")[0] == 3, "what is on its way counts"

    Refund.objects.update(next_try_at=timezone.now())
    assert finish_refunds() == 1
    assert at_stripe(stripe_sandbox) == [(500, "requested_by_customer")]
    assert state() == ("confirmed", "partially_refunded", 500, "partially_refunded")


def test_pending_at_stripe_is_said(shop: Shop, mug: ProductVariant, run: Run, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_pendingRefund")
    payment = Payment.objects.get()
    code, said, _ = run("--payment-id", str(payment.pk))
    refund = Refund.objects.get()
    assert (code, said) == (
        0,
        f"Stripe answered pending: 10.00 USD of payment {payment.pk}, order {payment.order.number}, refund "
        f"{refund.pk}, {refund.stripe_refund_id}. It tells the shop what becomes of it.\n",
    )


def test_failed_at_stripe_is_no_success(
    paid: Payment, run: Run, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe broke down after it made the refund; by the time that it is looked up the bank has refused it."""
    monkeypatch.setattr("apps.payment.gateway.calls.time.sleep", lambda seconds: None)
    stripe_sandbox.sandbox.faults("500_after", path="/v1/refunds", times=1)
    find = gateway.find_refund

    def find_after_the_bank_refused(**wanted: Any) -> Any:
        made = stripe_sandbox.sandbox.objects("refund")[0]["id"]
        stripe_sandbox.sandbox.control(f"refunds/{made}/set", status="failed", failure_reason="declined")
        return find(**wanted)

    monkeypatch.setattr(gateway, "find_refund", find_after_the_bank_refused)
    code, said, told = run("--payment-id", str(paid.pk), "--amount", "5")
    refund = Refund.objects.get()
    assert (code, said, told) == (
        1,
        "",
        f"CommandError: Stripe answered failed: 5.00 USD of payment {paid.pk}, order {paid.order.number}, refund "
        f"{refund.pk}. declined\n",
    )


def test_equal_refund_within_a_day_needs_again(paid: Payment, run: Run, stripe_sandbox: Stripe) -> None:
    words = ("--payment-id", str(paid.pk), "--amount", "5")
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        assert run(*words)[0] == 0
        first = Refund.objects.get()
        clock.move_to(start + timedelta(hours=24))
        refused = (
            "CommandError: equal_refund: The same amount of this payment was given back, or is on its way back, "
            f"already. It is refund {first.pk}; --again makes another.\n"
        )
        assert run(*words) == (3, "", refused)
        assert run("--payment-id", str(paid.pk), "--amount", "5.01")[0] == 0, "another amount is another refund"
        clock.move_to(start + timedelta(hours=24, seconds=1))
        assert run(*words)[0] == 0, "the day is over"
        assert run(*words)[0] == 3
        assert run(*words, "--again")[0] == 0
    assert [amount for amount, _ in at_stripe(stripe_sandbox)] == [500, 500, 501, 500]


def test_equal_full_refund_is_told_as_such(paid: Payment, run: Run) -> None:
    words = ("--payment-id", str(paid.pk), "--amount", "32.50")
    assert run(*words)[0] == 0
    assert run(*words)[0] == 3
    assert run(*words, "--again")[0] == 1, "there is nothing left"


def test_refund_that_failed_does_not_stand_in_the_way(paid: Payment, run: Run, stripe_sandbox: Stripe) -> None:
    words = ("--payment-id", str(paid.pk), "--amount", "5")
    run(*words)
    refund = Refund.objects.get().stripe_refund_id
    stripe_sandbox.sandbox.control(f"refunds/{refund}/set", status="failed", failure_reason="declined")
    stripe_sandbox.digest()
    assert run(*words)[0] == 0
    assert sorted(Refund.objects.values_list("status", flat=True)) == ["failed", "succeeded"]


def test_request_counts_from_the_day_it_was_decided(paid: Payment, run: Run, stripe_sandbox: Stripe) -> None:
    """A buyer's request of last week is no refund; its approval a moment ago made one."""
    words = ("--payment-id", str(paid.pk), "--amount", "5", "--dry-run")
    with time_machine.travel(timezone.now() - timedelta(days=7)):
        asked = refund_requests.request_refund(payment=paid, wish=RefundWish(amount=500), by=None)
    assert run(*words)[0] == 0
    refund_requests.approve(asked, by=make_staff("decide_refund"))
    assert run(*words)[0] == 3
    work()


def test_without_the_bound_equal_refunds_may_follow(paid: Payment) -> None:
    """Staff in the admin and the API see what they did."""
    for _ in range(2):
        intend_refund(payment=paid, wish=RefundWish(amount=500), source=Refund.Source.STAFF)
    with pytest.raises(EqualRefund):
        intend_refund(
            payment=paid,
            wish=RefundWish(amount=500),
            source=Refund.Source.COMMAND,
            unless_equal_within=timedelta(hours=24),
        )
    assert Refund.objects.count() == 2


def intend_five(paid: Payment) -> str:
    try:
        intend_refund(
            payment=paid,
            wish=RefundWish(amount=500),
            source=Refund.Source.COMMAND,
            unless_equal_within=timedelta(hours=24),
        )
    except EqualRefund as refusal:
        return refusal.code
    return "written"


@pytest.mark.race
def test_of_many_equal_commands_at_once_one_gets_through(paid: Payment) -> None:
    answers = in_parallel([lambda: intend_five(paid)] * 12, threads=6)
    assert Counter(answers) == {"written": 1, "equal_refund": 11}
    assert Refund.objects.count() == 1


@pytest.mark.race
@pytest.mark.postgres
def test_control_without_the_payments_lock_two_get_through(paid: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2)
    check = refunds._check

    def checks_beside_the_other(*args: Any) -> int:
        amount = check(*args)
        together.wait(timeout=20)
        return amount

    monkeypatch.setattr(refunds, "lock_payment", lambda pk: Payment.objects.get(pk=pk))
    monkeypatch.setattr(refunds.lifecycle, "lock_order", lambda pk: Order.objects.get(pk=pk))
    monkeypatch.setattr(refunds, "_check", checks_beside_the_other)
    assert in_parallel([lambda: intend_five(paid)] * 2, threads=2) == ["written", "written"]
