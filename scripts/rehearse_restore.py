"""Back the shop's database up while it runs, restore it beside itself and prove that the copy is whole.

    python scripts/rehearse_restore.py [--keep FILE]

The database is the one of `.env` or DATABASE_URL. The copy is compared row count by row count with the moment of the
backup, its migrations are looked at, and `manage.py verify` runs on it. Nothing is written to the shop's own
database. On PostgreSQL pg_dump and pg_restore have to be on PATH, and the user has to be allowed to create databases.
Exit code 0: the backup can be relied upon; 1: it cannot, and the reason is told; 2: it could not be tried.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from proshop import env  # noqa: E402

Counts = dict[str, int]


class NotTried(Exception):
    """What keeps the rehearsal from beginning."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def sqlite_tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return sorted(row[0] for row in found)


def sqlite_counts(connection: sqlite3.Connection) -> Counts:
    return {
        name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - the database's own names
        for name in sqlite_tables(connection)
    }


def back_up_sqlite(path: str, backup: Path) -> Counts:
    """Copy a database that is in use, as of one moment."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as live:
        live.execute("BEGIN")
        counts = sqlite_counts(live)
        with closing(sqlite3.connect(backup)) as copy:
            live.backup(copy)
    return counts


@contextmanager
def restored_sqlite(backup: Path) -> Iterator[tuple[str, Counts]]:
    with tempfile.TemporaryDirectory(prefix="proshop-restore-") as folder:
        target = Path(folder) / "restored.sqlite3"
        shutil.copyfile(backup, target)
        with closing(sqlite3.connect(target)) as copy:
            if copy.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise SystemExit("The copy is damaged: PRAGMA integrity_check says so.")
            counts = sqlite_counts(copy)
        yield f"sqlite:///{target}", counts


def postgres_counts(cursor: object) -> Counts:
    run = cursor.execute  # type: ignore[attr-defined]
    run("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    names = [row[0] for row in cursor.fetchall()]  # type: ignore[attr-defined]
    counts = {}
    for name in names:
        run(f"SELECT count(*) FROM {name}")  # noqa: S608 - the database's own names, quoted by it
        counts[name] = cursor.fetchone()[0]  # type: ignore[attr-defined]
    return counts


def back_up_postgres(url: str, backup: Path) -> Counts:
    """Dump and count in one and the same snapshot."""
    import psycopg2

    with closing(psycopg2.connect(url)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_export_snapshot()")
            snapshot = cursor.fetchone()[0]
            run(["pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={backup}", f"--dbname={url}"])
            return postgres_counts(cursor)


@contextmanager
def restored_postgres(url: str, backup: Path) -> Iterator[tuple[str, Counts]]:
    import psycopg2

    parts = urlsplit(url)
    name = f"rehearsal_{os.getpid()}_{int(time.time())}"
    target = urlunsplit(parts._replace(path=f"/{name}"))
    with closing(psycopg2.connect(url)) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
            try:
                run(["pg_restore", "--no-owner", "--exit-on-error", f"--dbname={target}", str(backup)])
                with closing(psycopg2.connect(target)) as copy, copy.cursor() as counting:
                    counts = postgres_counts(counting)
                yield target, counts
            finally:
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - words of our own
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr.strip()[-2000:]}")


def manage(url: str, *arguments: str) -> None:
    """One of the shop's commands on the copy; what it says passes through."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ, DATABASE_URL=url), check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"manage.py {arguments[0]} says that the copy is not whole.")


def differences(before: Counts, after: Counts) -> list[str]:
    return [
        f"{name}: {before.get(name, 'no table')} rows backed up, {after.get(name, 'no table')} restored"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def rehearse(url: str, backup: Path) -> None:
    """Raises SystemExit with what is wrong, NotTried where it cannot begin."""
    start = time.monotonic()
    if url.startswith("sqlite"):
        path = str(ROOT / url.removeprefix("sqlite:///"))
        if not Path(path).exists():
            raise NotTried(f"There is no database at {path}.")
        before, restored = back_up_sqlite(path, backup), restored_sqlite(backup)
    else:
        missing = [name for name in ("pg_dump", "pg_restore") if not shutil.which(name)]
        if missing:
            raise NotTried(f"{' and '.join(missing)} is not on PATH: install PostgreSQL's client.")
        before, restored = back_up_postgres(url, backup), restored_postgres(url, backup)
    say(f"Backed up {sum(before.values())} rows in {time.monotonic() - start:.1f} s, {backup.stat().st_size} bytes.")
    start = time.monotonic()
    with restored as (target, after):
        say(f"Restored in {time.monotonic() - start:.1f} s.")
        wrong = differences(before, after)
        if wrong:
            raise SystemExit("\n".join(wrong))
        say(f"{len(after)} tables have the rows that they had.")
        manage(target, "migrate", "--check")
        manage(target, "verify")
    say("The backup is whole. After a real restore run `manage.py reconcile`: it brings back what came after it.")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Back up, restore beside it, and prove the copy.")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the backup there")
    options = parser.parse_args(arguments)
    env.load()
    url = env.text("DATABASE_URL", f"sqlite:///{ROOT / 'db.sqlite3'}")
    with tempfile.TemporaryDirectory(prefix="proshop-backup-") as folder:
        backup = options.keep or Path(folder) / "backup"
        try:
            rehearse(url, backup)
        except NotTried as reason:
            say(str(reason))
            return 2
        except SystemExit as reason:
            say(str(reason))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
