"""Counts that hold across processes, and whom they count as one."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import RequestFactory

from apps.common import limits
from apps.common.client import address, network
from apps.common.errors import TooManyRequests
from apps.common.models import LimitCount
from tests.support.shop import in_parallel

NOON = 1_800_000_000.0


@pytest.fixture
def clock(settings: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Limits on, and a clock that a test can move."""
    settings.RATE_LIMITS = True
    clock = SimpleNamespace(now=NOON)
    monkeypatch.setattr(limits, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


@pytest.mark.parametrize(
    ("rate", "parsed"),
    [("1/second", (1, 1)), ("30/minute", (30, 60)), ("30/hour", (30, 3600)), (" 5/day ", (5, 86_400))],
)
def test_rates(rate: str, parsed: tuple[int, int]) -> None:
    assert limits.parse_rate(rate) == parsed


@pytest.mark.parametrize("rate", ["", "30", "30/h", "/hour", "-1/hour", "30/hours", "1.5/hour", "30/hour/day"])
def test_odd_rates_are_refused(rate: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        limits.parse_rate(rate)


@pytest.mark.django_db
def test_window_ends_and_a_new_one_begins(clock: SimpleNamespace) -> None:
    for _ in range(3):
        limits.enforce("x", "me", "3/minute")
    clock.now = NOON + 59
    with pytest.raises(TooManyRequests) as refused:
        limits.enforce("x", "me", "3/minute")
    assert refused.value.headers == {"Retry-After": "2"}
    clock.now = NOON + 60
    limits.enforce("x", "me", "3/minute")
    assert list(LimitCount.objects.order_by("key").values_list("n", flat=True)) == [4, 1]


@pytest.mark.django_db
def test_names_and_clients_are_counted_apart(clock: SimpleNamespace) -> None:
    limits.enforce("x", "me", "1/minute")
    limits.enforce("y", "me", "1/minute")
    limits.enforce("x", "you", "1/minute")
    with pytest.raises(TooManyRequests):
        limits.enforce("x", "me", "1/minute")


@pytest.mark.django_db
def test_counts_of_windows_that_are_over_are_removed(clock: SimpleNamespace) -> None:
    limits.enforce("x", "me", "1/minute")
    LimitCount.objects.create(key="old", expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert limits.forget_expired() == 1
    assert LimitCount.objects.get().expires_at == datetime.fromtimestamp(NOON + 60, tz=UTC)


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_forty_uses_at_once_are_counted_one_by_one(clock: SimpleNamespace) -> None:
    results = in_parallel([lambda: limits.enforce("x", "me", "10/hour") for _ in range(40)], threads=8)
    refused = [result for result in results if isinstance(result, TooManyRequests)]
    assert (len(refused), results.count(None)) == (30, 10)
    assert LimitCount.objects.get().n == 40


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        (2, "1.1.1.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "10.0.0.1", "10.0.0.1"),
        (1, " , ,", "192.0.2.1"),
    ],
)
def test_address_is_believed_only_as_far_as_our_proxies_wrote_it(
    settings: Any, proxies: int, forwarded: str, found: str
) -> None:
    settings.NUM_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": forwarded})
    assert address(request) == found


@pytest.mark.parametrize(
    ("remote", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_what_counts_as_one_client(remote: str, counted: str) -> None:
    assert network(RequestFactory().get("/", REMOTE_ADDR=remote)) == counted
