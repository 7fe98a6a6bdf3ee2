"""The short form of `tests.hostile.events`, and that it would see what it looks for."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from apps.orders.models import Order
from apps.payment.models import StripeWebhookEvent
from apps.payment.webhooks import inbox
from tests.hostile import events, world
from tests.hostile.mutations import CHANGES, WRITERS, Known, mutate
from tests.hostile.runs import Run
from tests.support.sandbox import Sandbox
from tests.support.shop import Stripe

KNOWN = Known(ids=["pi_1", "ch_1"], references=["pp_1"])
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "charge.succeeded",
    "api_version": "2026-10-28.endive",
    "livemode": False,
    "created": 1_790_000_000,
    "data": {
        "object": {
            "id": "ch_1",
            "object": "charge",
            "amount": 500,
            "currency": "usd",
            "customer": "cus_1",
            "status": "succeeded",
            "metadata": {},
        }
    },
}


def attack(folder: Path, sandbox: Sandbox, **options: Any) -> Run:
    run = Run(folder, seed=options["seed"])
    events.attack(run, sandbox, **options)
    return run


@pytest.mark.django_db(transaction=True)
def test_wrong_events_do_no_harm(stripe_sandbox: Stripe, tmp_path: Path) -> None:
    run = attack(tmp_path, stripe_sandbox.sandbox, count=100, seed=3)
    assert run.findings == []
    assert sum(run.counts["answers"].values()) == 100
    assert set(run.counts["answers"]) == {"200", "400", "413"}
    assert {"done", "ignored", "dead"} <= set(run.counts["ends"])


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_on_postgresql_too(stripe_sandbox: Stripe, tmp_path: Path) -> None:
    assert attack(tmp_path, stripe_sandbox.sandbox, count=60, seed=4).findings == []


@pytest.mark.django_db(transaction=True)
def test_control_a_fault_in_the_webhook_is_found(
    stripe_sandbox: Stripe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "as_name", lambda value, longest=255: str(value or "")[:longest])
    run = Run(tmp_path, seed=1)
    with events.posting(http=False) as post:
        attacker = events.Attack(run, 1, post, [])
        with attacker.faults.listening():
            attacker.send(7, json.dumps(EVENT | {"api_version": "\ud800"}).encode())
    assert [found["status"] for found in run.findings if "status" in found] == [500]
    assert json.loads((tmp_path / "case-7.json").read_bytes())["api_version"] == "\ud800"
    assert sum(run.counts["errors logged"].values()) > 0


@pytest.mark.django_db(transaction=True)
def test_control_money_of_another_order_and_endless_events_are_found(
    stripe_sandbox: Stripe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meddle(attacker: events.Attack) -> None:
        paid = Order.objects.filter(payment_status="paid")
        assert Order.objects.filter(pk=paid.latest("pk").pk).update(disputed=True)
        real(attacker)
        StripeWebhookEvent.objects.filter(state="done").update(state="due", due_at="2999-01-01T00:00Z")

    monkeypatch.setattr(world, "WAYS", world.WAYS[:1])
    real = events.Attack.drain
    monkeypatch.setattr(events.Attack, "drain", meddle)
    found = {each["what"] for each in attack(tmp_path, stripe_sandbox.sandbox, count=5, seed=1).findings}
    assert "an order that no event named has changed" in found
    monkeypatch.setattr(events.Attack, "drain", real)
    run = Run(tmp_path / "next", seed=2)
    monkeypatch.setattr("tests.support.shop.work", lambda **options: None)
    attacker = events.Attack(run, 2, None, [])
    attacker.drain()
    assert {each["what"] for each in run.findings} == {"an event has no end"}


@pytest.mark.parametrize("change", sorted({change.__name__ for change in CHANGES}))
def test_each_change_leaves_something_that_can_be_written(change: str) -> None:
    function = next(each for each in CHANGES if each.__name__ == change)
    before = json.dumps(EVENT)
    different = 0
    for number in range(40):
        event = json.loads(before)
        function(event, random.Random(number), KNOWN)
        for write in set(WRITERS):
            assert isinstance(write(event, random.Random(number)), bytes)
        different += write(event, random.Random(1)) != write(json.loads(before), random.Random(1))
    assert different >= 10
    assert json.dumps(EVENT) == before


def test_the_same_seed_makes_the_same_bytes() -> None:
    def cases(seed: int) -> list[bytes]:
        return [mutate(EVENT, random.Random(f"{seed}:{n}"), KNOWN, event_id=f"evt_{n}") for n in range(200)]

    assert cases(1) == cases(1)
    assert len(set(cases(1))) >= 190
    assert cases(1) != cases(2)


def test_a_run_goes_on_where_it_was_cut_off_and_mixes_with_no_other(tmp_path: Path) -> None:
    run = Run(tmp_path, seed=1)
    run.count("answers", 200)
    run.find("something", case=3)
    run.done = 5
    run.save()
    later = Run(tmp_path, seed=1)
    assert later.resume()
    assert (later.done, later.counts["answers"]["200"], later.findings) == (5, 1, [{"what": "something", "case": 3}])
    with pytest.raises(SystemExit, match="another run"):
        Run(tmp_path, seed=2).resume()
    assert not Run(tmp_path / "new", seed=1).resume()


def test_events_of_a_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(EVENT))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "two.json").write_text(json.dumps([EVENT, EVENT, "no event"]))
    assert events.events_of(tmp_path) == [EVENT, EVENT, EVENT]
    assert events.events_of(None) == []
