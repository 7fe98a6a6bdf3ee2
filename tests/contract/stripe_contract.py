"""Offline contract checks against the installed ``stripe`` package: no network, no own schemas.

* ``check_request(target, params)``: would the SDK's parameter types accept what we send?
  ``target`` is a TypedDict (``stripe.params.checkout.SessionCreateParams``) or an endpoint
  (``"POST /v1/checkout/sessions/cs_123/expire"``), looked up in the SDK's own service classes.
* ``check_object(obj, fixtures=...)``: has a response (or an event with its ``data.object``) the
  keys and types of the SDK's resource class and, when Stripe's ``openapi/fixtures3.json`` is
  given, every key of the official example object?

Both return a list of ``Problem``; empty means "conforms". The SDK spells enums as
``Literal[...] | str``; they are read as closed, because a misspelt value is the likeliest
mistake, unless ``open_enums=True``. `test_stripe_contract.py` beside this file tests the checker.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ForwardRef, Literal, NamedTuple, Union, get_args, get_origin

import stripe
import typing_extensions as te
from stripe._object_classes import OBJECT_CLASSES
from stripe._request_options import RequestOptions
from stripe._stripe_object import StripeObject, UntypedStripeObject

PACKAGE = Path(stripe.__file__).parent
WRAPPERS = (typing.Required, typing.NotRequired, te.Required, te.NotRequired)
UNIONS = (Union, types.UnionType)
OPTION_KEYS = frozenset(RequestOptions.__annotations__)
NONE = type(None)
JSON_FORMS: dict[type, tuple[type, ...]] = {
    int: (int,), float: (int, float), Decimal: (str, int, float, Decimal), datetime: (int, datetime)}  # fmt: skip


class Problem(NamedTuple):
    """One deviation: where, which kind, and what was found."""

    path: str
    kind: Literal["unknown_key", "missing_key", "wrong_type", "unknown_value", "unknown_object"]
    detail: str

    def __str__(self) -> str:
        return f"{self.path or '(root)'}: {self.kind}: {self.detail}"


class _Namespace(dict[str, Any]):
    """Names visible to a module's annotations, its ``if TYPE_CHECKING`` imports included."""

    def __init__(self, module: types.ModuleType) -> None:
        super().__init__({**vars(typing), **vars(te), **vars(module)})
        self.lazy: dict[str, tuple[str, str]] = {}
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ImportFrom) and node.module:
                for name in node.names:
                    self.lazy[name.asname or name.name] = (node.module, name.name)

    def __missing__(self, name: str) -> Any:
        if name not in self.lazy:
            raise KeyError(name)
        module, attribute = self.lazy[name]
        self[name] = getattr(import_module(module), attribute)
        return self[name]


@cache
def _namespace(module_name: str) -> _Namespace:
    return _Namespace(import_module(module_name))


def _evaluate(annotation: Any, module: str) -> Any:
    """Resolve a string or forward reference written in ``module``."""
    while isinstance(annotation, (str, ForwardRef)):
        text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
        annotation = eval(text, {}, _namespace(module))  # noqa: S307 - the SDK's own source
    return annotation


@cache
def _fields(cls: type) -> dict[str, Any]:
    """Field name to annotation: a TypedDict's keys, or the data fields of a resource class."""
    if te.is_typeddict(cls):
        return {k: v for k, v in cls.__annotations__.items() if k not in OPTION_KEYS}
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, StripeObject) and base is not StripeObject:
            renamed: dict[str, str] = getattr(base, "_field_remappings", {})
            own = inspect.get_annotations(base)
            found.update({renamed.get(k, k): v for k, v in own.items() if not k.startswith("_")})
    return {k: v for k, v in found.items() if "ClassVar" not in str(v) and k != "OBJECT_NAME"}


@cache
def endpoints() -> dict[tuple[str, str], tuple[str, str | None]]:
    """(method, path template) to (module, annotation of its params), read from the SDK's services."""
    table: dict[tuple[str, str], tuple[str, str | None]] = {}
    for file in sorted(PACKAGE.rglob("*_service.py")):
        module = ".".join(("stripe", *file.relative_to(PACKAGE).with_suffix("").parts))
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "_request":
                    method, path, *_ = map(ast.unparse, call.args)
                    template = ast.literal_eval(path.partition(".format(")[0])
                    hints = [a.annotation for a in function.args.args if a.arg == "params"]
                    source = ast.unparse(hints[0]) if hints and hints[0] else None
                    table[ast.literal_eval(method), template] = (module, source)
    return table


def params_type(endpoint: str) -> type | None:
    """The TypedDict of ``"POST /v1/refunds"``; None when it takes none; LookupError if unknown."""
    method, _, path = endpoint.partition(" ")
    candidates = []
    for (verb, template), (module, source) in endpoints().items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if verb == method.lower() and re.fullmatch(pattern, path):
            candidates.append((template.count("{"), module, source))
    if not candidates:
        raise LookupError(f"the installed SDK has no endpoint {endpoint!r}")
    _, module, source = min(candidates, key=lambda c: c[0])
    if source is None:
        return None
    hint = _evaluate(source, module)  # Optional[X] where parameters may be left out, else X
    return typing.cast("type | None", _evaluate((get_args(hint) or (hint,))[0], module))


class _Checker:
    def __init__(self, *, form: bool, open_enums: bool) -> None:
        self.form, self.open_enums = form, open_enums

    def value(self, value: Any, hint: Any, module: str, path: str, example: Any) -> Iterator[Problem]:
        hint = _evaluate(hint, module)
        origin, args = get_origin(hint), get_args(hint)
        if hint is Any:
            return
        if origin in WRAPPERS:
            yield from self.value(value, args[0], module, path, example)
        elif origin in UNIONS:
            yield from self.union(value, args, module, path, example)
        elif origin is Literal:
            accepted = [str(a).lower() for a in args] if self.form else list(args)
            if (str(value).lower() if self.form else value) not in accepted:
                yield Problem(path, "unknown_value", f"{value!r} is none of {sorted(map(str, args))}")
        elif origin is list:
            if not isinstance(value, list):
                yield self.wrong(path, "list", value)
                return
            for i, item in enumerate(value):
                yield from self.value(item, args[0], module, f"{path}[{i}]", None)
        elif origin in (dict, UntypedStripeObject) or hint is UntypedStripeObject:
            if not isinstance(value, Mapping):
                yield self.wrong(path, "object", value)
                return
            for key, item in value.items():
                yield from self.value(item, args[-1] if args else Any, module, f"{path}.{key}", None)
        elif te.is_typeddict(hint):
            yield from self.record(value, hint, path, example)
        elif isinstance(origin or hint, type) and issubclass(origin or hint, StripeObject):
            yield from self.record(value, origin or hint, path, example, args[0] if args else None, module)
        elif isinstance(hint, type) and not self.scalar(value, hint):
            yield self.wrong(path, hint.__name__, value)

    def union(self, value: Any, args: tuple[Any, ...], module: str, path: str, example: Any) -> Iterator[Problem]:
        """The value must fit one member; report the closest miss. An enum hides its ``str``."""
        members = [_evaluate(a, module) for a in args]
        if value is None and NONE in members:
            return
        values = {a for m in members if get_origin(m) is Literal for a in get_args(m)}
        if values - {""} and not self.open_enums:  # Literal[""] alone means "or empty, to clear it"
            members = [m for m in members if m is not str]
        attempts = [list(self.value(value, m, module, path, example)) for m in members if m is not NONE]
        if all(attempts):
            yield from min(attempts, key=lambda found: (any(p.path == path for p in found), len(found)))

    def record(
        self, value: Any, cls: type, path: str, example: Any, item: Any = None, module: str = ""
    ) -> Iterator[Problem]:
        if not isinstance(value, Mapping):
            yield self.wrong(path, cls.__name__, value)
            return
        tag = _fields(cls).get("object")
        if tag and get_origin(tag) is Literal and value.get("object") not in get_args(tag):
            where, found = f"{path}.object".lstrip("."), value.get("object")
            yield Problem(where, "unknown_value", f"{found!r}, not {get_args(tag)[0]!r}")
            return
        fields = _fields(cls) | ({"object": Literal["list"]} if cls is stripe.ListObject else {})
        for key, inner in value.items():
            where = f"{path}.{key}".lstrip(".")
            if key not in fields:
                yield Problem(where, "unknown_key", f"{cls.__name__} has no {key!r}")
            elif key == "data" and item is not None and isinstance(inner, list):
                for i, element in enumerate(inner):
                    yield from self.value(element, item, module, f"{where}[{i}]", None)
            else:
                known = example.get(key) if isinstance(example, Mapping) else None
                yield from self.value(inner, fields[key], cls.__module__, where, known)
        for key in fields:
            if key not in value and self.required(cls, key, fields[key], example):
                yield Problem(f"{path}.{key}".lstrip("."), "missing_key", f"{cls.__name__} needs {key!r}")

    @staticmethod
    def required(cls: type, key: str, hint: Any, example: Any) -> bool:
        if te.is_typeddict(cls):
            return key in cls.__required_keys__  # type: ignore[attr-defined]
        nullable = NONE in get_args(_evaluate(hint, cls.__module__))
        return not nullable or (isinstance(example, Mapping) and key in example)

    def scalar(self, value: Any, kind: type) -> bool:
        if self.form and isinstance(value, str):  # a form body carries text only
            if kind in (int, datetime):
                return re.fullmatch(r"-?\d+", value) is not None
            if kind in (float, Decimal):
                return re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
            return value in ("true", "false") if kind is bool else kind is str
        if kind in (int, float, Decimal, datetime):  # JSON: decimals travel as text
            return isinstance(value, JSON_FORMS[kind]) and not isinstance(value, bool)
        return isinstance(value, kind)

    @staticmethod
    def wrong(path: str, expected: str, value: Any) -> Problem:
        return Problem(path, "wrong_type", f"expected {expected}, got {type(value).__name__} {str(value)[:60]!r}")


def check_request(
    target: str | type, params: Mapping[str, Any], *, form: bool = False, open_enums: bool = False
) -> list[Problem]:
    """Check request parameters. ``form=True``: values are text, as a server reads a form body.

    Request options (``idempotency_key`` and so on) count as unknown keys: ``StripeClient``
    takes them in a separate argument and would send them to Stripe as parameters.
    """
    kind = params_type(target) if isinstance(target, str) else target
    if kind is None:
        return [Problem(key, "unknown_key", f"{target} takes no parameters") for key in params]
    return list(_Checker(form=form, open_enums=open_enums).record(params, kind, "", None))


@cache
def _examples(path: str) -> dict[str, Any]:
    return typing.cast("dict[str, Any]", json.loads(Path(path).read_text())["resources"])


def check_object(
    obj: Mapping[str, Any], *, fixtures: str | Path | None = None, open_enums: bool = False
) -> list[Problem]:
    """Check one API object, a list of them, or an event together with its ``data.object``."""
    name = obj.get("object")
    if name == "list":
        return [p._replace(path=f"data[{i}].{p.path}") for i, item in enumerate(obj.get("data", []))
                for p in check_object(item, fixtures=fixtures, open_enums=open_enums)]  # fmt: skip
    if name not in OBJECT_CLASSES:
        return [Problem("object", "unknown_object", f"{name!r} is no object of the installed SDK")]
    module, class_name = OBJECT_CLASSES[name]
    example = _examples(str(fixtures)).get(name) if fixtures else None
    checker = _Checker(form=False, open_enums=open_enums)
    problems = list(checker.record(obj, getattr(import_module(module), class_name), "", example))
    if name == "event" and isinstance(obj.get("data"), Mapping) and isinstance(obj["data"].get("object"), Mapping):
        inner = check_object(obj["data"]["object"], fixtures=fixtures, open_enums=open_enums)
        problems += [p._replace(path=f"data.object.{p.path}") for p in inner]
    return problems
