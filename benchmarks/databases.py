"""Databases that are made for a run on the server of TEST_DATABASE_URL, and gone when it ends."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from functools import cache
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg2

from benchmarks.measure import Backends

RUN = f"bench_{os.getpid()}"
SHOP = f"{RUN}_shop"
at_end = ExitStack()
"""Closed by `python -m benchmarks` when all is measured."""


def address_of(name: str) -> str:
    """The URL of a database of the server."""
    return urlunsplit(urlsplit(os.environ["TEST_DATABASE_URL"])._replace(path=f"/{quote(name)}"))


def on_server(statement: str) -> None:
    with closing(psycopg2.connect(address_of("postgres"))) as link:
        link.autocommit = True
        with link.cursor() as cursor:
            cursor.execute(statement)


def create_database(name: str, *, copy_of: str = "template1") -> str:
    on_server(f'CREATE DATABASE "{name}" TEMPLATE "{copy_of}"')
    at_end.callback(on_server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    return name


def exists(name: str) -> bool:
    with closing(psycopg2.connect(address_of("postgres"))) as link, link.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        return cursor.fetchone() is not None


@cache
def backends() -> Backends:
    found = Backends(address_of("postgres"))
    at_end.callback(found.close)
    return found


def set_up() -> None:
    """Set the shop up in this process, on an empty database of its own."""
    os.environ["TEST_DATABASE_URL"] = address_of(create_database(SHOP))
    os.environ["DJANGO_SETTINGS_MODULE"] = "proshop.settings.test"

    import django

    django.setup()

    from django.core.management import call_command
    from django.db import connection
    from django.test.utils import setup_test_environment

    setup_test_environment()
    call_command("migrate", verbosity=0)
    at_end.callback(connection.close)
