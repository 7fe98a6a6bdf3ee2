"""Stripe's lists, newest first, in pages of 100 by `created`.

Pages are plain data. The library makes an object of every value in them, which takes 300 ms of CPU for a page of a
hundred events where reading its JSON takes five.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.payment.gateway.calls import call_stripe
from apps.payment.gateway.endpoints import portions

PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of a list, and how far back it has been read with them."""

    objects: Sequence[Mapping[str, Any]]
    reaches: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when objects were created, both included."""

    start: datetime
    end: datetime


def session_pages(span: Span) -> Iterator[Page]:
    return pages("/v1/checkout/sessions", span)


def intent_pages(span: Span) -> Iterator[Page]:
    return pages("/v1/payment_intents", span)


def refund_pages(span: Span) -> Iterator[Page]:
    """Refunds with their intents, whose metadata say whose they are."""
    return pages("/v1/refunds", span, expand=["data.payment_intent"])


def dispute_pages(span: Span) -> Iterator[Page]:
    """Disputes with their intents, whose metadata say whose they are."""
    return pages("/v1/disputes", span, expand=["data.payment_intent"])


def event_pages(types: Sequence[str], span: Span) -> Iterator[Page]:
    """Events of these types, delivered or not: twenty types at a time, as many as one list takes."""
    for some in portions(types):
        yield from pages("/v1/events", span, types=list(some))


def pages(path: str, span: Span, **more: Any) -> Iterator[Page]:
    """A list of what was created in a span, newest first. Raises StripeUnavailable, StripeRefused."""
    params = {
        "limit": PER_PAGE,
        "created": {"gte": int(span.start.timestamp()), "lte": int(span.end.timestamp())},
        **more,
    }
    while True:
        answer = call_stripe(lambda c: c.raw_request("get", path, **params)).data
        found = answer["data"]
        more = answer["has_more"]
        yield Page(found, datetime.fromtimestamp(int(found[-1]["created"]), tz=UTC) if more else span.start)
        if not more:
            return
        params["starting_after"] = found[-1]["id"]
