"""What should not be quiet: a Stripe that tells nothing, paid orders that nothing follows, a clock that is off."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.utils import timezone

from apps.outbox.models import Delivery
from apps.payment import gateway
from apps.payment.gateway import StripeRefused, StripeUnavailable, calls, clock
from apps.payment.models import Payment, StripeWebhookEvent
from apps.payment.services import watch
from tests.support.shop import Shop, Stripe, make_variant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(shop: Shop, stripe_sandbox: Stripe) -> Payment:
    shop.add(make_variant())
    assert shop.checkout().status_code == 201
    return Payment.objects.get()


def opened(minutes_ago: int) -> None:
    Payment.objects.update(created_at=timezone.now() - timedelta(minutes=minutes_ago))


def event(minutes_ago: int) -> None:
    at = timezone.now() - timedelta(minutes=minutes_ago)
    StripeWebhookEvent.objects.create(
        stripe_id=f"evt_{minutes_ago}",
        type="x",
        livemode=False,
        payload="{}",
        sha256="",
        created=at,
        received_at=at,
        waiting_since=at,
        due_at=at,
        state="ignored",
    )


@pytest.mark.parametrize(
    ("session_ago", "event_ago", "silent"),
    [
        (61, None, True),
        (59, None, False),  # it may still be on the page
        (61, 62, True),
        (61, 5, False),
        (1, 600, False),  # a quiet night, and the first buyer of the morning
        (60 * 25, None, False),  # long over, and said often enough
    ],
)
def test_silence_is_a_session_that_must_have_ended_and_no_event_since(
    session: Payment, session_ago: int, event_ago: int | None, silent: bool
) -> None:
    opened(session_ago)
    if event_ago is not None:
        event(event_ago)
    assert watch.told_nothing(watch.last_event_at()) is silent


def test_sessions_that_live_longer_are_waited_for(session: Payment, settings: Any) -> None:
    settings.CHECKOUT_HOLD_MINUTES = 240
    opened(200)
    assert not watch.told_nothing(None)
    opened(250)
    assert watch.told_nothing(None)


def test_silence_and_what_does_not_follow_a_payment_are_said_at_error(
    session: Payment, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        watch.watch_the_quiet()
    assert caplog.records == []
    opened(61)
    long_ago = timezone.now() - timedelta(minutes=11)
    for key, state, kind in (("1", "due", "order.paid"), ("2", "dead", "order.paid"), ("3", "done", "order.paid"),
                             ("4", "due", "order.shipped")):  # fmt: skip
        Delivery.objects.create(
            kind=kind, key=key, subscriber="y", payload="{}", state=state, due_at=long_ago, created_at=long_ago
        )
    with caplog.at_level(logging.ERROR):
        watch.watch_the_quiet()
    assert [record.message for record in caplog.records] == ["stripe_tells_nothing", "paid_not_fulfilled"]
    assert caplog.records[1].deliveries == 2


class Answers(BaseHTTPRequestHandler):
    """Stripe at the network's edge, with the headers that the test wants."""

    status = 200
    more: dict[str, str] = {}
    clock_ahead = 0.0
    calls = 0

    def do_GET(self) -> None:
        type(self).calls += 1
        kind = "api_error" if self.status >= 500 else "invalid_request_error"
        body = b'{"id": "cs_test_1", "object": "checkout.session", "status": "open", "payment_status": "unpaid"}'
        if self.status != 200:
            body = b'{"error": {"type": "%s", "message": "no"}}' % kind.encode()
        self.send_response_only(self.status)
        self.send_header("Date", formatdate(timezone.now().timestamp() - self.clock_ahead, usegmt=True))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def stripe_says(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Answers]]:
    class Here(Answers):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(calls.time, "sleep", lambda seconds: None)
        monkeypatch.setattr(clock, "_said_at", float("-inf"))
        yield Here
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "should_retry", "tries"),
    [
        (500, None, 3),
        (500, "false", 1),
        (500, "true", 3),
        (400, None, 1),
        (400, "true", 3),
        (429, "false", 1),
        (409, None, 3),
        (409, "false", 1),
    ],
)
def test_what_stripe_says_about_trying_again_is_obeyed(
    stripe_says: type[Answers], status: int, should_retry: str | None, tries: int
) -> None:
    stripe_says.status = status
    stripe_says.more = {"Stripe-Should-Retry": should_retry} if should_retry else {}
    with pytest.raises(StripeRefused if status == 400 else StripeUnavailable):
        gateway.retrieve_checkout_session("cs_test_1")
    assert stripe_says.calls == tries


@pytest.mark.parametrize(("ahead", "said"), [(0, []), (8, []), (-8, []), (120, [120]), (-120, [-120])])
def test_clock_that_is_off_is_seen_from_stripes_date_and_said_once(
    stripe_says: type[Answers], ahead: int, said: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    stripe_says.clock_ahead = ahead
    for _ in range(3):
        calls.call_stripe(lambda client: client.v1.checkout.sessions.retrieve("cs_test_1"))
    found = [record.seconds_ahead_of_stripe for record in caplog.records if record.message == "clock_skew"]
    assert len(found) == len(said)
    assert all(abs(one - other) <= 2 for one, other in zip(found, said, strict=True))


def test_answer_without_a_readable_date_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Odd:
        class last_response:
            headers = {"Date": "yesterday"}

    for answer in (Odd(), object(), None):
        clock.note_date(answer)
    assert caplog.records == []
