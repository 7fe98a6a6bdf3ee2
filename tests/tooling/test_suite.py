"""The phases behind `make test`: all of them run, and the last lines tell what passed and what was left out."""

import shutil
import sys
from collections.abc import Callable

import pytest

from tests.support import suite


def script(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_phases_go_on_after_a_failure_and_close_with_pytests_own_lines(capfd: pytest.CaptureFixture[str]) -> None:
    phases = suite.Phases()
    phases.run("first", script("print('== 1 failed, 2 passed in 0.10s ==\\nmore'); raise SystemExit(1)"))
    phases.run("second", script("print('\\x1b[32m==== 3 passed in 61.20s (0:01:01) ====\\x1b[0m')"))
    phases.left_out.append("browser tests (no chromium found)")
    capfd.readouterr()

    code = phases.report()

    lines = capfd.readouterr().out.strip().splitlines()
    assert code == 1
    assert [line.split(maxsplit=1)[1] for line in lines[1:3]] == ["first: failed with exit code 1", "second"]
    assert lines[3:] == [
        "Left out: browser tests (no chromium found)",
        "== 1 failed, 2 passed in 0.10s ==",
        "\x1b[32m==== 3 passed in 61.20s (0:01:01) ====\x1b[0m",
    ]


def test_all_passed_is_a_zero_exit() -> None:
    phases = suite.Phases()
    phases.run("only", script("print('no summary of pytest here')"))

    assert (phases.report(), phases.summaries) == (0, [])


def test_the_shells_database_and_keys_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEST_DATABASE_URL", "DATABASE_URL", "STRIPE_SECRET_KEY", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.setenv(name, "the developer's own")

    assert "the developer's own" not in suite.test_environment().values()


@pytest.fixture
def selections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The marker expressions with which pytest would have run."""
    ran: list[str] = []
    monkeypatch.setattr(suite.Phases, "run", lambda self, name, command, **extra: ran.append(command[-1]))
    return ran


def test_what_cannot_run_here_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch, selections: list[str]) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("TEST_BROKER_URLS", raising=False)
    phases = suite.Phases()

    suite.run_tests(phases)

    assert selections == [
        "not postgres and not browser and not cli and not worker and not storm and not race and not thorough",
        "(postgres or race) and not browser and not thorough",
        "storm and not thorough",
    ]
    assert phases.left_out == [
        "tests with workers (TEST_BROKER_URLS names no broker)",
        "tests with the Stripe CLI (it comes from npm, and npm is not installed)",
        "browser tests (no chromium found)",
    ]


def test_everything_runs_where_brokers_chromium_and_npm_are(
    monkeypatch: pytest.MonkeyPatch, selections: list[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setenv("TEST_BROKER_URLS", "redis://127.0.0.1:6379/15")
    phases = suite.Phases()

    suite.run_tests(phases)

    # Workers and the Stripe CLI run at once, in any order.
    assert [*sorted(selections[2:4]), *selections[4:]] == [
        *("cli", "worker", "storm and not thorough"),
        "browser and not thorough",
    ]
    assert phases.left_out == []
    selections.clear()
    suite.run_tests(suite.Phases(thorough=True))
    assert [selections[0], selections[-1]] == [
        "not postgres and not browser and not cli and not worker and not storm",
        "browser",
    ]


def test_parts_that_run_at_once_print_one_after_the_other(capfd: pytest.CaptureFixture[str]) -> None:
    phases = suite.Phases()

    def part(name: str, wait: float) -> Callable[[suite.Phases], None]:
        said = f"import time; print('{name} begins', flush=True); time.sleep({wait}); print('{name} ends')"
        return lambda apart: apart.run(name, script(said))

    suite.run_beside(phases, part("slow", 0.6), part("quick", 0.0))
    assert capfd.readouterr().out.split("\n") == [
        *("", "slow", "slow begins", "slow ends"),
        *("", "quick", "quick begins", "quick ends", ""),
    ]
    assert [(name, code) for name, _, code in phases.rows] == [("slow", 0), ("quick", 0)]
