"""What a page in a browser may call with a publishable key: make a card, confirm and read one intent.

The key is public, so an intent is opened by its client secret alone, and the answers leave out what only the shop
should know. These are also the only calls that pages of other origins may make.
"""

from __future__ import annotations

import hmac
import re
from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.sandbox.api.keys import is_publishable
from apps.sandbox.errors import ApiError, invalid, missing, no_such
from apps.sandbox.forms import Form
from apps.sandbox.store import Object, Transaction

SECRET = "client_secret"  # noqa: S105 - the parameter's name
CARD = ("allow_redisplay", "billing_details", "card", "sepa_debit", "type")
CONFIRM = (SECRET, "payment_method", "return_url", "use_stripe_sdk")
OPEN: dict[tuple[str, str], tuple[str, ...]] = {
    ("POST", r"/v1/payment_methods"): CARD,
    ("GET", r"/v1/payment_intents/[^/]+"): (SECRET,),
    ("POST", r"/v1/payment_intents/[^/]+/confirm"): CONFIRM,
    ("GET", r"/v1/setup_intents/[^/]+"): (SECRET,),
    ("POST", r"/v1/setup_intents/[^/]+/confirm"): CONFIRM,
}
HIDDEN: dict[str, frozenset[str]] = {
    "payment_intent": frozenset(
        (
            "amount_capturable",
            "amount_received",
            "application",
            "application_fee_amount",
            "customer",
            "customer_account",
            "latest_charge",
            "metadata",
            "on_behalf_of",
            "payment_method_options",
            "review",
            "statement_descriptor",
            "statement_descriptor_suffix",
            "transfer_data",
            "transfer_group",
        )
    ),
    "setup_intent": frozenset(
        (
            "application",
            "customer",
            "customer_account",
            "latest_attempt",
            "mandate",
            "metadata",
            "on_behalf_of",
            "payment_method_options",
            "single_use_mandate",
        )
    ),
    "payment_method": frozenset(("customer", "customer_account", "metadata")),
}


def _takes(method: str, path: str) -> tuple[str, ...] | None:
    """The parameters of an open call; None for any other."""
    return next((names for (verb, p), names in OPEN.items() if verb == method and re.fullmatch(p, path)), None)


def admit(method: str, path: str, form: Form) -> str | None:
    """The client secret of a call, taken out of its parameters. Raises ApiError for what needs the secret key."""
    names = _takes(method, path)
    if names is None:
        raise ApiError(
            "This API call cannot be made with a publishable API key. Please use a secret API key.",
            status=403,
            code="secret_key_required",
        )
    for name in form:
        if name not in names:
            raise invalid(f"The parameter {name} cannot be used with a publishable API key.", name)
    if SECRET not in names:
        return None
    given = form.pop(SECRET, None)
    if not isinstance(given, str) or not given:
        raise missing(SECRET)
    return given


def check_secret(tx: Transaction, intent_id: str, secret: str) -> None:
    """Raise ApiError unless the secret is the intent's. An intent that does not exist looks the same."""
    intent = tx.find(intent_id) or {}
    if not hmac.compare_digest(str(intent.get(SECRET, "")).encode(), secret.encode()):
        kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
        raise no_such(kind, intent_id, param="intent")


def visible(node: Any) -> Any:
    """An answer without what only the shop should know."""
    if isinstance(node, list):
        return [visible(element) for element in node]
    if not isinstance(node, dict):
        return node
    hidden: frozenset[str] = HIDDEN.get(str(node.get("object")), frozenset())
    shown: Object = {name: visible(value) for name, value in node.items() if name not in hidden}
    return shown


def open_to_pages(request: HttpRequest) -> bool:
    """Whether a page of any origin may make this call, or ask by a preflight whether it may."""
    if request.method == "OPTIONS":
        return _takes(request.headers.get("Access-Control-Request-Method", ""), request.path) is not None
    return is_publishable(request) and _takes(request.method or "", request.path) is not None


def preflight(request: HttpRequest) -> HttpResponse:
    if not open_to_pages(request):
        return HttpResponse(status=403)
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = request.headers["Access-Control-Request-Method"]
    response["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Idempotency-Key, Stripe-Version"
    response["Access-Control-Max-Age"] = "600"
    return response


def share(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Let the calling page read the answer. No cookie is ever part of it."""
    if open_to_pages(request):
        response["Access-Control-Allow-Origin"] = "*"
    return response
