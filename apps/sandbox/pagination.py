"""Stripe's lists: newest first, cursors by id, at most 100 on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.sandbox.call import Call
from apps.sandbox.errors import invalid, no_such
from apps.sandbox.store import Object, public

MAX_LIMIT = 100


def limit_of(params: Mapping[str, Any]) -> int:
    limit: int = params.get("limit", 10)
    if not 1 <= limit <= MAX_LIMIT:
        raise invalid(
            f"This value must be {'greater than or equal to 1' if limit < 1 else f'less than or equal to {MAX_LIMIT}'}"
            f" (it currently is '{limit}').",
            "limit",
            "parameter_invalid_integer",
        )
    return limit


def created_range(params: Mapping[str, Any]) -> dict[str, int]:
    given = params.get("created")
    if given is None:
        return {}
    return given if isinstance(given, dict) else {"gte": given, "lte": given}


def page(call: Call, kind: str, url: str, filters: Mapping[str, Sequence[str]] | None = None) -> Object:
    """One page of a kind's objects by the call's `limit`, cursors and `created`."""
    params, limit = call.params, limit_of(call.params)
    after, before = params.get("starting_after"), params.get("ending_before")
    if after is not None and before is not None:
        raise invalid("You can only use one of starting_after and ending_before.", "starting_after")
    for name in ("starting_after", "ending_before"):
        if name in params and call.tx.find(params[name], kind) is None:
            raise no_such(kind, params[name], param=name, status=400)
    rows = call.tx.page(
        kind, filters=filters, created=created_range(params), after=after, before=before, limit=limit + 1
    )
    more = len(rows) > limit
    if more:  # the extra row is the one farthest from the cursor
        rows = rows[1:] if before is not None else rows[:limit]
    return listed([public(row) for row in rows], url, more)


def listed(data: list[Object], url: str, has_more: bool = False) -> Object:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def slice_of(call: Call, rows: list[Object], url: str) -> Object:
    """A page of a short list that is in memory in its own order, such as a session's lines."""
    limit, places = limit_of(call.params), {row["id"]: i for i, row in enumerate(rows)}
    start, stop = 0, len(rows)
    for name in ("starting_after", "ending_before"):
        if name in call.params and call.params[name] not in places:
            raise no_such("line item", call.params[name], param=name, status=400)
    if "starting_after" in call.params:
        start = places[call.params["starting_after"]] + 1
    if "ending_before" in call.params:
        stop = places[call.params["ending_before"]]
        return listed(rows[max(0, stop - limit) : stop], url, stop - limit > 0)
    return listed(rows[start : start + limit], url, start + limit < stop)
