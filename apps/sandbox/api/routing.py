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
    balance,
    charges,
    checkout_sessions,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    payment_pages,
    prices,
    products,
    refunds,
    setup_intents,
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


CUSTOMERS, METHODS, SETUPS = "/v1/customers", "/v1/payment_methods", "/v1/setup_intents"
SESSIONS, INTENTS, REFUNDS = "/v1/checkout/sessions", "/v1/payment_intents", "/v1/refunds"
DISPUTES = "/v1/disputes"
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
    Route("GET", "/v1/charges/{id}/refunds", refunds.of_charge, p.RefundListParams),
    Route("POST", REFUNDS, refunds.create, p.RefundCreateParams),
    Route("GET", REFUNDS, refunds.list_all, p.RefundListParams),
    Route("GET", f"{REFUNDS}/{{id}}", refunds.retrieve),
    Route("POST", f"{REFUNDS}/{{id}}", refunds.update, p.RefundUpdateParams),
    Route("POST", f"{REFUNDS}/{{id}}/cancel", refunds.cancel),
    Route("GET", DISPUTES, disputes.list_all, p.DisputeListParams),
    Route("GET", f"{DISPUTES}/{{id}}", disputes.retrieve),
    Route("POST", f"{DISPUTES}/{{id}}", disputes.update, p.DisputeUpdateParams),
    Route("POST", f"{DISPUTES}/{{id}}/close", disputes.close),
    Route("GET", "/v1/balance", balance.retrieve),
    Route("GET", "/v1/balance_transactions", balance.list_entries, p.BalanceTransactionListParams),
    Route("GET", "/v1/balance_transactions/{id}", balance.retrieve_entry),
    Route("GET", "/v1/payouts", balance.list_payouts, p.PayoutListParams),
    Route("GET", "/v1/payouts/{id}", balance.retrieve_payout),
    Route("GET", "/v1/mandates/{id}", charges.mandate),
    Route("POST", CUSTOMERS, customers.create, p.CustomerCreateParams),
    Route("GET", CUSTOMERS, customers.list_all, p.CustomerListParams),
    Route("GET", f"{CUSTOMERS}/{{id}}", customers.retrieve),
    Route("POST", f"{CUSTOMERS}/{{id}}", customers.update, p.CustomerUpdateParams),
    Route("DELETE", f"{CUSTOMERS}/{{id}}", customers.delete),
    Route("GET", f"{CUSTOMERS}/{{id}}/payment_methods", customers.methods, p.CustomerPaymentMethodListParams),
    Route("GET", f"{CUSTOMERS}/{{id}}/payment_methods/{{id}}", customers.method),
    Route("POST", METHODS, payment_methods.create, p.PaymentMethodCreateParams),
    Route("GET", METHODS, payment_methods.list_all, p.PaymentMethodListParams),
    Route("GET", f"{METHODS}/{{id}}", payment_methods.retrieve),
    Route("POST", f"{METHODS}/{{id}}", payment_methods.update, p.PaymentMethodUpdateParams),
    Route("POST", f"{METHODS}/{{id}}/attach", payment_methods.attach, p.PaymentMethodAttachParams),
    Route("POST", f"{METHODS}/{{id}}/detach", payment_methods.detach),
    Route("POST", SETUPS, setup_intents.create, p.SetupIntentCreateParams, versioned=True),
    Route("GET", SETUPS, setup_intents.list_all, p.SetupIntentListParams),
    Route("GET", f"{SETUPS}/{{id}}", setup_intents.retrieve, p.SetupIntentRetrieveParams),
    Route("POST", f"{SETUPS}/{{id}}", setup_intents.update, p.SetupIntentUpdateParams, versioned=True),
    Route("POST", f"{SETUPS}/{{id}}/confirm", setup_intents.confirm, p.SetupIntentConfirmParams, versioned=True),
    Route("POST", f"{SETUPS}/{{id}}/cancel", setup_intents.cancel, p.SetupIntentCancelParams),
    Route("GET", "/v1/setup_attempts", setup_intents.attempts, p.SetupAttemptListParams),
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
