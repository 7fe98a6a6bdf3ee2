"""/v1/webhook_endpoints: each has a secret of its own, shown once when it is made."""

from __future__ import annotations

from urllib.parse import urlsplit

from apps.sandbox import ids
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import invalid
from apps.sandbox.pagination import page
from apps.sandbox.store import Object

MAX_ENDPOINTS = 16


def build(now: int, url: str, **given: object) -> Object:
    """An enabled endpoint with a new secret under `_secret`; not stored."""
    return {
        "id": ids.new("webhook_endpoint"),
        "object": "webhook_endpoint",
        "api_version": None,
        "application": None,
        "created": now,
        "description": None,
        "enabled_events": ["*"],
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
        "_secret": f"whsec_{ids.text(32)}",
        **given,
    }


def create(call: Call) -> Object:
    params = call.params
    if call.tx.count("webhook_endpoint") >= MAX_ENDPOINTS:
        raise invalid("You have reached the maximum of 16 test webhook endpoints.", "url")
    endpoint = build(
        call.now,
        _checked_url(params["url"]),
        api_version=params.get("api_version"),
        description=params.get("description") or None,
        enabled_events=_checked_events(params["enabled_events"]),
        metadata=merged_metadata({}, params.get("metadata") or {}),
    )
    call.tx.put(endpoint)
    return {**endpoint, "secret": endpoint["_secret"]}


def retrieve(call: Call, endpoint_id: str) -> Object:
    return call.get("webhook_endpoint", endpoint_id)


def update(call: Call, endpoint_id: str) -> Object:
    endpoint, params = call.get("webhook_endpoint", endpoint_id), call.params
    if "url" in params:
        endpoint["url"] = _checked_url(params["url"])
    if "enabled_events" in params:
        endpoint["enabled_events"] = _checked_events(params["enabled_events"])
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    if "description" in params:
        endpoint["description"] = params["description"] or None
    if "metadata" in params:
        endpoint["metadata"] = merged_metadata(endpoint["metadata"], params["metadata"])
    return call.tx.put(endpoint)


def delete(call: Call, endpoint_id: str) -> Object:
    call.get("webhook_endpoint", endpoint_id)
    call.tx.delete(endpoint_id)
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}


def list_all(call: Call) -> Object:
    return page(call, "webhook_endpoint", "/v1/webhook_endpoints")


def _checked_events(names: list[str]) -> list[str]:
    if not names:
        raise invalid("At least one event is required.", "enabled_events")
    return names


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url", "url_invalid")
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise invalid(
            "The sandbox delivers webhooks to this machine only: 127.0.0.1 or localhost.", "url", "url_invalid"
        )
    return url
