"""/v1/charges and /v1/mandates/{id}: what payments left behind."""

from __future__ import annotations

from typing import Any

from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import unsupported
from apps.sandbox.events import emit
from apps.sandbox.pagination import page
from apps.sandbox.store import Object


def retrieve(call: Call, charge_id: str) -> Object:
    return call.get("charge", charge_id)


def update(call: Call, charge_id: str) -> Object:
    charge, params = call.get("charge", charge_id), call.params
    for name in params:
        if name not in ("description", "expand", "metadata", "receipt_email"):
            raise unsupported(name)
    changes: dict[str, Any] = {
        name: params[name] or None for name in ("description", "receipt_email") if name in params
    }
    if "metadata" in params:
        changes["metadata"] = merged_metadata(charge["metadata"], params["metadata"])
    previous = {name: charge[name] for name in changes if charge[name] != changes[name]}
    charge |= changes
    call.tx.put(charge)
    emit(call, "charge.updated", charge, previous)
    return charge


def list_all(call: Call) -> Object:
    filters: dict[str, list[str]] = {
        name: [call.params[name]] for name in ("payment_intent", "customer") if name in call.params
    }
    return page(call, "charge", "/v1/charges", filters)


def mandate(call: Call, mandate_id: str) -> Object:
    return call.get("mandate", mandate_id)
