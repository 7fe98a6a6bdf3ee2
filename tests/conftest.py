"""What every test stands on: no network but this machine's, the right driver, no secrets of the shell."""

import gc
import importlib.util
import os
from collections.abc import Iterator

import pytest
from django.db import connection

pytest_plugins = ["tests.support.chromium", "tests.support.fixtures"]

if importlib.util.find_spec("psycopg"):
    raise pytest.UsageError("psycopg 3 is installed, and Django prefers it to psycopg2: pip uninstall psycopg")

# Tests start processes, and a failing one may print its environment.
for name in list(os.environ):
    if name.endswith(("_TOKEN", "_PASSWORD", "_API_KEY", "_ACCESS_KEY")) or name == "SENTRY_DSN":
        del os.environ[name]


# Django makes and drops many small objects; looking for cycles as often as Python's default takes a sixth of the time.
gc.set_threshold(100_000, 50, 100)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.option.allow_hosts = "127.0.0.1,::1,localhost"
    config.option.allow_unix_socket = True


@pytest.fixture(scope="session", autouse=True)
def _guards_give_way_between_tests() -> Iterator[None]:
    """Tests with transactions of their own empty every table; the database refuses that to everybody else."""
    from tests.support.emptying import guards_off, guards_on

    patch = pytest.MonkeyPatch()
    flush = connection.ops.execute_sql_flush
    patch.setattr(
        connection.ops, "execute_sql_flush", lambda statements: flush([*guards_off(), *statements, *guards_on()])
    )
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def _tables_are_emptied_quickly() -> Iterator[None]:
    from django.test import TransactionTestCase

    from tests.support import emptying

    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_teardown", emptying.empty)
    yield
    patch.undo()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if connection.vendor == "postgresql":
        return
    skip = pytest.mark.skip(reason="needs PostgreSQL: make test starts one, or set TEST_DATABASE_URL")
    for item in items:
        if item.get_closest_marker("postgres"):
            item.add_marker(skip)
