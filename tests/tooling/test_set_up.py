"""Setting up: the right Python, a folder that can be written, an installation that is not repeated."""

import ast
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "dev.py"


def test_old_python_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 13, "final", 0))
    monkeypatch.setattr(sys, "version", "3.10.13 (main)")

    with pytest.raises(SystemExit) as refusal:
        runpy.run_path(str(SCRIPT))

    assert str(refusal.value) == (
        f"Proshop needs Python 3.11 or newer, and {sys.executable} is 3.10.13. "
        "Name a newer one: make demo PYTHON=python3.12"
    )


def test_this_python_is_not_refused() -> None:
    assert runpy.run_path(str(SCRIPT))["REQUIREMENT_SETS"] == ("base", "production", "dev")


def test_script_parses_on_python_3_6() -> None:
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_script_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.split(".")[0] for name in imported} - sys.stdlib_module_names == set()


def test_folder_that_cannot_be_written_is_refused_in_one_sentence(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(dev.tempfile, "TemporaryFile", refuse)

    assert dev.main(["demo"]) == 1
    printed = capsys.readouterr()
    assert printed.err == (
        f"Cannot write to {dev.ROOT} (Permission denied): run this in a folder that belongs to you.\n"
    )
    assert printed.out == ""
    assert not dev.ENV_FILE.exists()


def test_python_without_venv_is_refused_with_the_packages_name(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "PYTHON", dev.VENV / "bin" / "python")
    monkeypatch.setattr(dev.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(dev.Refusal, match=rf"on Debian python3\.{sys.version_info[1]}-venv\.$"):
        dev.make_venv(None)


@pytest.fixture
def commands(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been run."""
    ran: list[list[str]] = []
    monkeypatch.setattr(dev, "run", lambda command, what, env=None: ran.append(command))
    return ran


def locks(commands: list[list[str]]) -> list[str]:
    return [command[-1] for command in commands]


def test_requirements_are_installed_once_with_their_hashes(dev: ModuleType, commands: list[list[str]]) -> None:
    dev.install("base", None)
    dev.install("base", None)

    assert locks(commands) == ["requirements/base.txt"]
    assert "--require-hashes" in commands[0]


def test_changed_lock_is_installed_again(dev: ModuleType, commands: list[list[str]]) -> None:
    dev.install("base", None)
    (dev.ROOT / "requirements" / "base.txt").write_text("base==2\n")
    dev.install("base", None)

    assert locks(commands) == ["requirements/base.txt", "requirements/base.txt"]


def test_larger_set_is_added_and_then_kept(dev: ModuleType, commands: list[list[str]]) -> None:
    dev.install("base", "uv")
    dev.install("dev", "uv")
    dev.install("base", "uv")

    assert locks(commands) == ["requirements/base.txt", "requirements/dev.txt"]


def test_failed_installation_is_tried_again(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise dev.Refusal("Installing failed")

    monkeypatch.setattr(dev, "run", fail)
    with pytest.raises(dev.Refusal):
        dev.install("base", None)

    ran: list[list[str]] = []
    monkeypatch.setattr(dev, "run", lambda command, what, env=None: ran.append(command))
    dev.install("base", None)
    assert locks(ran) == ["requirements/base.txt"]
