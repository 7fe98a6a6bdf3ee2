"""Commands that hand over to a module: it gets its own options, and its exit code is the command's."""

import subprocess
from types import ModuleType
from typing import Any

import pytest


def test_long_runs_are_handed_their_own_options(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        called.append(command[1:])
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(dev, "set_up", lambda requirements: None)
    monkeypatch.setattr(dev.subprocess, "run", run)
    assert dev.main(["fuzz-events", "--count", "5", "--background"]) == 3
    assert dev.main(["fuzz-api", "--seed", "2"]) == 3
    assert called == [
        ["-m", "tests.hostile.events", "--count", "5", "--background"],
        ["-m", "tests.hostile.api", "--seed", "2"],
    ]


def test_other_commands_take_no_unknown_option(dev: ModuleType) -> None:
    with pytest.raises(SystemExit):
        dev.main(["lint", "--count", "5"])
