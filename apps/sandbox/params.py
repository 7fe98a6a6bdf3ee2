"""Reads form parameters by the types of the installed `stripe` package.

What an endpoint takes is the SDK's own TypedDict, so an unknown name, a missing one, a wrong type or a
misspelt enum value is refused as Stripe refuses it, without a second list of parameters to keep in step.
The SDK spells enums as `Literal[...] | str`; they are read as closed, since Stripe refuses other values.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from decimal import Decimal
from functools import cache
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

import stripe._request_options
import typing_extensions as te

from apps.sandbox.errors import ApiError, invalid, missing, unknown
from apps.sandbox.forms import Form, items

OPTIONS = frozenset(stripe._request_options.RequestOptions.__annotations__)
REQUIRED = (typing.Required, te.Required)
WRAPPERS = (*REQUIRED, typing.NotRequired, te.NotRequired)
UNIONS = (Union, types.UnionType)


def read(form: Form, kind: type | None) -> dict[str, Any]:
    """Typed parameters from a form. Raises ApiError, naming the parameter as Stripe does."""
    if kind is None:
        extra = next((name for name in form if name != "expand"), None)
        if extra is not None:
            raise unknown(extra)
        return {"expand": items(form["expand"]) or []} if "expand" in form else {}
    return _record(form, kind, "")


@cache
def _fields(kind: type) -> dict[str, tuple[Any, str]]:
    """Name to (type, module that the type is written in)."""
    fields: dict[str, tuple[Any, str]] = {}
    for base in reversed(kind.__dict__.get("__orig_bases__", ())):
        if te.is_typeddict(base):
            fields.update(_fields(base))
    fields.update({name: (hint, kind.__module__) for name, hint in kind.__annotations__.items()})
    return {name: field for name, field in fields.items() if name not in OPTIONS}


def _evaluate(hint: Any, module: str) -> Any:
    while isinstance(hint, str | ForwardRef):
        text = hint if isinstance(hint, str) else hint.__forward_arg__
        hint = _named(text, module)
    return _evaluate(get_args(hint)[0], module) if get_origin(hint) in WRAPPERS else hint


@cache
def _named(text: str, module: str) -> Any:
    return eval(text, vars(sys.modules[module]))  # noqa: S307 - the SDK's own source


def _path(parent: str, name: str) -> str:
    return f"{parent}[{name}]" if parent else name


def _record(form: Any, kind: type, path: str) -> dict[str, Any]:
    if not isinstance(form, dict):
        raise invalid("Invalid object", path, "parameter_invalid_object")
    fields, result = _fields(kind), {}
    for name, value in form.items():
        if name not in fields:
            raise unknown(_path(path, name))
        hint, module = fields[name]
        result[name] = _value(value, hint, module, _path(path, name))
    for name in sorted(kind.__required_keys__ - OPTIONS):  # type: ignore[attr-defined]
        if name not in form:
            raise missing(_path(path, name))
    return result


def _value(value: Any, hint: Any, module: str, path: str) -> Any:
    hint = _evaluate(hint, module)
    origin, args = get_origin(hint), get_args(hint)
    if origin in UNIONS:
        return _one_of(value, [_evaluate(a, module) for a in args], module, path)
    if origin is Literal:
        return _choice(value, args, path)
    if origin is list:
        elements = items(value)
        if elements is None:
            raise invalid("Invalid array", path, "parameter_invalid_array")
        return [_value(e, args[0], module, _path(path, str(i))) for i, e in enumerate(elements)]
    if te.is_typeddict(hint):
        return _record(value, hint, path)
    if hint in (str, int, bool, float, Decimal):
        return _scalar(value, hint, path)
    if not isinstance(value, dict):
        raise invalid("Invalid object", path, "parameter_invalid_object")
    inner = args[-1] if args else str
    # In a free-form hash such as metadata an empty text removes the key.
    return {str(k): v if v == "" else _value(v, inner, module, _path(path, k)) for k, v in value.items()}


def _one_of(value: Any, members: list[Any], module: str, path: str) -> Any:
    members = [m for m in members if m is not type(None)]
    clears = any(get_origin(m) is Literal and "" in get_args(m) for m in members)
    if value == "" and clears:
        return ""
    members = [m for m in members if m != Literal[""]]
    choices = [m for m in members if get_origin(m) is Literal]
    if choices:  # an enum hides its `str`
        members = [m for m in members if m is not str]
    failure: ApiError | None = None
    for member in members:
        try:
            return _value(value, member, module, path)
        except ApiError as error:
            fits = te.is_typeddict(member) == isinstance(value, dict)
            failure = error if failure is None or fits else failure
    raise failure or invalid("Invalid value", path)


def _choice(value: Any, choices: tuple[Any, ...], path: str) -> Any:
    for choice in choices:
        if value == (str(choice).lower() if isinstance(choice, bool) else choice):
            return choice
    names = [str(c) for c in choices if c != ""]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])}, or {names[-1]}"
    raise invalid(f"Invalid {path}: must be one of {listed}", path)


def _scalar(value: Any, kind: type, path: str) -> Any:
    if not isinstance(value, str):
        raise invalid(f"Invalid {'string' if kind is str else 'value'}: {path} is a hash", path)
    if value == "":
        raise invalid(
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter;"
            f" however '{path}' cannot be unset. You should remove '{path}' from your request or supply a"
            " non-empty value.",
            path,
            "parameter_invalid_empty",
        )
    if kind is int:
        if re.fullmatch(r"-?[0-9]{1,18}", value) is None:
            raise invalid(f"Invalid integer: {value[:60]}", path, "parameter_invalid_integer")
        return int(value)
    if kind is bool:
        if value not in ("true", "false"):
            raise invalid(f"Invalid boolean: {value[:60]}", path, "parameter_invalid_boolean")
        return value == "true"
    if kind in (float, Decimal):
        if re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,12})?", value) is None:
            raise invalid(f"Invalid decimal: {value[:60]}", path, "parameter_invalid_decimal")
        return Decimal(value)
    if "\x00" in value:
        raise invalid("Invalid string: it holds a NUL character", path)
    return value
