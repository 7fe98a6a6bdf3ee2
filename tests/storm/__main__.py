"""`python -m tests.storm`: the long form. It goes on where the folder's last run ended."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.storm.folder import Folder
from tests.storm.servers import NotInstalled
from tests.storm.storm import ROOT, Options, Storm


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="dev.py storm", description="The whole shop under faults; see docs/reliability.md."
    )
    result.add_argument("--count", type=int, default=100_000, help="distinct events (default: 100000)")
    result.add_argument("--seed", type=int, default=1, help="what is planned depends on it alone (default: 1)")
    result.add_argument("--database", choices=("postgres", "sqlite"), default="postgres")
    result.add_argument("--broker", choices=("redis", "rabbitmq", "none"), default="redis")
    result.add_argument("--folder", type=Path, help="where all of it is kept; a second run there goes on")
    result.add_argument("--seconds", type=float, default=10**9, help="no new visit after that; run again to go on")
    result.add_argument("--hits", type=int, default=20, help="deaths at each failpoint (default: 20)")
    result.add_argument("--echoes", type=int, default=Options.echoes, help="further events per visit (default: 60)")
    result.add_argument("--block", type=int, default=Options.block, help="echoes between two blows (default: 350)")
    result.add_argument("--arm-every", type=int, default=Options.arm_every, help="echoes between traps (default: 60)")
    result.add_argument("--background", action="store_true", help="return at once; --status shows how far it is")
    result.add_argument("--status", action="store_true", help="show how far the storm in the folder is")
    return result


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    folder = options.folder or Path(tempfile.gettempdir()) / f"proshop-storm-{options.database}-{options.seed}"
    if options.status:
        return show(folder)
    if options.background:
        return detach(folder, [word for word in arguments if word != "--background"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = Options(
        count=options.count,
        seed=options.seed,
        database=options.database,
        broker="none" if options.database == "sqlite" else options.broker,
        hits=options.hits,
        echoes=options.echoes,
        block=options.block,
        arm_every=options.arm_every,
        seconds=options.seconds,
    )
    try:
        summary = Storm(Folder(folder), wanted).run()
    except (NotInstalled, ValueError) as reason:
        sys.stderr.write(f"{reason}\n")
        return 2
    sys.stdout.write(json.dumps(summary, indent=1) + "\n")
    found = (summary["lost"], summary["doubled"], summary["verify_ok"])
    forgotten = (summary["forgetting"]["found_again"], summary["forgetting"]["books_are_the_same"])
    return 0 if found == (0, 0, True) and forgotten == ([], True) else 1


def detach(folder: Path, arguments: list[str]) -> int:
    Folder(folder)
    command = [sys.executable, "-m", "tests.storm", *arguments]
    with (folder / "storm.log").open("ab") as log:
        started = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    sys.stdout.write(f"Process {started.pid}; what it does stands in {folder}{os.sep}journal.jsonl.\n")
    return 0


def show(folder: Path) -> int:
    state = Folder(folder).state()
    told = {name: state.get(name) for name in ("visits", "echoes", "events_so_far", "weather", "ends", "answers")}
    sys.stdout.write(json.dumps(told | {"hits": Folder(folder).hits()}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
