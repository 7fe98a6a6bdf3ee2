"""One storm: servers and shop up, visitors and faults until enough has happened, then calm, and the reckoning."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Any

import requests

from tests.storm import failpoints
from tests.storm.calm import drain, printed, reconcile
from tests.storm.crew import ROOT, Crew, Sandbox, environment, wait_until_ready
from tests.storm.echoes import KINDS, Echoes, Lately
from tests.storm.folder import Folder, free_port
from tests.storm.forgetting import Forgetting
from tests.storm.mailbox import Mailbox
from tests.storm.plans import plan
from tests.storm.servers import BROKERS, PostgreSQL, Server
from tests.storm.visits import GaveUp, Visitor, World
from tests.storm.weather import KILLS, Weather

BACKLOG = 3000
"""Echoes that may wait to be sent before the next visitor comes, so that the mix is the same on any machine."""


@dataclass(frozen=True)
class Options:
    """How much of what.

    `count`: distinct events after which it is calm. `echoes`: further events per visit. `block`: echoes between two
    blows of the weather, of which one in `restart_every` restarts a server; `arm_every`: echoes between two traps.
    `reconcile_pause`: seconds between two runs of `reconcile` beside all of it. `hits`: how often each failpoint is to
    be hit, and `until_hit` goes on until that is so, up to twice the events.
    `seconds`: no new visit later. `lease_seconds`: shorter leases than the product's, 0 for its own. `people`: how many
    are forgotten afterwards.
    """

    count: int
    seed: int
    database: str = "postgres"
    broker: str = "redis"
    visitors: int = 12
    block: int = 350
    restart_every: int = 8
    hits: int = 20
    arm_every: int = 60
    echoes: int = 60
    reconcile_pause: float = 3
    seconds: float = 10**9
    until_hit: bool = True
    lease_seconds: float = 0
    people: int = 30


class Storm:
    def __init__(self, folder: Folder, options: Options) -> None:
        self.folder, self.options = folder, options
        self.state: dict[str, Any] = {"visits": 0, "echoes": 0, "ports": {}, "seconds": 0.0, "ends": {}, "answers": {}}
        self.state |= folder.state()
        if self.state.setdefault("seed", options.seed) != options.seed:
            raise ValueError(f"This folder holds the storm of seed {self.state['seed']}.")
        for name in ("web", "sandbox"):
            self.state["ports"].setdefault(name, free_port())
        self.before = {name: dict(self.state[name]) for name in ("ends", "answers")}
        self.servers: dict[str, Server] = {}
        self.forgetting: Forgetting
        self._next = threading.Lock()
        self._echo_wish = threading.Semaphore(0)
        self._calm = threading.Event()

    def run(self) -> dict[str, Any]:
        """Returns the summary, which is also in `summary.json`."""
        with ExitStack() as stack:
            crew, world = self._set_up(stack)
            weather = Weather(self.folder, self.options.seed, crew, self.servers, world.stripe)
            self.folder.note("began", **asdict(self.options), visit=self.state["visits"])
            self._blow(world, weather)
            self.folder.note("calm", seconds=round(self.state["seconds"]))
            quiet = drain(world)
            self.folder.note("drained", **quiet)
            summary = self._reckon(crew, world, weather) | {"drain": quiet}
            summary["forgetting"] = self._forget(crew, world)
            crew.stop()
        (self.folder.path / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
        self.folder.note("ended", lost=summary["lost"], doubled=summary["doubled"], verify=summary["verify_ok"])
        return summary

    # Set-up

    def _set_up(self, stack: ExitStack) -> tuple[Crew, World]:
        database = f"sqlite:///{self.folder.path / 'shop.sqlite3'}"
        if self.options.database == "postgres":
            self.servers["database"] = PostgreSQL(self.folder)
            database = self.servers["database"].url
        broker = ""
        if self.options.broker != "none":
            self.servers["broker"] = BROKERS[self.options.broker](self.folder)
            broker = self.servers["broker"].url
        for server in self.servers.values():
            server.start()
            stack.callback(server.stop, "fast")
        mailbox = Mailbox(self.folder)
        stack.callback(mailbox.close)
        ports = self.state["ports"]
        shop = f"http://127.0.0.1:{ports['web']}"
        sandbox = Sandbox(self.folder, ports["sandbox"], f"{shop}/api/payment/webhook/")
        stack.callback(sandbox.stop)
        env = environment(self.folder, database=database, broker=broker, mail=mailbox.url, ports=ports)
        env["STORM_LEASE_SECONDS"] = str(self.options.lease_seconds)
        self.env = env
        crew = Crew(self.folder, env)
        goods = self.folder.path / "goods.json"
        if not goods.exists():
            subprocess.run([sys.executable, "-m", "tests.storm.goods", str(goods)], cwd=ROOT, env=env, check=True)
        self.folder.disarm()
        crew.start()
        stack.callback(crew.stop)
        wait_until_ready(shop)
        told = json.loads(goods.read_text(encoding="utf-8"))
        return crew, World(self.folder, self.options.seed, shop, sandbox.address, told)

    # The storm

    def _blow(self, world: World, weather: Weather) -> None:
        threads = [threading.Thread(target=self._visit_on, args=(world, f"v{n}")) for n in range(self.options.visitors)]
        lately = Lately(world.stripe)
        repeaters = [threading.Thread(target=self._echo_on, args=(Echoes(world, lately), weather)) for _ in range(10)]
        self._echo_wish.release(max(1, self._echoes_ahead()))  # what the run before left
        beside = [*repeaters, threading.Thread(target=self._reconcile_on, args=(weather,))]
        for thread in [*threads, *beside]:
            thread.start()
        self._kept_at = time.monotonic()
        try:
            self._until_enough(world, weather, threads)
        except BaseException:
            world.stopped.set()  # nobody waits for an answer any more
            raise
        finally:
            self._calm.set()
            self._echo_wish.release(len(repeaters))
            for thread in [*threads, *beside]:
                thread.join()
            self._keep(world, weather)

    def _until_enough(self, world: World, weather: Weather, threads: list[threading.Thread]) -> None:
        began = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            time.sleep(2)
            if self._enough(world, time.monotonic() - began):
                self._calm.set()
            self._keep(world, weather)

    def _enough(self, world: World, seconds: float) -> bool:
        if seconds > self.options.seconds:
            return True
        with suppress(requests.RequestException, ValueError):
            made = requests.get(f"{world.stripe}/_control/state", timeout=20).json()["objects"].get("event", 0)
            so_far = self.state["events_so_far"] = made + self._new_echoes()
            if self.options.until_hit and self._points_left():
                return bool(so_far >= 2 * self.options.count)  # some calls are rare
            return bool(so_far >= self.options.count)
        return False

    def _new_echoes(self) -> int:
        """Those whose event the shop had not seen before."""
        kinds = (f"echo of kind {kind}" for kind, _ in KINDS if kind != "repeat")
        return sum(self.state["answers"].get(kind, 0) for kind in kinds)

    def _points(self) -> list[str]:
        return [*failpoints.POINTS, *failpoints.stripe_points(self.folder.calls_seen())]

    def _points_left(self) -> list[str]:
        hits = self.folder.hits()
        return [point for point in self._points() if hits.get(point, 0) < self.options.hits]

    def _visit_on(self, world: World, name: str) -> None:
        visitor = Visitor(world, f"{name}-{self.state['visits']}")
        while not self._calm.is_set():
            with self._next:
                ahead = self._echoes_ahead()
                number = self.state["visits"]
                self.state["visits"] += ahead < BACKLOG
            if ahead >= BACKLOG:
                time.sleep(0.2)
                continue
            self._echo_wish.release(self.options.echoes)
            try:
                world.ended(visitor.visit(plan(self.options.seed, number)))
            except GaveUp as reason:
                world.ended(f"gave up: {reason}")
            except Exception as failure:
                self.folder.note("visit_failed", visit=number, error=repr(failure)[:300])
                world.ended("failed")

    def _echoes_ahead(self) -> int:
        """How many echoes belong to the visits so far and are not sent."""
        return int(self.state["visits"] * self.options.echoes - self.state["echoes"])

    def _arm(self, number: int) -> None:
        """Lay one trap more, of those that have to be hit again: one of the points that were hit least."""
        wanted = sorted(set(self._points_left()) - self.folder.armed())
        if wanted:
            hits = self.folder.hits()
            least = min(hits.get(point, 0) for point in wanted)
            fewest = [point for point in wanted if hits.get(point, 0) == least]
            self.folder.arm(random.Random(f"{self.options.seed}:arm:{number}").choice(fewest))

    def _reconcile_on(self, weather: Weather) -> None:
        """The command, over and over beside all that goes on; it dies at failpoints of its own."""
        while not self._calm.wait(self.options.reconcile_pause):
            done = weather.crew.manage("reconcile", "--since", "1h", check=False)
            weather.done["reconcile"] += 1
            self.folder.note("reconciled", code=done.returncode, said=(done.stdout + done.stderr)[-300:])

    def _echo_on(self, echoes: Echoes, weather: Weather) -> None:
        while not self._calm.is_set():
            self._echo_wish.acquire()
            with self._next:
                number = self.state["echoes"]
                self.state["echoes"] += 1
            echoes.send(number)
            if number % self.options.arm_every == 0:
                self._arm(number)
            if number % self.options.block == self.options.block - 1:
                weather.after(number // self.options.block, self.options.restart_every)

    def _keep(self, world: World, weather: Weather) -> None:
        """Write down how far it is, for a run that goes on from here."""
        for name, counted in (("ends", world.ends), ("answers", world.answers)):
            with world.lock:
                self.state[name] = dict(Counter(self.before[name]) + counted)
        now = time.monotonic()
        self.state["seconds"] += now - self._kept_at
        self._kept_at = now
        self.state["weather"] = dict(weather.done)
        self.folder.keep_state(self.state)

    def _forget(self, crew: Crew, world: World) -> dict[str, Any]:
        self.forgetting = Forgetting(world, crew, self.options.seed)
        found = self.forgetting.result(self.options.people)
        return found | {"verify": printed(crew.manage("verify", "--json", check=False))}

    def reckon(self) -> dict[str, Any]:
        """Compare the shop's database with what Stripe's stand-in knows; see reckoning.py."""
        command = [sys.executable, "-m", "tests.storm.reckoning", str(self.folder.path)]
        found = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        if found.returncode:
            raise RuntimeError(found.stderr[-3000:])
        return dict(json.loads(found.stdout))

    def _reckon(self, crew: Crew, world: World, weather: Weather) -> dict[str, Any]:
        first, again = reconcile(crew), reconcile(crew)
        drain(world)  # what reconcile mended has events and mails of its own
        verify = crew.manage("verify", "--json", check=False)
        reckoning = self.reckon()
        hits, points = self.folder.hits(), self._points()
        return {
            "command": f"dev.py storm --count {self.options.count} --seed {self.options.seed}",
            "options": asdict(self.options),
            "seconds": round(self.state["seconds"]),
            "visits": self.state["visits"],
            "echoes": self.state["echoes"],
            "lost": reckoning["lost_count"],
            "doubled": reckoning["doubled_count"],
            "verify_ok": verify.returncode == 0,
            "verify": printed(verify),
            "reconcile_first": first,
            "reconcile_again": again,
            "kills": sum(weather.done[name] for name in KILLS),
            "restarts": {name: weather.done[name] for name in ("database_fast", "database_immediate", "broker")},
            "stripe_faults": weather.done["stripe"],
            "reconciled_beside": weather.done["reconcile"],
            "deaths_at_failpoints": sum(hits.values()),
            "failpoints": {point: hits.get(point, 0) for point in points},
            "visit_ends": self.state["ends"],
            "answers": self.state["answers"],
            "reckoning": reckoning,
        }
