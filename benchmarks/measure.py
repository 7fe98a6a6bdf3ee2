"""What a job costs: milliseconds of CPU per piece, of the shop's processes and of its database's backends.

CPU is compared, since other load on the machine changes it far less than rates; contenders take turns within a run,
and a ratio is taken round by round. What PostgreSQL's background processes do (WAL, checkpoints, vacuum) is in no
figure.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg2

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used so far; 0 for one that is gone.

    To the nanosecond where the kernel keeps that per thread, else in its ticks.
    """
    with suppress(OSError):
        threads = [each.read_text().split()[0] for each in Path(f"/proc/{pid}/task").glob("*/schedstat")]
        if any(int(spent) for spent in threads):
            return sum(int(spent) for spent in threads) / 1e9
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def family_of(pid: int) -> list[int]:
    """A process with its children and theirs."""
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family_of(int(child))
    return found


class Backends:
    """The processes with which PostgreSQL serves a database, asked over a connection of its own to another one."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg2.connect(url)
        self.connection.autocommit = True

    def of(self, database: str) -> list[int]:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", [database])
            return [row[0] for row in cursor.fetchall()]

    def close(self) -> None:
        self.connection.close()


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of CPU per piece, and pieces a second of this run."""

    shop: float
    database: float
    rate: float

    @property
    def all(self) -> float:
        return self.shop + self.database


def cost_of(shop: Callable[[], Sequence[int]], database: Callable[[], Sequence[int]], job: Callable[[], int]) -> Cost:
    """What a job costs that returns how many pieces it did."""
    before = {pid: cpu_of(pid) for pid in [*shop(), *database()]}
    began = time.monotonic()
    pieces = job()
    seconds = time.monotonic() - began

    def spent(pids: Sequence[int]) -> float:
        return sum(max(0.0, cpu_of(pid) - before.get(pid, 0.0)) for pid in pids) * 1000 / pieces

    return Cost(spent(shop()), spent(database()), pieces / seconds)


def take_turns(contenders: Mapping[str, Callable[[int], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Each contender once a round, another one first each time. A contender is given the round's number."""
    found: dict[str, list[Cost]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        shift = number % len(names)
        for name in [*names[shift:], *names[:shift]]:
            found[name].append(contenders[name](number))
    return found


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}–{self.most:.2f})"


def ratio(those: Sequence[Cost], these: Sequence[Cost]) -> Spread:
    """CPU of those per CPU of these, round by round: 0.8 means that these need a quarter more."""
    return Spread.of([that.all / this.all for that, this in zip(those, these, strict=True)])


def told(costs: Sequence[Cost]) -> str:
    """Medians: CPU of shop and database, and the rate."""
    middle = [statistics.median(getattr(cost, name) for cost in costs) for name in ("shop", "database", "rate")]
    return f"{middle[0]:.2f} + {middle[1]:.2f} ms, {middle[2]:.0f}/s"
