"""The only module that imports `stripe`.

Out come frozen dataclasses, in go our own idempotency keys. Every call is bounded: 2 s to connect, 6 s to read, three
tries with jitter within 10 s. No call is made while a transaction is open: a lock would be held for as long as
Stripe takes, and a rollback would forget what Stripe has done.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import stripe
from django.conf import settings
from django.db import connection

from apps.common.errors import DomainError, Unavailable

logger = logging.getLogger(__name__)

CONNECT_SECONDS, READ_SECONDS = 2.0, 6.0
TRIES, TOTAL_SECONDS = 3, 10.0
SIGNATURE_TOLERANCE = 300
"""Seconds that a webhook's timestamp may lie in the past or in the future."""


@cache
def _waiting() -> threading.BoundedSemaphore:
    """At most half of a process's threads wait for Stripe, so that a Stripe that hangs leaves the rest to serve."""
    return threading.BoundedSemaphore(settings.STRIPE_CALLS_AT_ONCE)


class StripeUnavailable(Unavailable):
    """Nothing is known about the outcome: repeat with the same idempotency key."""

    code = "payment_provider_unavailable"
    message = "The payment provider cannot be reached. Nothing was charged; try again shortly."


class StripeReplayedFailure(StripeUnavailable):
    """Stripe answers the same 5xx for this key for 24 hours: look the object up, then use a new key."""


class StripeRefused(DomainError):
    """Stripe understood the request and will not do it; repeating it changes nothing."""

    status = 400
    code = "payment_refused"
    message = "The payment provider refused this request."

    def __init__(self, message: str, *, code: str = "", param: str = "", http_status: int = 400) -> None:
        self.stripe_code, self.param, self.http_status = code, param, http_status
        known = code if code in ("amount_too_small", "amount_too_large") else None
        super().__init__(message if known else None, code=known)


class CalledInsideTransaction(RuntimeError):
    """A fault in the shop: Stripe was to be called while a transaction was open."""


class BadSignature(Exception):
    """The bytes were not signed by Stripe with one of our secrets, or too long ago, or in the future."""


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """What the shop needs of a Checkout Session. `amount` is in minor units, `currency` in upper case."""

    id: str
    url: str
    status: str
    payment_status: str
    amount: int
    currency: str
    reference: str
    payment_intent_id: str
    livemode: bool
    email: str
    shipping_address: dict[str, str] | None
    expires_at: datetime

    @property
    def is_paid(self) -> bool:
        return self.status == "complete" and self.payment_status in ("paid", "no_payment_required")


def create_checkout_session(params: Mapping[str, Any], *, idempotency_key: str) -> CheckoutSession:
    """Create a session, or get the one that this key created before. Raises StripeUnavailable, StripeRefused."""
    return _session(
        _call(lambda c: c.v1.checkout.sessions.create(dict(params), {"idempotency_key": idempotency_key}))  # type: ignore[arg-type]
    )


def retrieve_checkout_session(session_id: str) -> CheckoutSession:
    return _session(_call(lambda c: c.v1.checkout.sessions.retrieve(session_id)))


def close_checkout_session(session_id: str) -> CheckoutSession:
    """Expire a session if it is still open, and tell its state after that: expired, or complete."""
    try:
        return _session(_call(lambda c: c.v1.checkout.sessions.expire(session_id)))
    except StripeRefused:
        return retrieve_checkout_session(session_id)  # not open any more


def find_checkout_session(*, reference: str, created_after: datetime) -> CheckoutSession | None:
    """Look for the session of one of our references, for when no answer about its creation ever came."""
    cursor: dict[str, Any] = {}
    while True:
        params = {"created": {"gte": int(created_after.timestamp())}, "limit": 100, **cursor}
        page = _call(lambda c, p=params: c.v1.checkout.sessions.list(p))  # type: ignore[misc]
        for found in page.data:
            if found.client_reference_id == reference:
                return _session(found)
        if not page.has_more:
            return None
        cursor = {"starting_after": page.data[-1].id}


def verify_signature(payload: bytes, header: str) -> None:
    """Raises BadSignature unless one of our secrets signed these bytes within five minutes of now.

    The library bounds the age alone; a timestamp ahead of the clock is refused here.
    """
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    try:
        timestamp = int(parts["t"])
    except (KeyError, ValueError):
        raise BadSignature("The header carries no timestamp.") from None
    if timestamp > time.time() + SIGNATURE_TOLERANCE:
        raise BadSignature("The timestamp is in the future.")
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            stripe.WebhookSignature.verify_header(payload, header, secret, SIGNATURE_TOLERANCE)
        except (stripe.SignatureVerificationError, ValueError, TypeError):
            continue
        return
    raise BadSignature("No secret fits.")


@cache
def _client(key: str, base: str) -> stripe.StripeClient:
    stripe.enable_telemetry = False
    addresses: Any = {"api": base, "files": base} if base else {}
    return stripe.StripeClient(
        key,
        base_addresses=addresses,
        stripe_version=settings.STRIPE_API_VERSION,
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS)),
    )


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _waiting().acquire(blocking=False):
        raise StripeUnavailable("Too many payments are being started at once. Try again.", retry_after=1)
    try:
        yield
    finally:
        _waiting().release()


def _call(call: Callable[[stripe.StripeClient], Any]) -> Any:
    _refuse_inside_transaction()
    client = _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)
    deadline = time.monotonic() + TOTAL_SECONDS
    with _one_of_few():
        for attempt in range(1, TRIES + 1):
            try:
                return call(client)
            except stripe.StripeError as error:
                failure = _translate(error)
                pause = random.uniform(0.2, 0.6) * 2 ** (attempt - 1)  # noqa: S311 - jitter
                late = time.monotonic() + pause + READ_SECONDS > deadline and attempt > 1
                if not _worth_repeating(error, failure) or attempt == TRIES or late:
                    raise failure from error
                time.sleep(pause)
    raise AssertionError("unreachable")


def _worth_repeating(error: stripe.StripeError, failure: DomainError) -> bool:
    should = (error.headers or {}).get("Stripe-Should-Retry")
    if should in ("true", "false"):
        return should == "true"
    return type(failure) is StripeUnavailable and not isinstance(
        error, stripe.AuthenticationError | stripe.PermissionError
    )


def _translate(error: stripe.StripeError) -> DomainError:
    """The few kinds of failure that the shop acts upon. Only Stripe's request id and code are logged."""
    facts = {"request_id": error.request_id, "http_status": error.http_status, "stripe_code": error.code}
    if isinstance(error, stripe.CardError | stripe.InvalidRequestError | stripe.IdempotencyError):
        logger.warning("stripe_refused", extra=facts)
        return StripeRefused(
            error.user_message or "The payment provider refused this request.",
            code=error.code or "",
            param=getattr(error, "param", None) or "",
            http_status=error.http_status or 400,
        )
    logger.error("stripe_unavailable", extra={**facts, "kind": type(error).__name__})
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if (error.http_status or 0) >= 500 and headers.get("idempotent-replayed") == "true":
        return StripeReplayedFailure()
    return StripeUnavailable()


def _refuse_inside_transaction() -> None:
    blocks = connection.atomic_blocks
    # Django marks the transaction that a TestCase wraps around a test; it is nobody's lock.
    if blocks and not getattr(blocks[-1], "_from_testcase", False):
        raise CalledInsideTransaction("Commit before calling Stripe.")


def _session(found: Any) -> CheckoutSession:
    return session_from_snapshot(found.to_dict(recursive=True, for_json=False))


def session_from_snapshot(data: Mapping[str, Any]) -> CheckoutSession:
    """A session as the API or a signed event shows it. Raises KeyError, TypeError or ValueError for anything else."""
    customer = data.get("customer_details") or {}
    collected = data.get("collected_information") or {}
    return CheckoutSession(
        id=str(data["id"]),
        url=data.get("url") or "",
        status=str(data["status"]),
        payment_status=str(data["payment_status"]),
        amount=int(data["amount_total"] or 0),
        currency=str(data["currency"]).upper(),
        reference=data.get("client_reference_id") or "",
        payment_intent_id=id_of(data.get("payment_intent")),
        livemode=bool(data["livemode"]),
        email=_email(customer.get("email") or data.get("customer_email")),
        shipping_address=_address(collected.get("shipping_details") or data.get("shipping_details")),
        expires_at=datetime.fromtimestamp(int(data["expires_at"]), tz=UTC),
    )


def id_of(value: Any) -> str:
    """The id of a field that holds an id, an expanded object or nothing."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def _email(value: Any) -> str:
    """Stripe takes 512 characters, the shop 254."""
    return value if isinstance(value, str) and len(value) <= 254 else ""


def _address(details: Any) -> dict[str, str] | None:
    if not isinstance(details, Mapping) or not isinstance(details.get("address"), Mapping):
        return None
    address = details["address"]
    fields = ("line1", "line2", "city", "state", "postal_code", "country")
    return {"name": str(details.get("name") or ""), **{name: str(address.get(name) or "") for name in fields}}
