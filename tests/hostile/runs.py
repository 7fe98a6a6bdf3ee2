"""A long run: its options, what it has done so far, and how it goes on after it was cut off."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


class Run:
    """Counts by name and findings, kept in `results.json` of the run's folder after each batch."""

    def __init__(self, folder: Path, **facts: Any) -> None:
        self.folder = folder
        self.facts = facts
        self.done = 0
        self.turns = 0
        self.seconds = 0.0
        self.counts: dict[str, Counter[str]] = {}
        self.findings: list[dict[str, Any]] = []
        self._since = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def file(self) -> Path:
        return self.folder / "results.json"

    def resume(self) -> bool:
        """Take up what an earlier run of the same facts left. Returns whether there was one."""
        if not self.file.exists():
            return False
        kept = json.loads(self.file.read_text(encoding="utf-8"))
        if kept["facts"] != self.facts:
            sys.exit(f"{self.file} is of another run ({kept['facts']}): name another --folder, or remove it.")
        self.done, self.turns = kept["done"], kept["turns"]
        self.seconds, self.findings = kept["seconds"], kept["findings"]
        self.counts = {name: Counter(counts) for name, counts in kept["counts"].items()}
        return True

    def count(self, name: str, value: object) -> None:
        self.counts.setdefault(name, Counter())[str(value)] += 1

    def find(self, what: str, **facts: Any) -> None:
        """Something that must not be. What it takes to see it again belongs into the facts."""
        self.findings.append({"what": what, **facts})

    def save(self) -> None:
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        told = {
            "facts": self.facts,
            "done": self.done,
            "turns": self.turns,
            "seconds": round(self.seconds, 1),
            "counts": {name: dict(counts.most_common()) for name, counts in sorted(self.counts.items())},
            "findings": self.findings,
        }
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps(told, indent=1), encoding="utf-8")
        fresh.replace(self.file)

    def tell(self) -> None:
        speed = self.done / self.seconds if self.seconds else 0.0
        sys.stdout.write(
            f"{self.done} cases in {self.seconds:.0f} s ({speed:.0f}/s), {len(self.findings)} findings; "
            f"{dict(self.counts.get('answers', {}))}\n"
        )
        sys.stdout.flush()


class Faults(logging.Handler):
    """Counts what the shop logs as an error: each is a fault that nobody expected."""

    def __init__(self, run: Run) -> None:
        super().__init__(logging.ERROR)
        self.run = run
        self.case = ""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        text = f"{record.getMessage()[:80]}: {type(error).__name__ if error else '-'}"
        self.run.count("errors logged", text)
        if self.run.counts["errors logged"][text] <= 3:
            shown = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            self.run.find("an error was logged", log=text, case=self.case, traceback=shown[-3000:])

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear everything, and keep the terminal free of what a hostile event is expected to cause."""
        root = logging.getLogger()
        others = [each for each in map(logging.getLogger, list(logging.root.manager.loggerDict)) if each.handlers]
        before = root.handlers, logging.root.manager.disable, [(each, each.handlers) for each in others]
        root.handlers = [self]
        for each in others:
            each.handlers = []
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            root.handlers = before[0]
            logging.disable(before[1])
            for each, handlers in before[2]:
                each.handlers = handlers


def parser(program: str, meaning: str, *, count: int) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog=program, description=meaning)
    options.add_argument("--count", type=int, default=count, help="how many cases, those of earlier runs included")
    options.add_argument("--seed", type=int, default=1, help="the same seed makes the same cases")
    options.add_argument("--folder", type=Path, help="where results are kept; an interrupted run goes on from there")
    options.add_argument("--background", action="store_true", help="go on without the terminal, saying into log.txt")
    options.add_argument("--database", default=os.environ.get("TEST_DATABASE_URL", ""), help="its own; empty: SQLite")
    return options


def detach(module: str, folder: Path, arguments: list[str]) -> int:
    """Start the same command again in a session of its own, and leave it alone."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", module, *(word for word in arguments if word != "--background")]
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    sys.stdout.write(f"Process {process.pid} goes on in the background; {folder / 'log.txt'} tells how far it is.\n")
    return 0


def set_up(database: str, folder: Path) -> None:
    """Django on a database of the run's own, migrated. It is used again when the run goes on."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the sandbox ends with the run
    url = database or f"sqlite:///{(folder / 'shop.sqlite3').absolute()}"
    os.environ["TEST_DATABASE_URL"] = url
    os.environ["DJANGO_SETTINGS_MODULE"] = "proshop.settings.test"
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]
    settings.CHECKOUT_HOLD_MINUTES = 1439  # no order is to change because its time is over: a run may take hours
    call_command("migrate", verbosity=0)
