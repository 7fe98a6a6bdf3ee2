"""The inbox: every event is stored once, and worked through until it is done, ignored or given up with a reason.

Deduplicated on done, not on received: an event whose handler failed runs again. The handler's effects and
`state = done` are one transaction.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from apps.accounts.privacy.names import of_erased, of_erased_in_sql
from apps.common import leases, rows, stopping
from apps.common.errors import DATABASE_AWAY
from apps.payment.gateway import StripeUnavailable
from apps.payment.models import StripeWebhookEvent
from apps.payment.services.settlement import UnknownPayment
from apps.payment.webhooks import setbacks
from apps.payment.webhooks.handlers import HANDLERS
from apps.payment.webhooks.handling import Ignored
from apps.payment.webhooks.snapshots import as_name, as_text, digestible, subject_of, trimmed
from apps.payment.webhooks.trimming import trim_for_forgotten, trimmed_columns

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)
BATCH = 20
ABOUT_PEOPLE = ("customer.", "payment_method.", "setup_intent.")
"""Types that tell of a person and of no money: once they are done, nobody needs what they told."""

BY_STRIPE_ID = f"""
    SELECT event.*, {of_erased_in_sql("event.about")} AS of_erased
    FROM {StripeWebhookEvent._meta.db_table} event WHERE event.stripe_id = %s
"""  # noqa: S608 - names of the models' own
"""What `_known_by_person` asks, of one event."""

State = StripeWebhookEvent.State


class LeaseLost(Exception):
    """The lease ended while the handler ran, and another process has the event now."""


_wake: Callable[[str], None] | None = None


def on_wake(function: Callable[[str], None]) -> None:
    """What happens right after an event is stored. Only the composition root calls this."""
    global _wake
    _wake = function


def store(event: Mapping[str, Any], *, sha256: str) -> str:
    """Commit an event unless it is stored already, in one statement. Returns Stripe's id of it.

    Of one that the shop does not act on, nothing is kept that tells of a person.
    """
    now = timezone.now()
    kind = str(event["type"])
    reason = ""
    if kind not in HANDLERS:
        reason = "not a type that the shop acts on"
    elif event["livemode"] != (settings.PAYMENT_ENV == "live"):
        reason = "of the other mode"
    row = StripeWebhookEvent(
        stripe_id=event["id"],
        type=kind,
        object_id=as_name(event["data"]["object"].get("id")),
        about=subject_of(event),
        api_version=as_name(event.get("api_version"), 40),
        livemode=event["livemode"],
        created=datetime.fromtimestamp(event["created"], tz=UTC),
        payload=as_text(trimmed(event) if reason else event),
        trimmed_at=now if reason else None,
        sha256=sha256,
        received_at=now,
        waiting_since=now,
        due_at=now,
        state=State.IGNORED if reason else State.DUE,
        reason=reason,
        done_at=now if reason else None,
    )
    rows.insert_unless_known([row])
    return row.stripe_id


def wake(stripe_id: str) -> None:
    """Have a stored event worked on soon. Never raises: the event is safe, and `work` finds it."""
    if _wake is None:
        return
    try:
        _wake(stripe_id)
    except Exception:
        logger.exception("wake_failed", extra={"stripe_event": stripe_id})


def try_at_once(stripe_id: str) -> None:
    """Work on an event in the request that stored it, waiting for nobody longer than two seconds."""
    with _short_waits():
        process(stripe_id, may_ask=False)


def process_due(limit: int = 100) -> int:
    """Work on what is due, oldest first, each event in its own transaction. Returns how many events were tried.

    Any number of processes may do so at once. While Stripe is away, events that need it do not delay the others.
    """
    waiting = _known_by_person(StripeWebhookEvent.objects.filter(state__in=StripeWebhookEvent.WAITING))
    tried, may_ask = 0, True
    while tried < limit and not stopping.asked():
        batch = leases.claim(waiting, lease=LEASE, limit=min(BATCH, limit - tried))
        if not batch:
            break
        for number, event in enumerate(batch):
            if stopping.asked() or leases.is_short(event):
                leases.give_back(batch[number:])
                break
            may_ask = _work_on(event, may_ask=may_ask)
            tried += 1
    return tried


def process(stripe_id: str, *, may_ask: bool = True) -> bool:
    """Claim one event and run its handler. Returns False when somebody else has it.

    Without `may_ask` an event whose object has to be fetched from Stripe stays due, for `work`.
    """
    event = _free(stripe_id)
    if event is None:
        return False
    _forget_person(event)
    if not may_ask and _needs_stripe(event):
        return False
    seen = {"id": event.pk, "state": event.state, "lease_until": event.lease_until, "attempts": event.attempts}
    event.lease_until, event.attempts = timezone.now() + LEASE, event.attempts + 1
    taken = {"lease_until": event.lease_until, "attempts": event.attempts}
    if not rows.change(StripeWebhookEvent, seen, taken):
        return False
    _work_on(event)
    return True


def _free(stripe_id: str) -> StripeWebhookEvent | None:
    """The event, if it is due and nobody's. In SQL, since every payment asks."""
    now = timezone.now()
    for event in StripeWebhookEvent.objects.raw(BY_STRIPE_ID, [stripe_id]):
        waits = event.state in StripeWebhookEvent.WAITING and event.due_at <= now
        return event if waits and (event.lease_until is None or event.lease_until < now) else None
    return None


def _known_by_person(events: QuerySet[StripeWebhookEvent]) -> QuerySet[StripeWebhookEvent]:
    """The same events, each with `of_erased`: whether it is about somebody who is forgotten."""
    return events.annotate(of_erased=of_erased("about"))


def _forget_person(event: StripeWebhookEvent) -> None:
    """A late event brings nothing back: before anybody reads it, all that tells of a forgotten person is gone."""
    if event.of_erased and event.trimmed_at is None:  # type: ignore[attr-defined]
        trim_for_forgotten(event)


def _work_on(event: StripeWebhookEvent, *, may_ask: bool = True) -> bool:
    """Run the handler of an event that is ours and keep what came of it. Returns whether Stripe answers, if asked.

    Every log line that is written meanwhile carries the event's id.
    """
    with bound_contextvars(stripe_event=event.stripe_id):
        return _try(event, may_ask=may_ask)


def _try(event: StripeWebhookEvent, *, may_ask: bool) -> bool:
    _forget_person(event)
    if event.attempts > setbacks.MAX_ATTEMPTS:
        setbacks.give_up_after_deaths(event)
        return may_ask
    if not may_ask and _needs_stripe(event):
        setbacks.wait_for_stripe(event)
        return False
    try:
        _handle(event)
    except LeaseLost:
        logger.warning("event_taken_over", extra={"type": event.type})
    except UnknownPayment as unknown:
        setbacks.park(event, str(unknown))
    except StripeUnavailable:
        setbacks.wait_for_stripe(event)
        return False
    except Exception:  # a handler may fail in any way; the row keeps the reason
        logger.warning("event_failed", extra={"type": event.type}, exc_info=True)
        setbacks.retry_later(event, traceback.format_exc())
    return may_ask


def _needs_stripe(event: StripeWebhookEvent) -> bool:
    """Whether its object has to be fetched. What cannot even be told goes to its handler, whose failure is kept."""
    try:
        return HANDLERS[event.type].needs_stripe(digestible(event.payload))
    except DATABASE_AWAY:
        raise  # the database is away: that is no fault of the event
    except Exception:
        return False


def _handle(event: StripeWebhookEvent) -> None:
    handler, told_event = HANDLERS[event.type], digestible(event.payload)
    asked_at = timezone.now()
    told = handler.ask(told_event) if handler.ask and handler.needs_stripe(told_event) else None
    with transaction.atomic(durable=True):
        outcome = handler.act(told_event, told, asked_at)
        if isinstance(outcome, Ignored):
            _finish(event, State.IGNORED, outcome.reason)
        else:
            _finish(event, State.DONE, "")


def replay(events: Any) -> int:
    """Make events that were given up, or wait, due now. Done ones stay done. Returns how many."""
    return int(
        events.filter(state__in=(*StripeWebhookEvent.WAITING, State.DEAD)).update(
            state=State.DUE, due_at=timezone.now(), lease_until=None, attempts=0, waiting_since=timezone.now()
        )
    )


def _finish(event: StripeWebhookEvent, state: str, reason: str) -> None:
    """In the transaction of the effects: whoever lost the lease meanwhile leaves no effect behind."""
    columns: dict[str, Any] = {"state": state, "reason": reason[:200], "done_at": timezone.now(), "lease_until": None}
    if state == State.IGNORED or event.type.startswith(ABOUT_PEOPLE):
        columns |= trimmed_columns(event)
    if not rows.change(StripeWebhookEvent, leases.mark_of(event), {**columns, "last_error": ""}):
        raise LeaseLost


@contextmanager
def _short_waits() -> Iterator[None]:
    """Give up on a locked row or database after a second or two instead of the usual patience."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1s'; SET statement_timeout = '2s'")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout; RESET statement_timeout")
        return
    with connection.cursor() as cursor:
        before = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute("PRAGMA busy_timeout = 1500")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {int(before)}")
