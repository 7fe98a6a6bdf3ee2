"""`manage.py verify`: what it prints, its exit code, what it keeps; and that it asks as rarely as it costs."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.orders.models import Order
from apps.payment import invariants
from apps.payment.models import CheckRun, Payment
from apps.payment.services import check_runs, verifying
from apps.payment.services.check_runs import last_run
from apps.payment.services.verifying import verify_if_due
from tests.support.shop import Shop, Stripe, make_variant

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> tuple[int, str]:
    """The exit code and what was printed."""
    printed = StringIO()
    try:
        call_command("verify", *arguments, stdout=printed)
    except CommandError as ended:
        return ended.returncode, f"{printed.getvalue()}{ended}\n"
    return 0, printed.getvalue()


@pytest.fixture
def paid(shop: Shop, stripe_sandbox: Stripe) -> Order:
    shop.add(make_variant("MUG", price=1000))
    shop.buy(stripe_sandbox)
    return Order.objects.get()


def test_all_is_well(paid: Order) -> None:
    code, printed = run()
    assert code == 0
    assert re.fullmatch(rf"Every invariant holds: {invariants.look().checked} in \d\.\d s\.\n", printed)
    kept = last_run("verify")
    assert kept is not None
    assert (kept.ok, kept.summary["broken"]) == (True, [])


def test_what_does_not_hold_is_named_and_kept(paid: Order) -> None:
    Payment.objects.update(amount_captured=999)
    code, printed = run()
    meaning = "a paid order has one applied payment of exactly its total"
    assert code == 1
    assert printed.splitlines() == [
        f"I6 does not hold: {meaning}. 1 rows, such as [{paid.pk}]",
        "1 invariants do not hold.",
    ]
    kept = last_run("verify")
    assert kept is not None
    assert kept.ok is False
    assert kept.summary["broken"] == [{"name": "I6", "meaning": meaning, "count": 1, "ids": [paid.pk]}]


def test_json(paid: Order) -> None:
    code, printed = run("--json")
    told = json.loads(printed)
    assert code == 0
    assert told.pop("seconds") >= 0
    assert told == {"ok": True, "checked": invariants.look().checked, "broken": []}
    Payment.objects.update(amount_captured=999)
    code, printed = run("--json")
    assert code == 1
    assert [each["name"] for each in json.loads(printed.splitlines()[0])["broken"]] == ["I6"]


def test_many_rows_are_counted_and_twenty_named(stripe_sandbox: Stripe) -> None:
    mug = make_variant("MUG", price=1000, stock=50)
    for _ in range(21):
        buyer = Shop()
        buyer.add(mug)
        stripe_sandbox.pay(buyer.checkout().json()["session_id"])
    stripe_sandbox.digest()
    assert invariants.verify() == []
    Payment.objects.update(amount_captured=999)
    [broken] = invariants.verify()
    assert (broken.name, broken.count, len(broken.ids)) == ("I6", 21, 20)


def test_statements_do_not_grow_with_the_shop(paid: Order) -> None:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = invariants.look()
    assert len(asked) <= found.checked


def test_a_look_an_hour_and_fewer_where_looks_are_long(paid: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    def runs() -> int:
        return CheckRun.objects.filter(kind="verify").count()

    assert (verify_if_due(), runs()) == (0, 1)
    assert (verify_if_due(), runs()) == (0, 1)
    Payment.objects.update(amount_captured=999)
    with time_machine.travel(timezone.now() + timedelta(minutes=61), tick=True):
        assert (verify_if_due(), runs()) == (1, 2)
        newest = CheckRun.objects.latest("pk")
        newest.summary["seconds"] = 60
        newest.save()
    with time_machine.travel(timezone.now() + timedelta(minutes=61 + 99), tick=True):
        assert (verify_if_due(), runs()) == (0, 2)
    with time_machine.travel(timezone.now() + timedelta(minutes=61 + 102), tick=True):
        assert (verify_if_due(), runs()) == (1, 3)


def test_a_look_that_fails_says_so(paid: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Any:
        raise KeyError("a fault")

    monkeypatch.setattr(verifying, "look", fails)
    with pytest.raises(KeyError):
        run()
    kept = last_run("verify")
    assert kept is not None
    assert (kept.ok, kept.summary) == (False, {"cut_off": "It failed: KeyError."})


def test_while_another_look_goes_on_one_can_look_all_the_same(paid: Order) -> None:
    check_runs.begin(CheckRun.Kind.VERIFY)
    assert run()[0] == 0
    assert verify_if_due() == 0
    assert CheckRun.objects.count() == 1
