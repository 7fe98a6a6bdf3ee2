"""After a storm: the faults end, the shop works until nothing waits, and reconcile has its say."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import suppress
from typing import Any

import requests

from tests.storm.crew import METRICS_TOKEN, Crew, wait_until_ready
from tests.storm.visits import World

WAITING = ("proshop_webhook_due", "proshop_delivery_due", "proshop_mail_due")
PATIENCE = 1500.0
"""Seconds that draining may take; leases of two minutes may have to end one after another."""


def drain(world: World) -> dict[str, Any]:
    """Send everything that was held back and wait until nothing waits. Returns the seconds and what still waits."""
    began = time.monotonic()
    world.folder.disarm()
    for name in ("rules/clear", "release"):
        _post(world, name)
    wait_until_ready(world.shop)
    waiting: dict[str, float] = {}
    quiet, seconds = 0, 4000
    while quiet < 3 and time.monotonic() - began < PATIENCE:
        _post(world, "advance", seconds=seconds)
        seconds = 60  # not so far that idempotency keys, which live a day, would end
        time.sleep(2)
        with suppress(requests.RequestException):
            waiting = _waiting(world)
            quiet = quiet + 1 if waiting and not any(waiting.values()) else 0
            world.folder.note("draining", **waiting)
    return {"seconds": round(time.monotonic() - began), "waiting": waiting}


def _post(world: World, name: str, **body: Any) -> None:
    requests.post(f"{world.stripe}/_control/{name}", json=body, timeout=600).raise_for_status()


def _waiting(world: World) -> dict[str, float]:
    """What the shop's metrics and the stand-in say is on its way; nothing when the shop does not answer."""
    headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    answer = requests.get(f"{world.shop}/metrics", headers=headers, timeout=20)
    if answer.status_code != 200:
        return {}
    lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    state = requests.get(f"{world.stripe}/_control/state", timeout=60).json()
    under_way = sum(state["deliveries"].get(name, 0) for name in ("pending", "sending", "held"))
    unfinished = sum(float(value) for name, value in lines.items() if name.startswith("proshop_unfinished{"))
    waiting = {name: float(lines[name]) for name in WAITING}
    return waiting | {"deliveries": under_way, "unfinished": unfinished}


def reconcile(crew: Crew) -> dict[str, Any]:
    """The report of one whole run; one that a killed process began has to be given up first."""
    for _ in range(90):
        done = crew.manage("reconcile", "--since", "2d", "--json", check=False)
        if "Another run" not in done.stderr:
            break
        time.sleep(10)
    return printed(done)


def printed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON that a command printed, or what it said instead."""
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            return dict(json.loads(line))
    return {"error": done.stderr[-1500:]}
