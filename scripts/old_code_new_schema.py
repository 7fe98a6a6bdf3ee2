"""Run an older version's tests on the schema of this one, as during a rolling deploy.

    python scripts/old_code_new_schema.py [REVISION] [-- PYTEST ARGUMENTS]

REVISION is the version that is being replaced: the newest tag, or, without tags, the state before the last migration
was added. Its code is unpacked into a temporary folder; the database is migrated by the code of this tree. The server
is that of TEST_DATABASE_URL, or one that starts from a wheel. Libraries are those of this tree. Exit code 0: the old
code passes its own tests on the new schema, so both may serve at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import closing, nullcontext
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NAME = f"deploy_{os.getpid()}"
TEST_NAME = f"test_{NAME}"  # Django puts test_ before the name
EVERYTHING = ["-m", "not browser and not cli and not worker", "--ignore=tests/tooling", "-q"]
SETTINGS = "proshop.settings.test"

# New tables may refer to old ones and may be append-only, so emptying the old ones between tests has to reach further
# than the old code knows.
PLUGIN = """
from django.core.management.commands import flush

real = flush.sql_flush


def with_cascade(style, connection, **more):
    statements = real(style, connection, **{**more, "allow_cascade": True})
    return ["SET LOCAL session_replication_role = replica", *statements]


flush.sql_flush = with_cascade
"""


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise SystemExit(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def previous_version() -> str:
    tags = git("tag", "--sort=-creatordate").splitlines()
    if tags:
        return tags[0]
    newest = git("log", "-1", "--format=%H", "--diff-filter=A", "--", "apps/*/migrations/0*.py")
    return f"{newest}~1"


def unpack(revision: str, folder: Path) -> None:
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True)  # noqa: S603, S607
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)  # noqa: S603, S607


def address(server: str, name: str) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def execute(server: str, statement: str) -> None:
    import psycopg2

    with closing(psycopg2.connect(server)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def migrate(server: str) -> None:
    """Make the test database with the schema of this tree."""
    env = dict(os.environ, DJANGO_SETTINGS_MODULE=SETTINGS, TEST_DATABASE_URL=address(server, TEST_NAME))
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=env, check=True)  # noqa: S603


def run_old_tests(server: str, old: Path, plugins: Path, arguments: list[str]) -> int:
    (plugins / "flush_with_cascade.py").write_text(PLUGIN, encoding="utf-8")
    env = dict(os.environ, DJANGO_SETTINGS_MODULE=SETTINGS, TEST_DATABASE_URL=address(server, NAME))
    env["PYTHONPATH"] = str(plugins)
    command = [sys.executable, "-m", "pytest", "-p", "flush_with_cascade", "--reuse-db", *(arguments or EVERYTHING)]
    return subprocess.run(command, cwd=old, env=env, check=False).returncode  # noqa: S603


def main(arguments: list[str]) -> int:
    from tests.support.postgres import temporary_server

    for_pytest = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    named = arguments[: arguments.index("--")] if "--" in arguments else arguments
    revision = named[0] if named else previous_version()
    given = os.environ.get("TEST_DATABASE_URL")
    with (
        tempfile.TemporaryDirectory(prefix="proshop-old-") as folder,
        tempfile.TemporaryDirectory(prefix="proshop-plugin-") as plugins,
        nullcontext(given) if given else temporary_server() as url,
    ):
        server = address(url, "postgres")
        unpack(revision, Path(folder))
        sys.stdout.write(f"Code of {git('log', '-1', '--format=%h %s', revision)}, schema of this tree\n")
        sys.stdout.flush()
        execute(server, f'CREATE DATABASE "{TEST_NAME}"')
        try:
            migrate(server)
            return run_old_tests(server, Path(folder), Path(plugins), for_pytest)
        finally:
            execute(server, f'DROP DATABASE "{TEST_NAME}" WITH (FORCE)')


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
