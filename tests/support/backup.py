"""The shop's tables as they are at one moment: to compare them, and to restore them as a backup would."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection, transaction

from tests.support.emptying import without_guards

Tables = dict[str, list[tuple[Any, ...]]]


def tables(*, but: tuple[str, ...] = ()) -> Tables:
    """Every row of every table of the shop's models, `but` those of some."""
    found: Tables = {}
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            options = model._meta
            if options.managed and not options.proxy and options.label not in but:
                cursor.execute(f'SELECT * FROM "{options.db_table}" ORDER BY 1')  # noqa: S608 - our own tables
                found[options.db_table] = cursor.fetchall()
    return found


def restore(backup: Tables) -> None:
    """Make every table what it was; ids that were given since are given again, as after a real restore."""
    models = [m for m in apps.get_models(include_auto_created=True) if m._meta.db_table in backup]
    with transaction.atomic(), without_guards(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            names = ", ".join(f'"{model._meta.db_table}"' for model in models)
            cursor.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
        else:
            cursor.execute("PRAGMA defer_foreign_keys = ON")
            for model in models:
                cursor.execute(f'DELETE FROM "{model._meta.db_table}"')  # noqa: S608
            cursor.execute("DELETE FROM sqlite_sequence")
        for table, rows in backup.items():
            if rows:
                marks = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)  # noqa: S608
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
