"""Single rows by statements whose text is made once per process: for the few functions that every payment runs.

The ORM makes the text of a statement anew each time, which costs several times what the statement does. What is here is
as much of it as these functions need: columns by name, values as the fields keep them, equality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

from django.db import connection, models
from django.db.transaction import TransactionManagementError

Row = TypeVar("Row", bound=models.Model)
Field: TypeAlias = "models.Field[Any, Any]"
Converters = list[tuple[int, Any, list[Callable[..., Any]]]]


def insert(rows: Sequence[models.Model]) -> None:
    """Insert new rows of one model, outside of a transaction committed at once. Nothing is read back, no key either.

    Raises IntegrityError.
    """
    _insert(rows, "")


def insert_unless_known(rows: Sequence[models.Model]) -> None:
    """As `insert`; a row that a uniqueness forbids is left out. Other constraints raise IntegrityError."""
    _insert(rows, " ON CONFLICT DO NOTHING")


def change(model: type[models.Model], where: Mapping[str, Any], to: Mapping[str, Any]) -> int:
    """Set columns of the rows that have these values now; None means empty. Returns how many rows there were."""
    values = [_field(model, name).get_db_prep_save(_plain(value), connection) for name, value in to.items()]
    filled = {name: value for name, value in where.items() if value is not None}
    values += [_field(model, name).get_db_prep_save(value, connection) for name, value in filled.items()]
    text = _update(connection.vendor, model, tuple(to), tuple(filled), tuple(sorted(where.keys() - filled.keys())))
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return int(cursor.rowcount)


def _plain(value: Any) -> Any:
    """A row that a column refers to as its key; a request's user is wrapped, and no key of itself."""
    return value.pk if isinstance(value, models.Model) else value


def locked(model: type[Row], column: str, value: Any) -> Row | None:
    """The row with this value in a unique column, its columns locked until the transaction ends; None without one."""
    if not connection.in_atomic_block:
        raise TransactionManagementError("A row is locked in a transaction, or not at all.")
    text, names, converters = _select(connection.vendor, model, column)
    with connection.cursor() as cursor:
        cursor.execute(text, [_field(model, column).get_db_prep_save(value, connection)])
        found = cursor.fetchone()
    if found is None:
        return None
    values = list(found)
    for place, expression, functions in converters:
        for function in functions:
            values[place] = function(values[place], expression, connection)
    return model.from_db("default", names, values)


def _insert(rows: Sequence[models.Model], otherwise: str) -> None:
    if not rows:
        return
    fields, head, places = _shape(connection.vendor, type(rows[0]))
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for row in rows for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(f"{head} {', '.join([places] * len(rows))}{otherwise}", values)


@cache
def _shape(vendor: str, model: type[models.Model]) -> tuple[list[Field], str, str]:
    """The columns that an INSERT of this model fills, its text as far as VALUES, and one row's placeholders."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    names = ", ".join(_quoted(field.column) for field in fields)
    return fields, f"INSERT INTO {_table(model)} ({names}) VALUES", f"({', '.join(['%s'] * len(fields))})"


@cache
def _update(
    vendor: str, model: type[models.Model], to: tuple[str, ...], filled: tuple[str, ...], empty: tuple[str, ...]
) -> str:
    def column(name: str) -> str:
        return _quoted(_field(model, name).column)

    changes = ", ".join(f"{column(name)} = %s" for name in to)
    terms = [*(f"{column(name)} = %s" for name in filled), *(f"{column(name)} IS NULL" for name in empty)]
    return f"UPDATE {_table(model)} SET {changes} WHERE {' AND '.join(terms)}"  # noqa: S608 - names of the models' own


@cache
def _select(vendor: str, model: type[models.Model], column: str) -> tuple[str, list[str], Converters]:
    fields = model._meta.concrete_fields
    columns = [field.get_col(_table(model)) for field in fields]
    found = [
        (place, each, connection.ops.get_db_converters(each) + each.get_db_converters(connection))
        for place, each in enumerate(columns)
    ]
    names = ", ".join(_quoted(field.column) for field in fields)
    lock = " FOR NO KEY UPDATE" if connection.features.has_select_for_no_key_update else ""
    wanted = _quoted(_field(model, column).column)
    text = f"SELECT {names} FROM {_table(model)} WHERE {wanted} = %s{lock}"  # noqa: S608 - names of the models' own
    return text, [field.attname for field in fields], [each for each in found if each[2]]


@cache
def _field(model: type[models.Model], name: str) -> Field:
    return cast("Field", model._meta.get_field(name))


def _table(model: type[models.Model]) -> str:
    return _quoted(model._meta.db_table)


def _quoted(name: str | None) -> str:
    return connection.ops.quote_name(str(name))
