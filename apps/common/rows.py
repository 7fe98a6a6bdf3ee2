"""Single rows by statements whose text is made once per process: for the few functions that every payment runs.

The ORM makes the text of a statement anew each time, which costs several times what the statement does. What is here is
as much of it as these functions need: columns by name, values as the fields keep them, equality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

from django.db import connection, models
from django.db.transaction import TransactionManagementError

Row = TypeVar("Row", bound=models.Model)
Field: TypeAlias = "models.Field[Any, Any]"
Types = frozenset[type]
Columns: TypeAlias = "list[tuple[Field, Types]]"
Converters = list[tuple[int, Any, list[Callable[..., Any]]]]

TEXT: Types = frozenset({str, type(None)})
NUMBER: Types = frozenset({int, type(None)})
YES_OR_NO: Types = frozenset({bool, type(None)})
TAKEN_AS_THEY_ARE: dict[type, Types] = {
    models.CharField: TEXT,
    models.EmailField: TEXT,
    models.TextField: TEXT,
    models.BooleanField: YES_OR_NO,
    models.IntegerField: NUMBER,
    models.PositiveIntegerField: NUMBER,
    models.PositiveSmallIntegerField: NUMBER,
    models.PositiveBigIntegerField: NUMBER,
    models.BigIntegerField: NUMBER,
    models.BigAutoField: NUMBER,
    models.ForeignKey: NUMBER,
}
"""Values of which a field makes nothing else, by the field's class: they need not be asked about, which costs more than
the rest of an INSERT.
"""


def insert(rows: Sequence[models.Model]) -> None:
    """Insert new rows of one model, outside of a transaction committed at once. Nothing is read back, no key either.

    Raises IntegrityError.
    """
    _insert(rows, "")


def insert_one(row: models.Model) -> None:
    """Insert a new row and give it its key, as `save()` does. Raises IntegrityError."""
    columns, head, places = _shape(connection.vendor, type(row))
    with connection.cursor() as cursor:
        cursor.execute(f"{head} {places} RETURNING id", _values([row], columns))
        row.pk = cursor.fetchone()[0]
    row._state.adding, row._state.db = False, connection.alias


def insert_unless_known(rows: Sequence[models.Model]) -> None:
    """As `insert`; a row that a uniqueness forbids is left out. Other constraints raise IntegrityError."""
    _insert(rows, " ON CONFLICT DO NOTHING")


def change(model: type[models.Model], where: Mapping[str, Any], to: Mapping[str, Any]) -> int:
    """Set columns of the rows that have these values now; None means empty. Returns how many rows there were."""
    values = [_prepared(model, name, _plain(value)) for name, value in to.items()]
    filled = {name: value for name, value in where.items() if value is not None}
    values += [_prepared(model, name, value) for name, value in filled.items()]
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
    return _read(model, column, value, lock=True)


def found(model: type[Row], column: str, value: Any) -> Row | None:
    """The row with this value in a unique column, as it is now; None without one."""
    return _read(model, column, value, lock=False)


def _read(model: type[Row], column: str, value: Any, *, lock: bool) -> Row | None:
    text, names, converters = _select(connection.vendor, model, column, lock=lock)
    with connection.cursor() as cursor:
        cursor.execute(text, [_prepared(model, column, value)])
        row = cursor.fetchone()
    if row is None:
        return None
    values = list(row)
    for place, expression, functions in converters:
        for function in functions:
            values[place] = function(values[place], expression, connection)
    return model.from_db("default", names, values)


def _insert(rows: Sequence[models.Model], otherwise: str) -> None:
    if not rows:
        return
    columns, head, places = _shape(connection.vendor, type(rows[0]))
    with connection.cursor() as cursor:
        cursor.execute(f"{head} {', '.join([places] * len(rows))}{otherwise}", _values(rows, columns))


def _values(rows: Sequence[models.Model], columns: Columns) -> list[Any]:
    """What the rows hold, as the database takes it, one row after the other."""
    values: list[Any] = []
    for row in rows:
        for field, as_it_is in columns:
            value = getattr(row, field.attname)
            if type(value) not in as_it_is:
                value = field.get_db_prep_save(field.pre_save(row, True), connection)
            values.append(value)
    return values


def _prepared(model: type[models.Model], name: str, value: Any) -> Any:
    """A value as the database takes it."""
    field = _field(model, name)
    if type(value) in _taken_as_it_is(connection.vendor, field):
        return value
    return field.get_db_prep_save(value, connection)


@cache
def _taken_as_it_is(vendor: str, field: Field) -> Types:
    if not isinstance(field, models.DateTimeField):
        return TAKEN_AS_THEY_ARE.get(type(field), frozenset())
    told_by_the_field = field.auto_now or field.auto_now_add or vendor != "postgresql"
    return frozenset() if told_by_the_field else frozenset({datetime, type(None)})


@cache
def _shape(vendor: str, model: type[models.Model]) -> tuple[Columns, str, str]:
    """The columns that an INSERT of this model fills, its text as far as VALUES, and one row's placeholders."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    names = ", ".join(_quoted(field.column) for field in fields)
    columns = [(field, _taken_as_it_is(vendor, field)) for field in fields]
    return columns, f"INSERT INTO {_table(model)} ({names}) VALUES", f"({', '.join(['%s'] * len(fields))})"


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
def _select(vendor: str, model: type[models.Model], column: str, *, lock: bool) -> tuple[str, list[str], Converters]:
    fields = model._meta.concrete_fields
    columns = [field.get_col(_table(model)) for field in fields]
    found = [
        (place, each, connection.ops.get_db_converters(each) + each.get_db_converters(connection))
        for place, each in enumerate(columns)
    ]
    names = ", ".join(_quoted(field.column) for field in fields)
    end = " FOR NO KEY UPDATE" if lock and connection.features.has_select_for_no_key_update else ""
    wanted = _quoted(_field(model, column).column)
    text = f"SELECT {names} FROM {_table(model)} WHERE {wanted} = %s{end}"  # noqa: S608 - names of the models' own
    return text, [field.attname for field in fields], [each for each in found if each[2]]


@cache
def _field(model: type[models.Model], name: str) -> Field:
    return cast("Field", model._meta.get_field(name))


def _table(model: type[models.Model]) -> str:
    return _quoted(model._meta.db_table)


def _quoted(name: str | None) -> str:
    return connection.ops.quote_name(str(name))
