"""Emptying the tables after a test with transactions of its own, in a few milliseconds.

Django empties every table and then has `post_migrate` write content types, permissions and the shipped roles anew.
That takes longer than most tests do. They are kept instead, and written anew only after a test that changed them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import connection
from django.test import TransactionTestCase

RIGHTS = Group.permissions.through
KEPT = {model._meta.db_table for model in (ContentType, Permission, Group, RIGHTS)}

GUARDED = ("audit_auditentry", "invoices_document")
"""Tables whose triggers refuse to change or delete rows."""

_empty_all = TransactionTestCase._fixture_teardown
_as_shipped: tuple[Any, ...] | None = None


def empty(case: TransactionTestCase) -> None:
    """In the place of `TransactionTestCase._fixture_teardown`."""
    global _as_shipped
    if _as_shipped is None or case.available_apps is not None or _kept() != _as_shipped:
        _empty_all(case)
        _as_shipped = _kept()
        return
    tables = set(connection.introspection.django_table_names(only_existing=True)) - KEPT
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), sorted(tables)))


def _kept() -> tuple[Any, ...]:
    return (
        ContentType.objects.count(),
        list(Permission.objects.order_by("pk").values_list("pk", "codename")),
        list(Group.objects.order_by("pk").values_list("pk", "name")),
        list(RIGHTS.objects.order_by("group_id", "permission_id").values_list("group_id", "permission_id")),
    )


def guards_off() -> list[str]:
    """Statements after which these tables can be emptied and changed, in the same transaction."""
    if connection.vendor == "postgresql":
        return [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in GUARDED]
    return [f"DROP TRIGGER {name}" for name, _ in _triggers()]


def guards_on() -> list[str]:
    """Statements that put the guards back, as they are at this moment."""
    if connection.vendor == "postgresql":
        return [f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in GUARDED]
    return [sql for _, sql in _triggers()]


@contextmanager
def without_guards() -> Iterator[None]:
    """The guards are off, as only the table's owner can have them."""
    off, on = guards_off(), guards_on()
    with connection.cursor() as cursor:
        _run(cursor, off)
        yield
        _run(cursor, on)


def _run(cursor: Any, statements: list[str]) -> None:
    if connection.vendor == "postgresql" and connection.in_atomic_block:
        # A table whose rows still wait for their foreign keys' checks cannot be altered.
        statements = ["SET CONSTRAINTS ALL IMMEDIATE", *statements, "SET CONSTRAINTS ALL DEFERRED"]
    for statement in statements:
        cursor.execute(statement)


def _triggers() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
        return list(cursor.fetchall())
