"""The short form of `make storm`: both databases, a few hundred events, kills and restarts, and the reckoning."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.storm import failpoints, plans, weather
from tests.storm.folder import Folder
from tests.storm.servers import BROKERS, NotInstalled
from tests.storm.storm import Options, Storm

pytestmark = pytest.mark.storm

SHORT = {"people": 2, "visitors": 4, "block": 25, "restart_every": 3, "arm_every": 15, "echoes": 6, "until_hit": False}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach; pytest's are for their owner alone."""
    with tempfile.TemporaryDirectory(prefix="proshop-storm-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def installed_broker(folder: Folder) -> str:
    """The first broker that this machine has; without one `manage.py work` does the work."""
    for name, server in BROKERS.items():
        try:
            server(folder)
        except NotInstalled:
            continue
        return name
    return "none"


def blow(folder: Path, **options: Any) -> tuple[Storm, dict[str, Any]]:
    storm = Storm(Folder(folder), Options(**SHORT, lease_seconds=8, **options))
    summary = storm.run()
    shown = {name: summary[name] for name in ("reckoning", "verify", "drain", "reconcile_first", "reconcile_again")}
    reckoning = summary["reckoning"]
    assert (reckoning["lost"], reckoning["doubled"]) == ([], []), shown
    assert summary["verify_ok"], shown
    assert not any(summary["drain"]["waiting"].values()), shown
    assert summary["reconcile_again"]["differences"] == [], shown
    assert summary["visit_ends"].get("failed", 0) == 0, (folder / "journal.jsonl").read_text()
    forgetting = summary["forgetting"]
    assert (forgetting["people"], forgetting["deaths"], forgetting["found_again"]) == (2, 2, []), forgetting
    assert forgetting["told_again"] > 0
    assert forgetting["books_are_the_same"]
    assert forgetting["verify"]["ok"], forgetting
    counts = reckoning["counts"]
    assert counts["events_distinct"] >= options["count"]
    assert counts["orders_paid"] > 10
    assert counts["invoices"] == counts["orders_paid"]
    assert summary["deaths_at_failpoints"] > 0
    return storm, summary


def test_storm_on_postgresql(place: Path) -> None:
    broker = installed_broker(Folder(place / "probe"))
    _, summary = blow(place / "storm", count=150, seed=5, broker=broker)
    assert summary["kills"] > 0
    assert summary["restarts"]["database_immediate"] > 0


@pytest.mark.thorough
def test_storm_on_sqlite_and_a_reckoning_that_finds_what_is_wrong(place: Path) -> None:
    """The control: what is taken away or added afterwards by hand is found, each piece of it."""
    storm, summary = blow(place / "storm", count=80, seed=6, database="sqlite", broker="none")
    assert summary["kills"] > 0
    forgotten = json.loads((place / "storm" / "forgotten.json").read_text(encoding="utf-8"))[0]
    with sqlite3.connect(place / "storm" / "shop.sqlite3") as shop:
        shop.execute("UPDATE orders_order SET email = ? WHERE id = (SELECT max(id) FROM orders_order)", [forgotten])
        for statement, _ in FORGERIES.values():
            assert shop.execute(statement).rowcount == 1, statement
    assert storm.forgetting.places() == ["orders_order.email"]
    found = storm.reckon()
    words = [*found["lost"], *found["doubled"]]
    for name, (_, expected) in FORGERIES.items():
        assert [expected in sentence for sentence in words].count(True) == 1, (name, words)
    assert len(words) == len(FORGERIES), words


FORGERIES = {
    "an event is gone": (
        "DELETE FROM payment_stripewebhookevent WHERE id = (SELECT min(id) FROM payment_stripewebhookevent"
        " WHERE stripe_id LIKE 'evt_storm%')",
        "answered 200 and not stored",
    ),
    "a delivery was done twice": (
        "INSERT INTO storm_done (what) SELECT what FROM storm_done WHERE what LIKE 'delivery %' LIMIT 1",
        "done 2 times",
    ),
    "a unit was sold for nothing": (
        "UPDATE catalog_productvariant SET stock = stock - 1 WHERE sku = 'THING-1'",
        "stock of THING-1",
    ),
    "a mail is gone": (
        "DELETE FROM notifications_mail WHERE id ="
        " (SELECT min(id) FROM notifications_mail WHERE kind = 'order_confirmation')",
        "paid and nobody was told",
    ),
    "a cent too many": (
        "UPDATE payment_payment SET amount_captured = amount_captured + 1 WHERE id ="
        " (SELECT min(id) FROM payment_payment WHERE applied)",
        "at Stripe, ",
    ),
}


def test_plans_and_weather_depend_on_the_seed_alone() -> None:
    assert [plans.plan(3, n) for n in range(50)] == [plans.plan(3, n) for n in range(50)]
    assert plans.plan(3, 1) != plans.plan(4, 1)
    assert [weather.weather(3, n, 10) for n in range(40)] == [weather.weather(3, n, 10) for n in range(40)]


def test_weather_restarts_the_database_in_both_ways_and_the_broker() -> None:
    blows = [what for block in range(40) for what in weather.weather(1, block, 5)]
    assert {"database_immediate", "database_fast", "broker", *weather.KILLS} <= set(blows)


@pytest.mark.skipif(os.name == "nt", reason="processes are killed by signals")
def test_of_all_events_a_tenth_comes_twice_and_a_tenth_out_of_order() -> None:
    """By a visit's seven events: what the rules ask of the stand-in."""
    rules = [rule for number in range(4000) for rule in plans.plan(1, number).rules]
    share = {name: sum(r["next"] for kind, r in rules if kind == name) / 28_000 for name in ("duplicate", "reorder")}
    assert share["duplicate"] == pytest.approx(0.10, abs=0.01)
    assert share["reorder"] == pytest.approx(0.10, abs=0.01)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1:1/v1/refunds", "refunds"),
        ("http://127.0.0.1:1/v1/refunds/re_1AbCdEfGh?expand[]=charge", "refunds.ID"),
        ("http://127.0.0.1:1/v1/checkout/sessions/cs_test_1AbCdEfGh/expire", "checkout.sessions.ID.expire"),
        ("http://127.0.0.1:1/v1/payment_intents/pi_1AbCdEfGh/cancel", "payment_intents.ID.cancel"),
    ],
)
def test_calls_of_one_kind_share_their_failpoints(url: str, kind: str) -> None:
    assert failpoints.kind_of(url) == kind
