"""Where the account sends its events, and which of them did not arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from apps.payment.gateway.calls import call_stripe
from apps.payment.gateway.values import plain

TYPES_PER_LIST = 20
"""How many event types one list call takes."""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """`api_version` is empty where the account's own applies. `secret` is told once, by the call that made it."""

    id: str
    url: str
    enabled: bool
    api_version: str
    types: tuple[str, ...]
    livemode: bool
    created: datetime
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event as a list shows it, without what it says."""

    id: str
    type: str
    created: datetime


def list_webhook_endpoints() -> list[WebhookEndpoint]:
    """Every endpoint of the account in this mode, newest first."""
    found: list[WebhookEndpoint] = []
    cursor: dict[str, Any] = {}
    while True:
        params = {"limit": 100, **cursor}
        page = call_stripe(lambda c, p=params: c.v1.webhook_endpoints.list(p))  # type: ignore[misc]
        found += map(_endpoint, page.data)
        if not page.has_more:
            return found
        cursor = {"starting_after": page.data[-1].id}


def create_webhook_endpoint(
    *, url: str, api_version: str, types: Sequence[str], description: str, idempotency_key: str
) -> WebhookEndpoint:
    """Make an endpoint. Its secret is in this answer and in no later one."""
    params: Any = {"url": url, "api_version": api_version, "enabled_events": list(types), "description": description}
    return _endpoint(call_stripe(lambda c: c.v1.webhook_endpoints.create(params, {"idempotency_key": idempotency_key})))


def update_webhook_endpoint(endpoint_id: str, *, types: Sequence[str]) -> WebhookEndpoint:
    """Enable an endpoint for exactly these types. Its API version cannot be changed."""
    params: Any = {"enabled_events": list(types), "disabled": False}
    return _endpoint(call_stripe(lambda c: c.v1.webhook_endpoints.update(endpoint_id, params)))


def newest_event(types: Sequence[str], *, created_after: datetime) -> ListedEvent | None:
    """The newest event of these types since then, delivered or not."""
    newest = [
        _listed(page.data[0])
        for page in (_events(some, created_after, limit=1) for some in portions(types))
        if page.data
    ]
    return max(newest, key=lambda event: event.created, default=None)


def undelivered_events(types: Sequence[str], *, created_after: datetime) -> Iterator[ListedEvent]:
    """Events of these types that at least one endpoint has not taken yet. Stripe looks back 30 days at most."""
    for some in portions(types):
        cursor: dict[str, Any] = {}
        while True:
            page = _events(some, created_after, limit=100, delivery_success=False, **cursor)
            yield from map(_listed, page.data)
            if not page.has_more:
                break
            cursor = {"starting_after": page.data[-1].id}


def portions(types: Sequence[str]) -> Iterator[Sequence[str]]:
    """The types in portions that one list call takes."""
    for start in range(0, len(types), TYPES_PER_LIST):
        yield types[start : start + TYPES_PER_LIST]


def _events(types: Sequence[str], created_after: datetime, **more: Any) -> Any:
    params: Any = {"types": list(types), "created": {"gte": int(created_after.timestamp())}, **more}
    return call_stripe(lambda c: c.v1.events.list(params))


def _listed(found: Any) -> ListedEvent:
    return ListedEvent(found.id, found.type, datetime.fromtimestamp(int(found.created), tz=UTC))


def _endpoint(found: Any) -> WebhookEndpoint:
    data = plain(found)
    return WebhookEndpoint(
        id=str(data["id"]),
        url=str(data["url"]),
        enabled=data["status"] == "enabled",
        api_version=str(data.get("api_version") or ""),
        types=tuple(sorted(data["enabled_events"])),
        livemode=bool(data["livemode"]),
        created=datetime.fromtimestamp(int(data["created"]), tz=UTC),
        secret=str(data.get("secret") or ""),
    )
