"""The scripts that rehearse a restore and a rolling deploy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from apps.catalog.models import ProductVariant
from tests.support.processes import environment
from tests.support.shop import make_variant

ROOT = Path(__file__).resolve().parents[2]


def run(script: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, f"scripts/{script}", *arguments],
        cwd=ROOT,
        env=environment() | more,
        capture_output=True,
        text=True,
        check=False,
    )


def dumps(server: int) -> bool:
    """Whether the pg_dump at hand reads a server of this major version."""
    if not shutil.which("pg_dump"):
        return False
    told = subprocess.run(["pg_dump", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\) (\d+)", told)
    return found is not None and int(found[1]) >= server


@pytest.fixture
def shelves(transactional_db: None) -> None:
    if connection.vendor == "postgresql" and not dumps(connection.pg_version // 10_000):
        pytest.skip("there is no pg_dump on PATH that can read this server: it refuses newer ones")
    for number in range(5):
        make_variant(f"SKU-{number}")


@pytest.mark.race  # on both databases
@pytest.mark.usefixtures("shelves")
def test_backup_is_restored_beside_the_shop_and_found_whole(tmp_path: Path) -> None:
    done = run("rehearse_restore.py", "--keep", str(tmp_path / "backup"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The backup is whole." in done.stdout
    assert (tmp_path / "backup").stat().st_size > 10_000
    assert ProductVariant.objects.count() == 5
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'rehearsal_%'")
            assert cursor.fetchone() == (0,)


@pytest.mark.race
@pytest.mark.usefixtures("shelves")
def test_copy_in_which_an_invariant_is_broken_is_not_called_whole() -> None:
    ProductVariant.objects.filter(sku="SKU-1").update(stock=4)  # and no movement says why
    done = run("rehearse_restore.py")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "I1" in done.stdout
    assert "not whole" in done.stdout


def test_rows_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from rehearse_restore import differences

    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 2}) == []
    assert differences({"a": 1, "b": 2}, {"a": 1, "c": 3}) == [
        "b: 2 rows backed up, no table restored",
        "c: no table rows backed up, 3 restored",
    ]


@pytest.mark.usefixtures("transactional_db")
def test_no_database_is_no_rehearsal(tmp_path: Path) -> None:
    done = run("rehearse_restore.py", DATABASE_URL=f"sqlite:///{tmp_path / 'none.sqlite3'}")
    assert (done.returncode, done.stdout) == (2, f"There is no database at {tmp_path / 'none.sqlite3'}.\n")


@pytest.mark.postgres
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository's history")
def test_tests_of_a_revision_run_on_the_schema_of_this_tree() -> None:
    done = run(
        "old_code_new_schema.py",
        *("HEAD", "--", "tests/common/test_limits.py", "-q"),
        TEST_DATABASE_URL=os.environ["TEST_DATABASE_URL"],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Code of ")
    assert " passed" in done.stdout
