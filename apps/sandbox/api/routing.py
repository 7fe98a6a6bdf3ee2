"""One table from method and path to function, with the parameters that the call takes.

Parameter types are the installed SDK's own (see `params.py`); None means that a call takes none but `expand`.
A further resource is a module and its rows here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypedDict

from stripe import params as p
from stripe.params import checkout as c

from apps.sandbox.api import (
    charges,
    checkout_sessions,
    events,
    payment_intents,
    payment_methods,
    payment_pages,
    prices,
    products,
    webhook_endpoints,
)


class PaymentPageParams(TypedDict):
    payment_method: str
    expected_amount: int


class EventRetryParams(TypedDict, total=False):
    for_stripecli: bool
    webhook_endpoint: str


@dataclass(frozen=True)
class Route:
    """`versioned`: `payment_method_types` is taken from callers older than endive."""

    method: str
    path: str
    handler: Callable[..., dict[str, Any]]
    params: type | None = None
    versioned: bool = False


SESSIONS, INTENTS = "/v1/checkout/sessions", "/v1/payment_intents"
ROUTES = [
    Route("POST", "/v1/products", products.create, p.ProductCreateParams),
    Route("GET", "/v1/products", products.list_all, p.ProductListParams),
    Route("GET", "/v1/products/{id}", products.retrieve),
    Route("POST", "/v1/products/{id}", products.update, p.ProductUpdateParams),
    Route("POST", "/v1/prices", prices.create, p.PriceCreateParams),
    Route("GET", "/v1/prices", prices.list_all, p.PriceListParams),
    Route("GET", "/v1/prices/{id}", prices.retrieve),
    Route("POST", "/v1/prices/{id}", prices.update, p.PriceUpdateParams),
    Route("POST", SESSIONS, checkout_sessions.create, c.SessionCreateParams, versioned=True),
    Route("GET", SESSIONS, checkout_sessions.list_all, c.SessionListParams),
    Route("GET", f"{SESSIONS}/{{id}}", checkout_sessions.retrieve),
    Route("POST", f"{SESSIONS}/{{id}}", checkout_sessions.update, c.SessionUpdateParams),
    Route("POST", f"{SESSIONS}/{{id}}/expire", checkout_sessions.expire),
    Route("GET", f"{SESSIONS}/{{id}}/line_items", checkout_sessions.line_items, c.SessionLineItemListParams),
    Route("GET", "/v1/payment_pages/{id}", payment_pages.retrieve),
    Route("POST", "/v1/payment_pages/{id}/confirm", payment_pages.confirm, PaymentPageParams),
    Route("POST", INTENTS, payment_intents.create, p.PaymentIntentCreateParams, versioned=True),
    Route("GET", INTENTS, payment_intents.list_all, p.PaymentIntentListParams),
    Route("GET", f"{INTENTS}/{{id}}", payment_intents.retrieve, p.PaymentIntentRetrieveParams),
    Route("POST", f"{INTENTS}/{{id}}", payment_intents.update, p.PaymentIntentUpdateParams, versioned=True),
    Route("POST", f"{INTENTS}/{{id}}/confirm", payment_intents.confirm, p.PaymentIntentConfirmParams, versioned=True),
    Route("POST", f"{INTENTS}/{{id}}/capture", payment_intents.capture, p.PaymentIntentCaptureParams),
    Route("POST", f"{INTENTS}/{{id}}/cancel", payment_intents.cancel, p.PaymentIntentCancelParams),
    Route("GET", "/v1/charges", charges.list_all, p.ChargeListParams),
    Route("GET", "/v1/charges/{id}", charges.retrieve),
    Route("POST", "/v1/charges/{id}", charges.update, p.ChargeUpdateParams),
    Route("GET", "/v1/balance_transactions/{id}", charges.balance_transaction),
    Route("GET", "/v1/mandates/{id}", charges.mandate),
    Route("POST", "/v1/payment_methods", payment_methods.create, p.PaymentMethodCreateParams),
    Route("GET", "/v1/payment_methods/{id}", payment_methods.retrieve),
    Route("GET", "/v1/events", events.list_all, p.EventListParams),
    Route("GET", "/v1/events/{id}", events.retrieve),
    Route("POST", "/v1/events/{id}/retry", events.retry, EventRetryParams),
    Route("POST", "/v1/webhook_endpoints", webhook_endpoints.create, p.WebhookEndpointCreateParams),
    Route("GET", "/v1/webhook_endpoints", webhook_endpoints.list_all, p.WebhookEndpointListParams),
    Route("GET", "/v1/webhook_endpoints/{id}", webhook_endpoints.retrieve),
    Route("POST", "/v1/webhook_endpoints/{id}", webhook_endpoints.update, p.WebhookEndpointUpdateParams),
    Route("DELETE", "/v1/webhook_endpoints/{id}", webhook_endpoints.delete),
]


@cache
def _patterns() -> list[tuple[str, re.Pattern[str], Route]]:
    return [(r.method, re.compile(r.path.replace("{id}", "([^/]+)")), r) for r in ROUTES]


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
    """The route of a call and the ids in its path."""
    for verb, pattern, route in _patterns():
        match = pattern.fullmatch(path) if verb == method else None
        if match is not None:
            return route, match.groups()
    return None
