"""Where a process may be made to die. Put around the product's functions from outside; it knows nothing of them.

A point is armed by a file of its name. The process that removes the file notes the hit and is killed by its own hand,
with nothing written, closed or rolled back: what `kill -9` in that line would do.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

EVENTS = ("event.before_insert", "event.after_insert", "event.after_200")
EFFECTS = ("effects.before", "effects.inside", "effects.after")
DELIVERIES = ("delivery.before", "delivery.inside", "delivery.after")
MAILS = ("mail.before_send", "mail.after_send")
POINTS = EVENTS + EFFECTS + DELIVERIES + MAILS
"""Besides these each kind of Stripe call has two, before and after it: `stripe.before.POST.refunds`."""

ERASURES = ("erasure.begun", "erasure.known", "erasure.trails")
"""On the way of forgetting a person; besides these one after each app's part: `erasure.orders`. See forgetting.py."""

DONE_TABLE = "storm_done"
"""A row for each event and delivery that was done, written in the same transaction: a second is a doubled effect."""

_ID = re.compile(r"/(?:[a-z]{2,5}_)+(?:test_)?[A-Za-z0-9]{8,}")
_folder = Path()


def stripe_points(calls: set[str]) -> list[str]:
    return [f"stripe.{when}.{call}" for call in sorted(calls) for when in ("before", "after")]


def reach(point: str) -> None:
    """Die here if the point is armed."""
    try:
        os.unlink(_folder / "armed" / point)
    except FileNotFoundError:
        return
    with (_folder / "hit" / point).open("ab", buffering=0) as hits:
        hits.write(b".")
    os.kill(os.getpid(), signal.SIGKILL)


def install(folder: str) -> None:
    global _folder
    _folder = Path(folder)
    _around_events()
    _around_effects()
    _around_deliveries()
    _around_mails()
    _around_stripe()
    _around_erasures()


def _replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(make(original)))


def _around(owner: Any, name: str, before: str = "", after: str = "") -> None:
    def make(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if before:
                reach(before)
            answer = original(*args, **kwargs)
            if after:
                reach(after)
            return answer

        return call

    _replace(owner, name, make)


def _around_events() -> None:
    from django.core.signals import request_finished, request_started

    from apps.payment.webhooks import inbox

    _around(inbox, "store", before="event.before_insert", after="event.after_insert")
    here = threading.local()

    def begun(sender: Any, environ: dict[str, Any] | None = None, **more: Any) -> None:
        here.webhook = environ is not None and "webhook" in environ.get("PATH_INFO", "")

    def answered(sender: Any, **more: Any) -> None:
        """gunicorn closes an answer, which sends this signal, once its last byte is handed over."""
        if getattr(here, "webhook", False):
            reach("event.after_200")

    request_started.connect(begun, weak=False, dispatch_uid="storm")
    request_finished.connect(answered, weak=False, dispatch_uid="storm")


def _around_effects() -> None:
    from apps.payment.webhooks import inbox

    def make(original: Any) -> Any:
        def finish(event: Any, state: str, reason: str) -> None:
            original(event, state, reason)
            _note_done(f"event {event.pk}")
            reach("effects.inside")

        return finish

    _replace(inbox, "_finish", make)
    _around(inbox, "_handle", before="effects.before", after="effects.after")


def _around_deliveries() -> None:
    from apps.outbox import services
    from apps.outbox.models import Delivery

    def make(original: Any) -> Any:
        def save(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            if self.state == Delivery.State.DONE:
                _note_done(f"delivery {self.pk}")
                reach("delivery.inside")

        return save

    _replace(Delivery, "save", make)
    _around(services, "deliver", before="delivery.before", after="delivery.after")


def _around_mails() -> None:
    from django.core.mail import EmailMultiAlternatives

    _around(EmailMultiAlternatives, "send", before="mail.before_send", after="mail.after_send")


def _around_stripe() -> None:
    import stripe

    seen: set[str] = set()

    def make(original: Any) -> Any:
        def request(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            call = f"{method.upper()}.{kind_of(url)}"
            if call not in seen:
                (_folder / "calls" / call).touch()
                seen.add(call)
            reach(f"stripe.before.{call}")
            answer = original(self, method, url, *args, **kwargs)
            reach(f"stripe.after.{call}")
            return answer

        return request

    _replace(stripe.RequestsClient, "request", make)


def _around_erasures() -> None:
    from apps.accounts.privacy import erasing
    from apps.accounts.privacy.holders import holders

    _around(erasing, "_begin", after="erasure.begun")
    _around(erasing, "forget_in_trails", before="erasure.known", after="erasure.trails")
    for place, holder in enumerate(holders):
        holders[place] = replace(holder, erase=_then_reach(holder.erase, f"erasure.{holder.name}"))


def _then_reach(erase: Callable[[Any], None], point: str) -> Callable[[Any], None]:
    def erase_and_reach(subject: Any) -> None:
        erase(subject)
        reach(point)

    return erase_and_reach


def kind_of(url: str) -> str:
    """`/v1/refunds/re_123` is a call of the kind `refunds.ID`."""
    return _ID.sub("/ID", urlsplit(url).path).removeprefix("/v1/").strip("/").replace("/", ".")


def _note_done(what: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {DONE_TABLE} (what) VALUES (%s)", [what])  # noqa: S608 - a constant
