"""/v1/events, and the undocumented retry call of `stripe events resend`."""

from __future__ import annotations

from apps.sandbox import courier
from apps.sandbox.call import Call
from apps.sandbox.errors import invalid
from apps.sandbox.pagination import page
from apps.sandbox.store import Object

MAX_TYPES = 20


def retrieve(call: Call, event_id: str) -> Object:
    return courier.with_pending(call.tx, call.get("event", event_id))


def list_all(call: Call) -> Object:
    params, filters = call.params, {}
    if "type" in params and "types" in params:
        raise invalid("You may only specify one of these parameters: type, types.", "type")
    if len(params.get("types", ())) > MAX_TYPES:
        raise invalid(f"You can pass up to {MAX_TYPES} types.", "types")
    if "type" in params:
        filters["type"] = [params["type"]]
    if params.get("types"):
        if any("*" in kind for kind in params["types"]):
            raise invalid("Wildcards are only supported by `type`.", "types")
        filters["type"] = params["types"]
    if "delivery_success" in params:
        filters["!delivered"] = ["true" if params["delivery_success"] else "false"]
    answer = page(call, "event", "/v1/events", filters)
    answer["data"] = [courier.with_pending(call.tx, event) for event in answer["data"]]
    return answer


def retry(call: Call, event_id: str) -> Object:
    """Deliver once more to every endpoint that got or should have got it."""
    event = call.get("event", event_id)
    courier.requeue(call.tx, event)
    return courier.with_pending(call.tx, event)
