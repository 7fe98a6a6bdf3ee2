"""What leaves for an error collector: neither people nor secrets."""

from __future__ import annotations

import builtins
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from proshop import sentry

sentry_sdk = pytest.importorskip("sentry_sdk")

DSN = "https://public@errors.example/1"
SECRETS = (
    "sk_test_abcdef",
    "whsec_abcdef",
    "pi_123_secret_456",
    "4242 4242 4242 4242",
    "buyer@example.com",
    "rk_live_abcdef",
)


class Kept(sentry_sdk.transport.Transport):
    """The network's edge: what would have been sent."""

    sent: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        Kept.sent += [json.loads(item.get_bytes()) for item in envelope.items if item.headers.get("type") == "event"]


@pytest.fixture
def collector() -> Iterator[list[Any]]:
    Kept.sent = []
    sentry_sdk.init(dsn=DSN, transport=Kept, **sentry.OPTIONS)
    yield Kept.sent
    sentry_sdk.init()


def test_no_secret_and_no_person_leaves_wherever_they_stand(collector: list[Any]) -> None:
    log = logging.getLogger("tests.sentry")
    buyer = SECRETS[4]
    for secret in SECRETS:
        log.warning("before %s", secret)
    try:
        raise ValueError(f"Stripe said {' '.join(SECRETS)}")
    except ValueError:
        log.exception("failed for %s", buyer, extra={"about": {"nested": [SECRETS[0]]}})
    (event,) = collector
    told = json.dumps(event)
    assert [secret for secret in SECRETS if secret in told] == []
    assert "ValueError" in told
    assert "[blanked]" in told
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert [frame for frame in frames if "vars" in frame] == []


def test_nothing_of_a_request_but_its_address_leaves(collector: list[Any]) -> None:
    sentry_sdk.capture_event(
        {
            "message": "x",
            "user": {"email": "buyer@example.com", "ip_address": "192.0.2.1"},
            "request": {
                "url": "https://shop.example/api/orders/?token=abc",
                "method": "POST",
                "data": {"name": "Ada"},
                "cookies": {"sessionid": "abc"},
                "headers": {"Authorization": "Token abc"},
                "env": {"REMOTE_ADDR": "192.0.2.1"},
                "query_string": "token=abc",
            },
        }
    )
    (event,) = collector
    assert event["request"] == {"url": "https://shop.example/api/orders/", "method": "POST"}
    assert "user" not in event


def test_dsn_without_the_library_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name == "sentry_sdk":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImproperlyConfigured, match=r"requirements/production\.txt"):
        sentry.start(DSN, "test")
