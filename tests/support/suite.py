"""The phases of `make test`, `make lint` and CI, run with the virtual environment's Python by dev.py.

Every phase runs, whatever became of the one before. Seconds, what was left out and pytest's own summaries
come last.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = Path(sys.executable).parent
PYTEST_SUMMARY = re.compile(r"=+ .*\bin \d+\.\d+s.*=+")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Phases:
    """Commands run one after the other, with the seconds that each took and pytest's own last lines."""

    def __init__(self, *, thorough: bool = False, keep: bool = False) -> None:
        """With `keep` what is printed is kept for whoever takes it over."""
        self.thorough = thorough
        self.printed: list[str] | None = [] if keep else None
        self.rows: list[tuple[str, float, int]] = []
        self.summaries: list[str] = []
        self.left_out: list[str] = []

    def run(self, name: str, command: list[str], **extra: str) -> None:
        """Run one command and pass its output on line by line, keeping pytest's summary for the end."""
        self._print(f"\n{name}\n")
        summary = ""
        start = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**test_environment(), **extra},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                self._print(line)
                if PYTEST_SUMMARY.fullmatch(COLOUR.sub("", line).strip()):
                    summary = line.rstrip()
        self.rows.append((name, time.monotonic() - start, process.returncode))
        if summary:
            self.summaries.append(summary)

    def take_over(self, other: Phases) -> None:
        for text in other.printed or ():
            self._print(text)
        self.rows += other.rows
        self.summaries += other.summaries
        self.left_out += other.left_out

    def _print(self, text: str) -> None:
        if self.printed is not None:
            self.printed.append(text)
            return
        sys.stdout.write(text)
        sys.stdout.flush()

    def report(self) -> int:
        say("\nSeconds per phase")
        for name, seconds, code in self.rows:
            # A negative code is the signal that ended it: pytest itself had no chance to say so.
            say(f"{seconds:7.1f}  {name}{f': failed with exit code {code}' if code else ''}")
        for sentence in self.left_out:
            say(f"Left out: {sentence}")
        for summary in self.summaries:
            say(summary)
        return 1 if any(code for _, _, code in self.rows) else 0


def test_environment() -> dict[str, str]:
    """The environment without the developer's own settings for Django, the database and Stripe."""
    foreign = ("DJANGO_", "STRIPE_", "CELERY_", "DATABASE_URL", "TEST_DATABASE_URL", "SENTRY_", "SECRET_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env.update(DJANGO_SETTINGS_MODULE="proshop.settings.test", PYTHONIOENCODING="utf-8")
    return env


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def pytest(*arguments: str) -> list[str]:
    # A test that hangs shows where.
    return python("pytest", "-o", "faulthandler_timeout=120", *arguments)


def run_linters(phases: Phases) -> None:
    phases.run("ruff check", python("ruff", "check", "."))
    phases.run("ruff format", python("ruff", "format", "--check", "."))
    phases.run("mypy", python("mypy", "apps", "proshop", "dev.py"))
    phases.run("lint-imports", [str(SCRIPTS / "lint-imports")])
    phases.run("migrations", [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"])


def selected(phases: Phases, markers: str) -> list[str]:
    """The options that choose tests by their markers, those that are thorough only if they are wanted."""
    return ["-m", markers if phases.thorough else f"{markers} and not thorough"]


def run_tests(phases: Phases, *beside: Callable[[Phases], None]) -> None:
    """The whole suite, and what runs beside those of its parts that leave room."""
    workers = str(max(2, min(8, os.cpu_count() or 2)))
    elsewhere = "not postgres and not browser and not cli and not worker and not storm"
    if not phases.thorough:
        elsewhere += " and not race"  # they run on PostgreSQL, where two transactions do overlap
    phases.run("tests on SQLite", pytest("-n", workers, *selected(phases, elsewhere)))
    phases.run(
        "tests on PostgreSQL",
        python("tests.support.postgres", *pytest("-n", "2", *selected(phases, "(postgres or race) and not browser"))),
        TEST_DATABASE_URL=os.environ.get("TEST_DATABASE_URL", ""),
    )
    run_beside(phases, run_worker_tests, run_cli_tests, *beside)
    run_storm(phases)
    run_browser_tests(phases)


def run_beside(phases: Phases, *parts: Callable[[Phases], None]) -> None:
    """Parts that use one core each and wait a good deal, at once. What each prints comes whole, when all have ended."""
    with ThreadPoolExecutor(len(parts)) as pool:
        found = list(pool.map(_apart, parts))
    for apart in found:
        phases.take_over(apart)


def _apart(part: Callable[[Phases], None]) -> Phases:
    apart = Phases(keep=True)
    part(apart)
    return apart


def run_worker_tests(phases: Phases) -> None:
    if os.environ.get("TEST_BROKER_URLS"):
        phases.run(
            "tests with workers",
            python("tests.support.postgres", *pytest("-m", "worker")),
            TEST_DATABASE_URL=os.environ.get("TEST_DATABASE_URL", ""),
        )
    else:
        phases.left_out.append("tests with workers (TEST_BROKER_URLS names no broker)")


def run_storm(phases: Phases) -> None:
    if os.name == "posix":
        phases.run("storm", pytest("-n", "2", "--dist", "loadgroup", "tests/storm", *selected(phases, "storm")))
    else:
        phases.left_out.append("the storm (it kills processes by signals, which Windows does not have)")


def run_browser_tests(phases: Phases) -> None:
    if any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        phases.run("tests in the browser", pytest("-n", "2", "--dist", "loadfile", *selected(phases, "browser")))
    else:
        phases.left_out.append("browser tests (no chromium found)")


def run_cli_tests(phases: Phases) -> None:
    if shutil.which("npm"):
        phases.run("tests with the Stripe CLI", pytest("-m", "cli"))
    else:
        phases.left_out.append("tests with the Stripe CLI (it comes from npm, and npm is not installed)")


def run_linters_and_tests(phases: Phases) -> None:
    run_tests(phases, run_linters)


COMMANDS = {
    "lint": run_linters,
    "test": run_tests,
    "test-browser": run_browser_tests,
    "test-thorough": run_tests,
    "check": run_linters_and_tests,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.suite")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--set-up-seconds", type=float, default=0.0)
    options = parser.parse_args()
    phases = Phases(thorough=options.command in ("test-browser", "test-thorough"))
    phases.rows.append(("set-up", options.set_up_seconds, 0))
    try:
        COMMANDS[options.command](phases)
    except KeyboardInterrupt:
        return 130
    return phases.report()


if __name__ == "__main__":
    sys.exit(main())
