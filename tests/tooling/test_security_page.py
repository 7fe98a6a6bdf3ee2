"""`docs/security.md` names tests: each of them exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    names = set(re.findall(r"`(test_\w+)`", PAGE))
    written = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    assert len(names) >= 20
    assert {name for name in names if f"def {name}(" not in written} == set()


def test_every_file_that_the_page_names_exists() -> None:
    paths = set(re.findall(r"`((?:tests|docs)/[\w/.]+)`", PAGE))
    assert len(paths) >= 25
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_every_row_names_what_shows_it() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "shown by" not in line]
    threats = [row for row in rows if row.count("|") == 4]
    assert len(threats) >= 30
    assert [row for row in threats if not re.search(r"`(?:test_\w+|tests/[\w/.]+)`[^|]*\|$", row)] == []
