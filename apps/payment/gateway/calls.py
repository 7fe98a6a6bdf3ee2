"""How Stripe is called: one client, bounded waits, few callers at once, and what an error means to the shop."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import stripe
from django.conf import settings
from django.db import connection

from apps.common.errors import DomainError, Unavailable
from apps.payment.declines import sentence_for
from apps.payment.gateway.clock import note_date

logger = logging.getLogger(__name__)

CONNECT_SECONDS, READ_SECONDS = 2.0, 6.0
TRIES, TOTAL_SECONDS = 3, 10.0
CALLS_PER_SECOND = 8.0
"""How often an unhurried caller asks. Stripe takes 25 calls a second in test mode, and buyers want theirs too."""

_next_turn: ContextVar[float | None] = ContextVar("next_turn", default=None)


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


class StripeDeclined(DomainError):
    """The buyer's bank, or Stripe, will not take this payment method. The sentence is fit for the buyer."""

    status = 402
    code = "card_declined"

    def __init__(self, decline_code: str) -> None:
        self.decline_code = decline_code
        super().__init__(sentence_for(decline_code))


class CalledInsideTransaction(RuntimeError):
    """A fault in the shop: Stripe was to be called while a transaction was open."""


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
    patience = 0.0 if _next_turn.get() is None else TOTAL_SECONDS
    if not _waiting().acquire(timeout=patience):
        raise StripeUnavailable("Too many payments are being started at once. Try again.", retry_after=1)
    try:
        yield
    finally:
        _waiting().release()


@contextmanager
def unhurried() -> Iterator[None]:
    """What is called inside waits for its turn at Stripe's own address; a sandbox is asked as fast as it answers."""
    token = _next_turn.set(0.0)
    try:
        yield
    finally:
        _next_turn.reset(token)


def _await_turn() -> None:
    turn = _next_turn.get()
    if turn is None or settings.STRIPE_API_BASE:
        return
    now = time.monotonic()
    if turn > now:
        time.sleep(turn - now)
    _next_turn.set(max(turn, now) + 1 / CALLS_PER_SECOND)


def call_stripe(call: Callable[[stripe.StripeClient], Any]) -> Any:
    _refuse_inside_transaction()
    client = _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)
    deadline = time.monotonic() + TOTAL_SECONDS
    with _one_of_few():
        for attempt in range(1, TRIES + 1):
            _await_turn()
            try:
                told = call(client)
                note_date(told)
                return told
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
    if isinstance(error, stripe.CardError):
        logger.warning("stripe_declined", extra=facts)
        return StripeDeclined(getattr(error.error, "decline_code", None) or error.code or "")
    in_progress = isinstance(error, stripe.IdempotencyError) and error.http_status == 409
    if isinstance(error, stripe.InvalidRequestError | stripe.IdempotencyError) and not in_progress:
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
