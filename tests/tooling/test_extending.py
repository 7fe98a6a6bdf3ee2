"""`docs/extending.md` does what it says: its blocks, word for word, make an app whose own test passes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")

FILE = re.compile(r"^`([\w./]+)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSERTION = re.compile(r"^`([\w./]+)`, below `([^`]+)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EMPTY = re.compile(r"empty `([\w./]+)`(?: and `([\w./]+)`)?")
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def build(tree: Path) -> None:
    """Put the page's blocks into a copy of the tree."""
    for folder in ("apps", "proshop", "tests"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("manage.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tree / name)
    for path, text in FILE.findall(PAGE):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text, encoding="utf-8")
    for path, anchor, text in INSERTION.findall(PAGE):
        before = (tree / path).read_text(encoding="utf-8")
        assert before.count(f"\n{anchor}\n") == 1, f"{path} has no single line {anchor!r}"
        (tree / path).write_text(before.replace(f"\n{anchor}\n", f"\n{anchor}\n{text}"), encoding="utf-8")
    for names in EMPTY.findall(PAGE):
        for path in filter(None, names):
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).touch()


def run(command: str, tree: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(tree),
        "DJANGO_SETTINGS_MODULE": "proshop.settings.test",
    }
    return subprocess.run(command.split(), cwd=tree, env=environment, capture_output=True, text=True, check=False)


def test_page_makes_an_app_that_gives_each_key_once(tmp_path: Path) -> None:
    assert (len(FILE.findall(PAGE)), len(INSERTION.findall(PAGE))) == (8, 3)
    assert PAGE.count("```python\n") == 11, "every block is taken"
    build(tmp_path)
    [block] = COMMANDS.findall(PAGE)
    commands = block.splitlines()
    assert len(commands) == 2
    for command in commands:
        done = run(command, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "apps" / "licences" / "migrations" / "0001_initial.py").exists()
    assert "1 passed" in done.stdout


@pytest.mark.thorough
def test_keys_come_from_the_subscriber_alone(tmp_path: Path) -> None:
    """Control: without the lines in `proshop/wiring.py` the page's test fails."""
    build(tmp_path)
    shutil.copy(ROOT / "proshop" / "wiring.py", tmp_path / "proshop" / "wiring.py")
    for command in COMMANDS.findall(PAGE)[0].splitlines():
        done = run(command, tmp_path)
    assert done.returncode == 1
    assert "assert 0 == 2" in done.stdout
