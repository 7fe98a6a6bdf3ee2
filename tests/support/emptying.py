"""Emptying the tables after a test with transactions of its own, in a few milliseconds.

Django empties every table and then has `post_migrate` write content types, permissions and the shipped roles anew.
That takes longer than most tests do. They are kept instead, and written anew only after a test that changed them.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import connection
from django.test import TransactionTestCase

RIGHTS = Group.permissions.through
KEPT = {model._meta.db_table for model in (ContentType, Permission, Group, RIGHTS)}

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
