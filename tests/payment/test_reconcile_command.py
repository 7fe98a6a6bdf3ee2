"""`manage.py reconcile`: what it prints, with which code it exits, and one run at a time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.payment.management.commands.reconcile import moment
from apps.payment.models import CheckRun, Payment
from apps.payment.services import check_runs
from apps.payment.services.reconcile import reconcile_if_due
from tests.support.backup import tables
from tests.support.shop import Shop, Stripe, make_variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]


def run(*arguments: str) -> tuple[int, str]:
    """The exit code and what was printed."""
    printed = StringIO()
    try:
        call_command("reconcile", *arguments, stdout=printed)
    except CommandError as ended:
        return ended.returncode, f"{printed.getvalue()}{ended}\n"
    return 0, printed.getvalue()


@pytest.fixture
def unheard(shop: Shop, stripe_sandbox: Stripe) -> dict[str, Any]:
    """One session was paid and the shop was not told."""
    shop.add(make_variant("MUG", price=1000))
    bought: dict[str, Any] = shop.checkout().json()
    stripe_sandbox.pay(bought["session_id"])
    return bought


def test_tells_what_was_mended_and_then_that_all_is_well(unheard: dict[str, Any]) -> None:
    code, printed = run()
    number, session = unheard["order_number"], unheard["session_id"]
    assert code == 0
    lines = printed.splitlines()
    assert lines[0] == (
        f"mended: payment {session} {number}: the money is there: session complete, paid, 1000 USD at Stripe, pending, "
        "1000 USD here"
    )
    assert re.fullmatch(
        r"Since \d{4}-\d\d-\d\d \d\d:\d\d UTC: 1 sessions, 1 intents, 0 refunds, 0 disputes, \d events\.", lines[1]
    )
    assert lines[2:] == ["1 differences mended. The shop and Stripe agree."]
    code, printed = run()
    assert (code, printed.splitlines()[1:]) == (0, ["0 differences mended. The shop and Stripe agree."])


def test_dry_run_writes_nothing_and_exits_with_1(unheard: dict[str, Any]) -> None:
    before = tables()
    code, printed = run("--dry-run")
    assert code == 1
    assert printed.startswith("found: payment ")
    assert printed.endswith("\n1 differences are found.\n")
    assert tables() == before


def test_json(unheard: dict[str, Any]) -> None:
    code, printed = run("--json", "--since", "2h")
    told = json.loads(printed)
    assert code == 0
    since, until = (datetime.fromisoformat(told.pop(name)) for name in ("since", "until"))
    assert until - since == timedelta(hours=2) or abs(until - since - timedelta(hours=2)) < timedelta(seconds=5)
    assert told.pop("read")["sessions"] == 1
    assert told == {
        "ok": True,
        "complete": True,
        "cut_off": "",
        "dry_run": False,
        "counts": {"mended": 1, "left": 0, "found": 0},
        "differences": [
            {
                "kind": "payment",
                "object_id": unheard["session_id"],
                "order": unheard["order_number"],
                "detail": "the money is there: session complete, paid, 1000 USD at Stripe, pending, 1000 USD here",
                "outcome": "mended",
            }
        ],
    }


def test_what_is_left_is_told_and_exits_with_1(unheard: dict[str, Any], stripe_sandbox: Stripe) -> None:
    assert run()[0] == 0
    stripe_sandbox.sandbox.control("reset")
    Payment.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    code, printed = run()
    assert code == 1
    assert printed.startswith(f"left: not_at_stripe {unheard['session_id']} {unheard['order_number']}: Stripe does not")
    assert printed.endswith("\n1 differences are left.\n")


def test_stripe_away_exits_with_1_and_says_so(unheard: dict[str, Any], stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("reset", path="*", times=20)
    code, printed = run("--json")
    told, message = printed.split("\n", 1) if "\n" in printed else (printed, "")
    assert code == 1
    assert (json.loads(told)["complete"], json.loads(told)["ok"]) == (False, False)
    assert message == "Stripe could not be reached. Run it again; it goes on from there.\n"
    assert Payment.objects.get().status == "pending"
    stripe_sandbox.sandbox.control("rules/clear")
    assert run()[0] == 0
    assert Payment.objects.get().status == "succeeded"


def test_a_bar_on_a_terminal(unheard: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    drawn = StringIO()
    call_command("reconcile", stdout=StringIO(), stderr=drawn)
    lines = drawn.getvalue().split("\r")
    assert f"{'sessions':<16}[{'#' * 30}] 1".ljust(70) in lines
    assert lines[-2:] == [" " * 70, ""], "the line is left empty"


def test_one_run_at_a_time(unheard: dict[str, Any]) -> None:
    going_on = check_runs.begin(CheckRun.Kind.RECONCILE)
    assert run() == (1, "Another run goes on at this moment.\n")
    assert run("--dry-run")[0] == 1, "a dry run disturbs nobody"
    assert reconcile_if_due() == 0
    CheckRun.objects.update(alive_at=timezone.now() - timedelta(minutes=6))
    assert run()[0] == 0, "one that shows no sign of life was cut off"
    going_on.refresh_from_db()
    assert (going_on.ok, going_on.summary) == (False, {"cut_off": True})


def test_a_run_an_hour(unheard: dict[str, Any]) -> None:
    assert reconcile_if_due() == 1
    assert reconcile_if_due() == 0
    assert CheckRun.objects.count() == 1
    with time_machine.travel(timezone.now() + timedelta(minutes=61), tick=True):
        reconcile_if_due()
    assert CheckRun.objects.count() == 2


def test_old_runs_are_forgotten_but_for_the_last_good_one(stripe_sandbox: Stripe) -> None:
    now = timezone.now()
    for days, ok in ((200, True), (150, True), (120, False), (10, False)):
        at = now - timedelta(days=days)
        CheckRun.objects.create(kind="reconcile", started_at=at, alive_at=at, finished_at=at, ok=ok, summary={})
    check_runs.finish(check_runs.begin("reconcile"), ok=False, summary={})
    kept = CheckRun.objects.order_by("started_at").values_list("started_at", "ok")
    assert [((now - at).days, ok) for at, ok in kept] == [
        (150, True),
        (10, False),
        (0 if kept[2][0] <= now else -1, False),
    ]
    assert check_runs.last_good_run("reconcile").started_at == now - timedelta(days=150)
    assert check_runs.last_run("reconcile").ok is False


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:30:00Z", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("2026-11-01 12:30", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("2026-11-01T12:30:00+02:00", datetime(2026, 11, 1, 10, 30, tzinfo=UTC)),
        ("6h", datetime(2026, 11, 20, 18, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 14, tzinfo=UTC)),
    ],
)
def test_since(text: str, meant: datetime) -> None:
    with time_machine.travel(datetime(2026, 11, 21, tzinfo=UTC), tick=False):
        assert moment(text) == meant


@pytest.mark.parametrize(
    "since", ["", "yesterday", "2026-13-01", "2026-02-30", "2999-01-01", "-5d", "5w", "1e9d", "٣d", "99999d", "\x00"]
)
def test_wrong_usage_exits_with_2(since: str) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "reconcile", f"--since={since}".replace("\x00", "?")],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "proshop.settings.test"},
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert "argument --since" in ended.stderr
