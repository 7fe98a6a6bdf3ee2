"""Limits as several processes count them, whatever a client says about where it comes from."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from apps.common.models import LimitCount
from apps.payment.models import StripeWebhookEvent
from tests.hostile.corpus import BODY, PATH, signed
from tests.hostile.servers import serving

pytestmark = pytest.mark.django_db(transaction=True)


def post(port: int, path: str, forwarded: str, body: bytes = b"{}", **headers: str) -> int:
    answer = requests.post(
        f"http://127.0.0.1:{port}{path}",
        data=body,
        headers={"X-Forwarded-For": forwarded, "Content-Type": "application/json", **headers},
        timeout=30,
    )
    if answer.status_code == 429:
        assert 0 < int(answer.headers["Retry-After"]) <= 3600
    return answer.status_code


def test_two_processes_count_as_one_and_forged_addresses_change_nothing() -> None:
    reset = b'{"email": "nobody@example.com"}'
    with serving(RATE_LIMITS="on", NUM_PROXIES="1", CHECKOUT_RATE="5/hour") as port, ThreadPoolExecutor(8) as crew:
        # The proxy wrote the last address; what stands before it is the client's own invention, new each time.
        forged = [f"198.51.100.{n}, 203.0.113.9" for n in range(30)]
        asked = Counter(crew.map(lambda chain: post(port, "/api/auth/password/reset/", chain, reset), forged))
        assert asked == {200: 10, 429: 20}
        bought = Counter(crew.map(lambda chain: post(port, "/api/payment/checkout/", chain), forged))
        assert bought == {400: 5, 429: 25}
        assert post(port, "/api/payment/checkout/", "198.51.100.1, 203.0.113.10") == 400
        # Stripe sends as much as it has to, and anybody may try: the signature decides.
        stripe = {"Stripe-Signature": signed(BODY)}
        delivered = Counter(crew.map(lambda chain: post(port, PATH, chain, BODY, **stripe), forged * 3))
        assert delivered == {200: 90}
        read = crew.map(
            lambda n: requests.get(f"http://127.0.0.1:{port}/api/products/", timeout=30).status_code, range(60)
        )
        assert Counter(read) == {200: 60}
    assert sorted(LimitCount.objects.values_list("n", flat=True)) == [1, 30, 30]
    assert StripeWebhookEvent.objects.count() == 1
