"""What a shop writes down while it is used and attacked: JSON, with the ids to follow it by, and no secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import Client

from apps.common.logs import json_formatter
from apps.payment.models import StripeWebhookEvent
from tests.hostile.corpus import REQUESTS, Hostile
from tests.support.sandbox import SECRET_KEY, WEBHOOK_SECRET
from tests.support.shop import Shop, Stripe, deliver, make_variant, work

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "canary battery staple 77"
EMAIL = "canary.person@example.com"
NAME = "Canary Person"
CARD = "4242 4242 4242 4242"
IN_A_FAULT = ("sk_live_51CanaryCanary", "rk_test_CanaryKey", "whsec_CanaryHook", "pi_1Canary_secret_abc", CARD, EMAIL)


@contextmanager
def written() -> Iterator[list[dict[str, Any]]]:
    """The lines of everything from INFO on, as production writes them."""
    told, lines = io.StringIO(), []
    handler = logging.StreamHandler(told)
    handler.setFormatter(json_formatter())
    root = logging.getLogger()
    before, level = root.handlers, root.level
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.handlers = before
        root.setLevel(level)
    lines += [json.loads(line) for line in told.getvalue().splitlines()]


def use_the_shop(stripe: Stripe) -> set[str]:
    """A person registers, buys and pays; the secrets that were handed out meanwhile."""
    account = {"email": EMAIL, "password": PASSWORD, "name": NAME}
    browser = Shop()
    signed_up = browser.post("/api/auth/register/", account).json()
    signed_in = browser.post("/api/auth/login/", {"email": EMAIL, "password": PASSWORD}).json()
    browser.post("/api/auth/login/", {"email": EMAIL, "password": "canary wrong password"})
    guest = Shop()
    guest.add(make_variant())
    bought = guest.checkout(email=EMAIL).json()
    stripe.pay(bought["session_id"])
    stripe.digest()
    guest.get(f"/api/orders/{bought['order_number']}/?email={EMAIL}", **{"X-Order-Token": bought["order_token"]})
    person = {"Authorization": f"Token {signed_in['token']}"}
    secret = browser.post("/api/payment/methods/setup/", **person).json()["client_secret"]
    work()
    handed_out = {signed_up["token"], signed_in["token"], guest.cart_token, bought["order_token"], secret}
    assert len(handed_out) == 5
    assert "" not in handed_out
    return handed_out | {guest.client.cookies["sessionid"].value}


def attack_the_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ValueError(f"Stripe said {' '.join(IN_A_FAULT)}")

    monkeypatch.setattr("apps.catalog.views.products", fail)
    answer = Client(raise_request_exception=False).get(f"/api/products/?search={EMAIL}")
    assert answer.status_code == 500
    poison = {"id": " ".join(IN_A_FAULT), "client_reference_id": "pp_x", "status": NAME}
    event = {"id": "evt_poison", "object": "event", "type": "checkout.session.completed", "livemode": False}
    assert deliver(event | {"created": 1_790_000_000, "data": {"object": poison}}).status_code == 200
    assert StripeWebhookEvent.objects.get(stripe_id="evt_poison").attempts == 1
    refused: Hostile = next(each for each in REQUESTS if each.name == "somebody else's")
    headers = {"Stripe-Signature": refused.signature or ""}
    Client().post("/api/payment/webhook/", refused.body, content_type="application/json", headers=headers)


def test_no_secret_and_nobody_is_written_down(stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch) -> None:
    with written() as lines:
        handed_out = use_the_shop(stripe_sandbox)
        attack_the_shop(monkeypatch)
    text = json.dumps(lines, ensure_ascii=False)
    secrets = {*handed_out, *IN_A_FAULT, PASSWORD, NAME, EMAIL, SECRET_KEY, WEBHOOK_SECRET, "canary wrong password"}
    assert [secret for secret in secrets if secret in text] == []
    assert "canary" not in text.lower().replace("[blanked]", "")
    assert {line["event"] for line in lines} >= {
        "request_started",
        "request_finished",
        "event_failed",
        "webhook_refused",
    }


def test_lines_can_be_followed_by_request_and_by_event(stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch) -> None:
    with written() as lines:
        attack_the_shop(monkeypatch)
    by_request: dict[str, list[str]] = {}
    for line in lines:
        assert {"event", "level", "logger", "timestamp"} <= line.keys()
        by_request.setdefault(line.get("request_id", ""), []).append(line["event"])
    failed = next(line for line in lines if line["event"] == "event_failed")
    assert failed["stripe_event"] == "evt_poison"
    assert "KeyError" in failed["exception"]
    assert "request_finished" in by_request[failed["request_id"]]
    refused = next(line for line in lines if line["event"] == "webhook_refused")
    assert (refused["request_id"] != failed["request_id"], refused["reason"]) == (True, "No secret fits.")
    assert "ValueError" in next(line["exception"] for line in lines if "products" in line.get("exception", ""))
