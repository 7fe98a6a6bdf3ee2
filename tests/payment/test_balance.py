"""Stripe's fees, nets and payouts, against a sandbox that keeps a balance."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from apps.payment.models import BalanceEntry, CheckRun, Dispute, Payment, Refund
from apps.payment.services.balance import link_entries, read_balance, read_if_due
from apps.payment.services.giving_back import give_back, new_page
from apps.payment.services.refunds import RefundWish
from tests.support.shop import Shop, Stripe, make_user, make_variant

pytestmark = pytest.mark.django_db(transaction=True)

DAYS = timedelta(days=2)


def entries(payment: Payment) -> list[tuple[str, int, int, int]]:
    rows = payment.balance_entries.order_by("kind").values_list("kind", "amount", "fee", "net")
    return list(rows)


@pytest.fixture
def payment(stripe_sandbox: Stripe) -> Payment:
    shop = Shop()
    shop.add(make_variant("MUG-1", price=2000, stock=9))
    shop.buy(stripe_sandbox)
    stripe_sandbox.sandbox.control("advance", seconds=2)
    return Payment.objects.get()


def since() -> Any:
    return timezone.now() - timedelta(hours=1)


def test_fee_and_net_of_a_payment_are_those_that_stripe_booked(payment: Payment, stripe_sandbox: Stripe) -> None:
    assert read_balance(since()) == 1
    [told] = stripe_sandbox.sandbox.get("/v1/balance_transactions")["data"]
    entry = BalanceEntry.objects.get()
    assert entries(payment) == [("charge", 2000, 88, 1912)]
    assert (entry.stripe_id, entry.source_id, entry.currency) == (told["id"], payment.stripe_charge_id, "USD")
    assert entry.created.timestamp() == told["created"]
    assert entry.available_on.timestamp() == told["available_on"]
    assert entry.payout_id == ""
    assert read_balance(since()) == 0
    assert BalanceEntry.objects.count() == 1


def test_refunds_and_disputes_are_booked_on_their_payment(payment: Payment, stripe_sandbox: Stripe) -> None:
    [outcome] = give_back([(payment, RefundWish(amount=500, reason="other"))], page=new_page(), by=make_user())
    assert outcome.state == "succeeded"
    other = Shop()
    other.add(make_variant("CUP-1", price=3000))
    other.buy(stripe_sandbox, "pm_card_createDispute")
    stripe_sandbox.sandbox.control("advance", seconds=2)
    stripe_sandbox.digest()
    disputed = Payment.objects.latest("pk")
    assert Dispute.objects.get().payment == disputed
    assert read_balance(since()) == 4
    assert entries(payment) == [("charge", 2000, 88, 1912), ("refund", -500, 0, -500)]
    assert entries(disputed) == [("adjustment", -3000, 1500, -4500), ("charge", 3000, 117, 2883)]
    assert Refund.objects.get().payment == payment


def test_entry_is_linked_once_its_charge_is_known(payment: Payment) -> None:
    charge = payment.stripe_charge_id
    Payment.objects.update(stripe_charge_id=None)
    read_balance(since())
    assert BalanceEntry.objects.get().payment is None
    Payment.objects.update(stripe_charge_id=charge)
    assert link_entries() == 1
    assert BalanceEntry.objects.get().payment == payment
    assert link_entries() == 0


def test_payout_is_noted_on_what_it_is_made_of(payment: Payment, stripe_sandbox: Stripe) -> None:
    read_balance(since())
    box = stripe_sandbox.sandbox
    box.control("advance", seconds=2 * 86400)
    [payout] = box.control("payout")["payouts"]
    later = Shop()
    later.add(make_variant("CUP-1", price=3000))
    later.buy(stripe_sandbox)
    box.control("advance", seconds=2)
    assert read_balance(since()) == 2
    assert payment.balance_entries.get().payout_id == payout["id"]
    assert Payment.objects.latest("pk").balance_entries.get().payout_id == ""
    own = BalanceEntry.objects.get(kind="payout")
    assert (own.net, own.payout_id, own.payment) == (-1912, payout["id"], None)


def test_payout_that_stripe_takes_no_apart_is_asked_about_once(payment: Payment, monkeypatch: Any) -> None:
    BalanceEntry.objects.create(
        stripe_id="txn_manual",
        kind="payout",
        category="payout",
        source_id="po_manual",
        amount=-5,
        fee=0,
        net=-5,
        currency="USD",
        created=timezone.now(),
        available_on=timezone.now(),
    )
    asked: list[str] = []

    def refuse(payout_id: str) -> Any:
        from apps.payment.gateway import StripeRefused

        asked.append(payout_id)
        raise StripeRefused("Balance transaction history can only be filtered on automatic transfers, not manual.")

    monkeypatch.setattr("apps.payment.gateway.movements_of_payout", refuse)
    read_balance(since())
    read_balance(since())
    assert asked == ["po_manual"]


def test_pages_are_read_to_the_end(payment: Payment, stripe_sandbox: Stripe, monkeypatch: Any) -> None:
    monkeypatch.setattr("apps.payment.gateway.lists.PER_PAGE", 2)
    monkeypatch.setattr("apps.payment.gateway.balance.PER_PAGE", 2)
    box = stripe_sandbox.sandbox
    for _ in range(4):
        give_back(
            [(payment, RefundWish(amount=100, reason="other"))], page=new_page(), by=make_user(f"{_}@example.com")
        )
    box.control("advance", seconds=2 * 86400)
    [payout] = box.control("payout")["payouts"]
    assert read_balance(since()) == 6
    assert set(BalanceEntry.objects.values_list("payout_id", flat=True)) == {payout["id"]}


def test_work_reads_once_an_hour_from_where_it_was(payment: Payment, stripe_sandbox: Stripe) -> None:
    assert read_if_due() == 1
    assert read_if_due() == 0
    run = CheckRun.objects.get()
    assert (run.kind, run.ok, run.summary) == ("balance", True, {"new": 1})
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert read_if_due() == 0
    assert CheckRun.objects.count() == 2


def test_run_that_stripe_cut_off_is_not_the_last_good_one(payment: Payment, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("500", path="/v1/balance_transactions", times=9)
    assert read_if_due() == 0
    run = CheckRun.objects.get()
    assert (run.ok, run.summary) == (False, {"cut_off": "Stripe could not be reached."})
    stripe_sandbox.sandbox.control("rules/clear")
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert read_if_due() == 1
    assert CheckRun.objects.latest("pk").ok is True


def test_shop_without_payments_asks_nothing(db: None, settings: Any) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    assert read_if_due() == 0
    assert CheckRun.objects.count() == 0
