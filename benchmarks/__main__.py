"""What the shop's jobs cost, beside their ceilings in the same run: `make bench`.

    make bench                                       everything, some twenty minutes
    make bench ARGS="--count 6 --rounds 3 --orders 20000"    a look, some two minutes

PostgreSQL is that of TEST_DATABASE_URL, or one that starts from a wheel and is gone afterwards.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterable
from contextlib import nullcontext

from benchmarks import databases
from benchmarks.measure import say
from benchmarks.report import HEAD, Row
from tests.support.postgres import temporary_server

PARTS = ("whole", "acknowledge", "calls", "history", "reconcile")


def rows_of(part: str, options: argparse.Namespace) -> Iterable[Row]:
    """Measure one part. What it needs of Django is imported now that Django is set up."""
    if part == "acknowledge":
        from benchmarks import acknowledge

        return acknowledge.run(events=options.count * 10, rounds=options.rounds)
    if part == "calls":
        from benchmarks import calls

        return calls.run(count=options.rounds)
    if part == "history":
        from benchmarks import million

        sizes = {"orders": options.orders, "use": options.use, "times": options.rounds}
        return million.run(events=options.count, rounds=options.rounds, **sizes)
    if part == "reconcile":
        from benchmarks import reconciling

        return reconciling.run(orders=options.reconcile)
    from benchmarks import whole

    return whole.run(events=options.count, rounds=options.rounds)


def machine() -> str:
    from django.db import connection

    version = connection.pg_version  # type: ignore[attr-defined]
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    return f"{system}, Python {platform.python_version()}, PostgreSQL {version // 10000}"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="What the shop's jobs cost.")
    parser.add_argument("--count", type=int, default=60, help="orders that each contender settles in a round")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--orders", type=int, default=1_000_000, help="of the long history")
    parser.add_argument("--use", default="", help="a database of the server that has a long history already")
    parser.add_argument("--reconcile", type=int, default=0, help="orders for reconcile; as many as --count * 10 else")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args(arguments)
    options.reconcile = options.reconcile or options.count * 10
    known = os.environ.get("TEST_DATABASE_URL", "")
    with nullcontext(known) if known else temporary_server() as url:
        os.environ["TEST_DATABASE_URL"] = url
        with databases.at_end:
            databases.set_up()
            say(machine())
            for part in options.only:
                for number, row in enumerate(rows_of(part, options)):
                    say(str(row) if number else f"\n{HEAD}\n{row}")


if __name__ == "__main__":
    main(sys.argv[1:])
