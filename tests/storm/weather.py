"""Faults, by the seed: after each block of echoes something is killed, restarted or broken at Stripe."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any

import requests

from tests.storm.crew import Crew
from tests.storm.folder import Folder
from tests.storm.servers import Server

KILLS = ("web_child", "web_whole", "worker_child", "worker_whole")
STRIPE_FAULTS = (
    "429",
    "lock_timeout",
    "500",
    "html",
    "reset",
    "500_after",
    "reset_after",
    "timeout_before",
    "timeout_after",
)
RESTARTS = ("database_immediate", "broker", "database_fast", "broker")


def weather(seed: int, block: int, every: int) -> list[str]:
    """What happens after a block. A restart of the database or the broker every `every` blocks."""
    chance = random.Random(f"{seed}:weather:{block}")
    if block % every == every - 1:
        return [RESTARTS[block // every % len(RESTARTS)]]
    found = [chance.choice(KILLS)]
    if chance.random() < 0.4:
        found.append("stripe")
    return found


class Weather:
    """Carries out what `weather` says and counts it."""

    def __init__(self, folder: Folder, seed: int, crew: Crew, servers: dict[str, Server], stripe: str) -> None:
        self.folder, self.seed, self.crew, self.servers, self.stripe = folder, seed, crew, servers, stripe
        self.done: Counter[str] = Counter(folder.state().get("weather", {}))
        self._turn = threading.Lock()

    def after(self, block: int, every: int) -> None:
        chance = random.Random(f"{self.seed}:strike:{block}")
        with self._turn:
            for what in weather(self.seed, block, every):
                self._strike(what, chance, block)

    def _strike(self, what: str, chance: random.Random, block: int) -> None:
        behind = "worker" if "worker" in self.crew.commands else "work"
        if what == "stripe":
            self._break_stripe(chance)
        elif what == "web_child":
            self.crew.kill_child("web", chance)
        elif what == "web_whole":
            self.crew.kill_whole("web")
        elif what == "worker_child":
            self.crew.kill_child(behind, chance)
        elif what == "worker_whole":
            self.crew.kill_whole(behind)
        else:
            server = self.servers.get("database" if what.startswith("database") else "broker")
            if server is None:
                return
            server.stop(what.removeprefix("database_"))
            time.sleep(chance.uniform(0.5, 6))
            server.start()
        self.done[what] += 1
        self.folder.note("weather", block=block, fault=what)

    def _break_stripe(self, chance: random.Random) -> None:
        kind = chance.choice(STRIPE_FAULTS)
        body: dict[str, Any] = {"kind": kind, "times": chance.randint(1, 6), "seconds": 7}
        requests.post(f"{self.stripe}/_control/faults", json=body, timeout=60)
