"""The locks: every pin carries its hashes, larger sets hold the smaller ones, and one driver is installed."""

import importlib.util
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "requirements"
SETS = ("base", "production", "dev")


def pins(name: str) -> dict[str, tuple[str, int]]:
    """Package (with its marker) to version and number of hashes."""
    found: dict[str, tuple[str, int]] = {}
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", line)
            assert match, f"requirements/{name}.txt: not pinned: {line[:60]}"
            found[match.group(1)] = (match.group(2), line.count("--hash=sha256:"))
    return found


@pytest.mark.parametrize("name", SETS)
def test_every_pin_has_hashes(name: str) -> None:
    locked = pins(name)

    assert len(locked) > 20
    assert [package for package, (_, hashes) in locked.items() if not hashes] == []


@pytest.mark.parametrize(("small", "large"), [("base", "production"), ("production", "dev")])
def test_larger_set_holds_the_same_pins(small: str, large: str) -> None:
    larger = pins(large)

    assert {package: pin for package, pin in pins(small).items() if larger.get(package) != pin} == {}


@pytest.mark.parametrize("name", SETS)
def test_lock_holds_every_package_asked_for(name: str) -> None:
    asked = re.findall(r"^([a-z0-9][\w.-]*)", (FOLDER / f"{name}.in").read_text(encoding="utf-8"), re.MULTILINE)

    assert set(asked) - set(pins(name)) == set()


def test_psycopg_3_is_neither_locked_nor_installed() -> None:
    assert [name for name in SETS if "psycopg" in pins(name)] == []
    assert importlib.util.find_spec("psycopg") is None
