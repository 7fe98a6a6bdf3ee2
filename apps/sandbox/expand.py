"""`expand[]=data.payment_intent.latest_charge`: ids replaced by the objects they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.sandbox import checkout
from apps.sandbox.call import Call
from apps.sandbox.errors import ApiError, invalid
from apps.sandbox.pagination import listed
from apps.sandbox.store import Object, public

MAX_DEPTH = 4
Loader = Callable[[Call, Object], Any]

REFERENCES: dict[str, frozenset[str]] = {
    "checkout.session": frozenset(("customer", "payment_intent", "setup_intent", "payment_link", "invoice")),
    "payment_intent": frozenset(("customer", "latest_charge", "payment_method", "review")),
    "charge": frozenset(("balance_transaction", "customer", "failure_balance_transaction", "payment_intent", "review")),
    "refund": frozenset(
        (
            "balance_transaction",
            "charge",
            "customer",
            "failure_balance_transaction",
            "payment_intent",
            "payment_method",
        )
    ),
    "dispute": frozenset(("charge", "payment_intent")),
    "price": frozenset(("product",)),
    "product": frozenset(("default_price",)),
    "payment_method": frozenset(("customer",)),
    "mandate": frozenset(("payment_method",)),
    "setup_intent": frozenset(("customer", "latest_attempt", "mandate", "payment_method")),
    "setup_attempt": frozenset(("customer", "payment_method", "setup_intent")),
    "balance_transaction": frozenset(("source",)),
    "payout": frozenset(("balance_transaction", "destination", "failure_balance_transaction")),
}


def _line_items(call: Call, session: Object) -> Object:
    rows = checkout.lines(call, session)
    return listed(rows[:10], f"/v1/checkout/sessions/{session['id']}/line_items", len(rows) > 10)


def _refunds(call: Call, charge: Object) -> Object:
    rows = call.tx.page("refund", filters={"charge": [charge["id"]]}, limit=11)
    return listed([public(row) for row in rows[:10]], f"/v1/charges/{charge['id']}/refunds", len(rows) > 10)


# What is left out of an object unless it is asked for.
INCLUDED: dict[tuple[str, str], Loader] = {
    ("checkout.session", "line_items"): _line_items,
    ("charge", "refunds"): _refunds,
}


def expand(call: Call, answer: Object, paths: list[str]) -> Object:
    """The answer with every path expanded. Raises ApiError for what cannot be."""
    for path in paths:
        names = path.split(".")
        if len(names) - (names[0] == "data") > MAX_DEPTH:
            raise invalid(f"You cannot expand more than {MAX_DEPTH} levels of a property.", "expand")
        _walk(call, answer, names, path)
    return answer


def _walk(call: Call, node: Any, names: list[str], path: str) -> None:
    if not names or node is None:
        return
    if isinstance(node, list):
        for element in node:
            _walk(call, element, names, path)
        return
    name, kind = names[0], node.get("object")
    if (kind, name) in INCLUDED:
        if name not in node:
            node[name] = INCLUDED[kind, name](call, node)
    elif name in REFERENCES.get(kind, ()):
        if isinstance(node.get(name), str):
            node[name] = public(call.tx.find(node[name]) or {"id": node[name]})
    elif not isinstance(node.get(name), dict | list) or kind is None:
        raise ApiError(f"This property cannot be expanded ({path}).", param="expand")
    _walk(call, node.get(name), names[1:], path)
