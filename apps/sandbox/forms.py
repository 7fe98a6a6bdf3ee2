"""Bracketed form bodies and queries: `a[b][0][c]=1`, `a[]=1`.

Lists stay mappings with the keys "0", "1", … here: only the parameter's type tells a list from a hash.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from apps.sandbox.errors import ApiError

Form = dict[str, Any]

MAX_DEPTH = 12
MAX_FIELDS = 5000
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def parse(text: str) -> Form:
    """Parse one body or query. Raises ApiError for names that cannot be read."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace")
    except ValueError:
        raise ApiError(f"More than {MAX_FIELDS} parameters.") from None
    form: Form = {}
    for name, value in pairs:
        _store(form, name, value)
    return form


def _store(form: Form, name: str, value: str) -> None:
    match = _NAME.fullmatch(name)
    if match is None:
        raise ApiError(f"Invalid parameter name: {name[:100]}", param=name[:100])
    keys = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
    if len(keys) > MAX_DEPTH:
        raise ApiError("Parameters are nested too deeply.", param=match[1])
    node = form
    for i, key in enumerate(keys[:-1]):
        child = node.setdefault(key or _open_index(node, keys[i + 1 :]), {})
        if not isinstance(child, dict):
            raise ApiError(f"Invalid parameter: {match[1]} is both a value and a hash.", param=match[1])
        node = child
    last = keys[-1] or str(len(node))
    if isinstance(node.get(last), dict):
        raise ApiError(f"Invalid parameter: {match[1]} is both a value and a hash.", param=match[1])
    node[last] = value


def _open_index(node: Form, rest: list[str]) -> str:
    """`a[][x][y]=1&a[][z]=2` fills one element; a name that it has already opens the next one."""
    if not node:
        return "0"
    element: Any = node.get(str(len(node) - 1))
    for key in rest:
        if not isinstance(element, dict) or key not in element:
            return str(len(node) - 1)
        element = element[key]
    return str(len(node))


def items(value: object) -> list[Any] | None:
    """The elements of a list in form notation, or None when it is not one."""
    if isinstance(value, dict) and all(k.isascii() and k.isdigit() for k in value):
        return [value[k] for k in sorted(value, key=int)]
    return None
