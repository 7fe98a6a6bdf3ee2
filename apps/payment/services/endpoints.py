"""The webhook endpoint at Stripe: making it what the shop needs, and finding out where it is not."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from apps.payment import gateway
from apps.payment.gateway import ListedEvent, StripeRefused, StripeUnavailable, WebhookEndpoint
from apps.payment.models import CheckRun, StripeWebhookEvent, StripeWebhookSecret
from apps.payment.services import check_runs
from apps.payment.webhooks.handlers import HANDLERS

PATH = "/api/payment/webhook/"
LOOK_BACK = timedelta(days=30)
"""As far as Stripe lists events."""

GRACE = timedelta(minutes=1)
"""An event this young may still be on its way."""

ALL_TYPES = "*"


EVERY = timedelta(hours=1)
"""How often the shop looks at its endpoint by itself."""


class UnfitAddress(ValueError):
    """Stripe cannot, or must not, send events to this address."""


@dataclass(frozen=True, slots=True)
class Ensured:
    """What became of the endpoint. `beside` are others that send to the same address, `before` is how it was."""

    endpoint: WebhookEndpoint
    action: str
    beside: list[WebhookEndpoint]
    before: WebhookEndpoint | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing at Stripe that is not as the shop needs it."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Events that Stripe could not deliver. `missing` of them did not come here in another way either."""

    count: int
    oldest: datetime | None
    missing: int


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A webhook secret by its fingerprint: whether it is set, and when it verified an event."""

    fingerprint: str
    configured: bool
    first_seen_at: datetime | None
    last_verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    """What `check` found. Without an endpoint, events are still counted."""

    url: str
    endpoint: WebhookEndpoint | None
    drift: list[Drift]
    last_received_at: datetime | None
    undelivered: Undelivered
    secrets: list[SecretUse]


def own_address() -> str:
    return f"{settings.PUBLIC_URL}{PATH}"


def wanted_types() -> list[str]:
    """Exactly the events that the shop acts upon."""
    return sorted(HANDLERS)


def ensure_endpoint(url: str) -> Ensured:
    """Have one endpoint send exactly the wanted types to `url`, in the pinned version. Again, it changes nothing.

    An endpoint's version cannot be changed, so one of another version stays beside a new one; nothing is ever deleted.
    Raises UnfitAddress, StripeRefused, StripeUnavailable.
    """
    _refuse_unfit(url)
    present = _at(url)
    endpoint = before = _fitting(present)
    if endpoint is None:
        endpoint, action = _create(url), "created"
    elif not endpoint.enabled or list(endpoint.types) != wanted_types():
        endpoint, action = gateway.update_webhook_endpoint(endpoint.id, types=wanted_types()), "updated"
    else:
        action = "unchanged"
    return Ensured(endpoint, action, [other for other in present if other.id != endpoint.id], before)


def check_endpoint(url: str) -> Report:
    """Compare what Stripe does with what the shop needs. Changes nothing. Raises StripeUnavailable, StripeRefused."""
    now = timezone.now()
    present = _at(url)
    endpoint = _fitting(present) or next(iter(present), None)
    drift = [Drift("endpoint_missing", f"No endpoint at Stripe sends to {url}.")] if endpoint is None else []
    undelivered = _undelivered(now)
    if endpoint is not None:
        drift += _drift_of(endpoint)
        drift += [
            Drift("endpoint_surplus", f"{other.id} sends to the same address.")
            for other in present
            if other.id != endpoint.id and other.enabled
        ]
        drift += _drift_of_newest(endpoint, now)
    if undelivered.missing:
        drift.append(
            Drift("events_missing", f"{undelivered.missing} events could not be delivered and have not come since.")
        )
    received = StripeWebhookEvent.objects.order_by("-received_at").values_list("received_at", flat=True).first()
    return Report(url, endpoint, drift, received, undelivered, secrets_in_use())


def check_if_due() -> int:
    """Look at the shop's own endpoint once an hour and keep what was found. Returns how many things have drifted."""
    if not check_runs.is_due(CheckRun.Kind.ENDPOINT, every=EVERY):
        return 0
    try:
        return len(check_and_keep().drift)
    except (check_runs.AlreadyRunning, StripeUnavailable, StripeRefused):
        return 0


def check_and_keep() -> Report:
    """Look at the shop's own endpoint now and keep what was found, also that Stripe did not tell.

    Raises AlreadyRunning, StripeUnavailable, StripeRefused.
    """
    run = check_runs.begin(CheckRun.Kind.ENDPOINT)
    summary: dict[str, Any] = {"cut_off": "It failed; the log says why."}
    ok = False
    try:
        report = check_endpoint(own_address())
        summary = {
            "url": report.url,
            "drift": [asdict(each) for each in report.drift],
            "undelivered": report.undelivered.count,
        }
        ok = not report.drift
    except StripeUnavailable:
        summary = {"cut_off": "Stripe could not be reached."}
        raise
    except StripeRefused:
        summary = {"cut_off": "Stripe does not let this key read webhook endpoints."}
        raise
    finally:
        check_runs.finish(run, ok=ok, summary=summary)
    return report


def _refuse_unfit(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnfitAddress(f"{url} is no http:// or https:// address.")
    if settings.PAYMENT_ENV == "live" and parts.scheme != "https":
        raise UnfitAddress(f"{url} is not https://: with live keys, events are sent encrypted only.")


def _at(url: str) -> list[WebhookEndpoint]:
    """The endpoints that send to this address: enabled first, newest first."""
    found = [each for each in gateway.list_webhook_endpoints() if _place(each.url) == _place(url)]
    return sorted(found, key=lambda each: (each.enabled, each.created), reverse=True)


def _place(url: str) -> str:
    """An address without what makes no difference: its last slash, and by which name a machine calls itself."""
    return url.rstrip("/").replace("//127.0.0.1", "//localhost", 1)


def _fitting(present: Iterable[WebhookEndpoint]) -> WebhookEndpoint | None:
    return next((each for each in present if each.api_version == settings.STRIPE_API_VERSION), None)


def _create(url: str) -> WebhookEndpoint:
    # A key of this run alone: it makes a lost answer repeatable, and an endpoint that was deleted since comes new.
    return gateway.create_webhook_endpoint(
        url=url,
        api_version=settings.STRIPE_API_VERSION,
        types=wanted_types(),
        description="Proshop",
        idempotency_key=f"proshop-endpoint-{secrets.token_hex(16)}",
    )


def _drift_of(endpoint: WebhookEndpoint) -> Iterator[Drift]:
    if not endpoint.enabled:
        yield Drift("endpoint_disabled", f"{endpoint.id} is disabled.")
    if endpoint.api_version != settings.STRIPE_API_VERSION:
        told = endpoint.api_version or "the account's own version"
        yield Drift("api_version", f"{endpoint.id} speaks {told}, the shop {settings.STRIPE_API_VERSION}.")
    if endpoint.livemode != (settings.PAYMENT_ENV == "live"):
        mode = "live" if endpoint.livemode else "test"
        yield Drift("mode_mismatch", f"{endpoint.id} is of {mode} mode, PAYMENT_ENV is {settings.PAYMENT_ENV}.")
    sent, wanted = set(endpoint.types), set(wanted_types())
    missing = [] if ALL_TYPES in sent else sorted(wanted - sent)
    if missing:
        yield Drift("types_missing", f"{endpoint.id} does not send {', '.join(missing)}.")
    if sent - wanted:
        yield Drift("types_superfluous", f"{endpoint.id} sends what nobody reads: {', '.join(sorted(sent - wanted))}.")


def _drift_of_newest(endpoint: WebhookEndpoint, now: datetime) -> Iterator[Drift]:
    """Whether the newest event that this endpoint should have sent is here. A quiet shop is no drift."""
    newest = gateway.newest_event(wanted_types(), created_after=max(endpoint.created, now - LOOK_BACK))
    if newest is not None and newest.created < now - GRACE and _not_here([newest]):
        yield Drift(
            "last_event_missing",
            f"Stripe's newest event {newest.id} of {newest.created:%Y-%m-%d %H:%M} UTC is not here.",
        )


def _undelivered(now: datetime) -> Undelivered:
    events = [
        event
        for event in gateway.undelivered_events(wanted_types(), created_after=now - LOOK_BACK)
        if event.created < now - GRACE
    ]
    return Undelivered(len(events), min((event.created for event in events), default=None), _not_here(events))


def _not_here(events: list[ListedEvent]) -> int:
    """How many of these events are not stored."""
    missing = 0
    for start in range(0, len(events), 500):
        ids = [event.id for event in events[start : start + 500]]
        missing += len(ids) - StripeWebhookEvent.objects.filter(stripe_id__in=ids).count()
    return missing


def secrets_in_use() -> list[SecretUse]:
    """The secrets that are set, in their order, then those that verified once and are not set any more."""
    seen = {row.fingerprint: row for row in StripeWebhookSecret.objects.all()}
    configured = [gateway.secret_fingerprint(secret) for secret in settings.STRIPE_WEBHOOK_SECRETS]
    uses = []
    for fingerprint in dict.fromkeys([*configured, *seen]):
        row = seen.get(fingerprint)
        uses.append(
            SecretUse(
                fingerprint=fingerprint,
                configured=fingerprint in configured,
                first_seen_at=row.first_seen_at if row else None,
                last_verified_at=row.last_verified_at if row else None,
            )
        )
    return uses
