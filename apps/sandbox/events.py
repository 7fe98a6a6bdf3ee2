"""Events: emitted in the transaction of what they tell about, so that neither exists without the other."""

from __future__ import annotations

import copy
from typing import Any

from apps.sandbox import delivery_rules, ids
from apps.sandbox.call import API_VERSION, Call
from apps.sandbox.store import Object, public


def emit(call: Call, kind: str, document: Object, previous: dict[str, Any] | None = None) -> Object:
    """Record the event with a snapshot of the object and queue it for every endpoint that wants it."""
    data: dict[str, Any] = {"object": copy.deepcopy(public(document))}
    if previous is not None:
        data["previous_attributes"] = previous
    endpoints = [e for e in call.tx.page("webhook_endpoint", limit=100) if wants(e, kind)]
    event: Object = {
        "id": ids.new("event"),
        "object": "event",
        "api_version": API_VERSION,
        "created": call.now,
        "data": data,
        "livemode": False,
        "pending_webhooks": len(endpoints),
        "request": {"id": call.request_id, "idempotency_key": call.idempotency_key},
        "type": kind,
    }
    call.tx.put(event)
    call.tx.mark(event["id"], "!delivered", "false" if endpoints else "true")
    if endpoints:
        delivery_rules.queue(call.tx, event, endpoints)
    call.tx.emitted[kind] = event["id"]
    return event


def changed(before: Object, after: Object) -> dict[str, Any]:
    """`previous_attributes`: the old values of what differs, key by key inside hashes such as metadata."""
    previous: dict[str, Any] = {}
    for key in public({**before, **after}):
        old, new = before.get(key), after.get(key)
        if old != new:
            previous[key] = changed(old, new) if isinstance(old, dict) and isinstance(new, dict) else old
    return previous


def wants(endpoint: Object, kind: str) -> bool:
    return endpoint["status"] == "enabled" and bool({"*", kind} & set(endpoint["enabled_events"]))
