"""Celery's side of the loop: the static schedule, and tasks that do what `manage.py work` does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from celery import signals
from celery.beat import Scheduler
from django.db import OperationalError
from kombu.exceptions import OperationalError as BrokerFailure

from proshop import celery, work
from proshop.celery import EVENTS_QUEUE, WORK_QUEUE, app

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Job and queue of each message that a task would send."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(celery.do, "apply_async", lambda args, *, queue, **options: found.append((args[0], queue)))
    return found


def test_every_job_of_the_loop_is_in_the_schedule_and_nothing_else() -> None:
    app.finalize()
    assert set(app.conf.beat_schedule) == {*work.JOBS, *work.HOUSEKEEPING}
    for job, entry in app.conf.beat_schedule.items():
        assert (entry["task"], entry["args"]) == ("proshop.do", (job,))
        assert entry["options"]["queue"] == (EVENTS_QUEUE if job == "events" else WORK_QUEUE)
        assert entry["options"]["expires"] >= entry["schedule"], "a message outlives the time until the next"


def test_periods() -> None:
    seconds = {job: entry["schedule"] for job, entry in app.conf.beat_schedule.items()}
    assert {job for job, period in seconds.items() if period == 1.0} == {"events", "deliveries"}
    assert seconds["mails"] == 2.0
    assert seconds["expiring orders"] == 5.0
    assert {seconds[job] for job in work.HOUSEKEEPING} == {600.0}


def test_beat_takes_the_schedule_and_keeps_no_file() -> None:
    assert app.conf.beat_scheduler == "celery.beat:Scheduler"
    beat = Scheduler(app=app, lazy=True)
    beat.setup_schedule()
    beat.merge_inplace(app.conf.beat_schedule)
    assert set(beat.schedule) >= set(work.JOBS)


def test_names_in_the_periods_and_feeds_are_names_of_jobs() -> None:
    assert {*work.LOOKS_EVERY, *work.FEEDS, *work.FEEDS.values()} <= set(work.JOBS)
    assert not set(work.JOBS) & set(work.HOUSEKEEPING)


def test_task_goes_on_until_nothing_is_due_and_then_has_the_next_look(
    monkeypatch: pytest.MonkeyPatch, sent: list[Any]
) -> None:
    left = [3, 2, 1, 0]
    monkeypatch.setitem(work.JOBS, "events", lambda: left.pop(0))
    celery.do("events")
    assert left == []
    assert sent == [("deliveries", WORK_QUEUE)]


def test_task_that_found_nothing_says_nothing(monkeypatch: pytest.MonkeyPatch, sent: list[Any]) -> None:
    monkeypatch.setitem(work.JOBS, "events", lambda: 0)
    celery.do("events")
    assert sent == []


def test_turn_that_is_over_is_taken_up_by_another(monkeypatch: pytest.MonkeyPatch, sent: list[Any]) -> None:
    monkeypatch.setattr(celery, "TURN_SECONDS", 0.05)
    monkeypatch.setitem(work.JOBS, "events", lambda: time.sleep(0.02) or 1)
    start = time.monotonic()
    celery.do("events")
    assert time.monotonic() - start < 5
    assert sent == [("events", EVENTS_QUEUE), ("deliveries", WORK_QUEUE)]


def test_job_of_another_version_is_passed_over(sent: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    celery.do("of tomorrow")
    assert sent == []
    assert "unknown_job" in caplog.text


def test_database_and_broker_that_are_away_fail_no_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> int:
        raise OperationalError("the database is away")

    def unreachable(*args: Any, **options: Any) -> None:
        raise BrokerFailure("the broker is away")

    monkeypatch.setattr(celery.do, "apply_async", unreachable)
    monkeypatch.setitem(work.JOBS, "events", away)
    celery.do("events")
    left = [1, 0]
    monkeypatch.setitem(work.JOBS, "events", lambda: left.pop(0))
    celery.do("events")
    assert "database_unavailable" in caplog.text
    assert "broker_unavailable" in caplog.text


@pytest.mark.parametrize("start", [signals.celeryd_init, signals.beat_init], ids=["worker", "beat"])
def test_worker_and_beat_refuse_to_start_without_a_broker_or_with_an_unsafe_set_up(start: Any, settings: Any) -> None:
    settings.CELERY_BROKER_URL = ""
    with pytest.raises(SystemExit, match="CELERY_BROKER_URL is empty"):
        start.send(sender=None)
    settings.CELERY_BROKER_URL = "memory://"
    start.send(sender=None)
    settings.STRIPE_WEBHOOK_SECRETS = []
    with pytest.raises(SystemExit, match="STRIPE_WEBHOOK_SECRET is empty"):
        start.send(sender=None)


def test_shop_without_a_broker_loads_no_celery() -> None:
    """The demo and a small shop pay neither its memory nor its start-up time."""
    code = "import django, sys; django.setup(); import proshop.urls; print({'celery', 'kombu'} & {*sys.modules})"
    env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "proshop.settings.test"}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
