"""Any bytes with any headers: 200, 400, 413 or 503, and nothing is stored unless Stripe signed it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import stripe
from django.db import OperationalError
from django.test import Client

from apps.orders.models import Order
from apps.payment.models import StripeWebhookEvent
from apps.payment.webhooks import inbox, setbacks
from apps.payment.webhooks.handling import FOREIGN, of_snapshot
from tests.support.sandbox import WEBHOOK_SECRET
from tests.support.shop import Shop, Stripe, deliver, make_variant, sign

PATH = "/api/payment/webhook/"
pytestmark = pytest.mark.django_db(transaction=True)


def event(**changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "type": "customer.created",
        "api_version": "2026-10-28.endive",
        "livemode": False,
        "created": 1_790_000_000,
        "data": {"object": {"id": "cus_1", "object": "customer"}},
    } | changes


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else []


def post(payload: bytes, header: str | None, path: str = PATH) -> Any:
    headers = {} if header is None else {"Stripe-Signature": header}
    return Client().post(path, payload, content_type="application/json", headers=headers)


def signed_at(payload: bytes, moment: int) -> str:
    return stripe.WebhookSignature.generate_signature_header(payload.decode(), WEBHOOK_SECRET, timestamp=moment)


def test_signed_event_is_stored_once_and_acknowledged() -> None:
    assert deliver(event()).json() == {"received": True}
    assert deliver(event()).status_code == 200
    stored = StripeWebhookEvent.objects.get()
    assert (stored.stripe_id, stored.state, stored.object_id) == ("evt_1", "ignored", "cus_1")
    assert len(stored.sha256) == 64


@pytest.mark.parametrize(
    "path",
    [
        "/api/payment/webhook",
        "/api/payment/webhook/",
        "/api/payments/webhook/",
        "/api/payments/webhook",
        "/api/payments/webhook/stripe/",
        "/api/payments/webhook/stripe",
        "/api/stripe/webhook/",
        "/api/v1/payments/webhook/",
    ],
)
def test_every_address_that_stripe_may_know_answers_without_a_redirect(path: str) -> None:
    assert deliver(event(), path).status_code == 200


def test_the_older_secret_still_verifies_while_one_is_rolled() -> None:
    payload, header = sign(event(), "whsec_tests_previous")
    assert post(payload, header).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1",
        "t=,v1=",
        "t=abc,v1=def",
        "v1=abc",
        "t=99999999999999999999999,v1=00",
        "t=-1,v1=00",
        "t=1,v1=\u00e9\u00e9",
        "t=" + "9" * 5000 + ",v1=0",
        ",,,,====",
        "t=1,v0=abc",
    ],
)
def test_unsigned_bytes_are_refused_and_not_stored(header: str | None) -> None:
    answer = post(json.dumps(event()).encode(), header)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")
    assert StripeWebhookEvent.objects.count() == 0


def test_wrong_secret_and_changed_body_are_refused() -> None:
    payload, header = sign(event(), "whsec_somebody_else")
    assert post(payload, header).status_code == 400
    payload, header = sign(event())
    assert post(payload + b" ", header).status_code == 400
    assert StripeWebhookEvent.objects.count() == 0


@pytest.mark.parametrize("skew", [-301, 301, 3600])
def test_timestamp_far_from_now_is_refused_both_ways(skew: int) -> None:
    payload = json.dumps(event()).encode()
    assert post(payload, signed_at(payload, int(time.time()) + skew)).status_code == 400


@pytest.mark.parametrize("skew", [-290, 290])
def test_timestamp_near_now_is_accepted_both_ways(skew: int) -> None:
    payload = json.dumps(event()).encode()
    assert post(payload, signed_at(payload, int(time.time()) + skew)).status_code == 200


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'"x"',
        b"1",
        b"{",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        json.dumps(event(object="v2.core.event")).encode(),
        json.dumps({k: v for k, v in event().items() if k != "id"}).encode(),
        json.dumps(event(id="")).encode(),
        json.dumps(event(id="e" * 256)).encode(),
        json.dumps(event(id=7)).encode(),
        json.dumps(event(id="evt_\u0000")).encode(),
        json.dumps(event(type=None)).encode(),
        json.dumps(event(livemode="false")).encode(),
        json.dumps(event(created=-1)).encode(),
        json.dumps(event(created=10**12)).encode(),
        json.dumps(event(created=1.5)).encode(),
        json.dumps(event(data=None)).encode(),
        json.dumps(event(data={"object": []})).encode(),
        json.dumps(event(data={"object": {"id": "cus_1", "more": nested(97)}})).encode(),
        json.dumps(event(more=nested(900))).encode(),
    ],
)
def test_signed_bytes_that_are_no_snapshot_event_are_refused(payload: bytes) -> None:
    payload, header = sign(payload)
    answer = post(payload, header)
    assert (answer.status_code, answer.json()["code"]) == (400, "unsupported_event")
    assert StripeWebhookEvent.objects.count() == 0


def test_bytes_that_are_not_utf8_are_refused() -> None:
    assert post(b"\xff\xfe{}", "t=1,v1=00").status_code == 400


def test_a_body_over_one_mebibyte_is_refused_before_anything_else() -> None:
    answer = post(b"x" * (1024 * 1024 + 1), "t=1,v1=00")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_only_post_is_known() -> None:
    answer = Client().get(PATH)
    assert answer.status_code == 405


def test_hostile_text_in_a_signed_event_is_stored_as_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "_wake", None)
    odd = {"id": "cus_\ud800\u0000", "object": "customer", "name": "\ud800\u0000"}
    payload = json.dumps(event(type="customer.updated", data={"object": odd}, api_version="\u0000")).encode()
    payload, header = sign(payload)
    assert post(payload, header).status_code == 200
    stored = StripeWebhookEvent.objects.get()
    assert stored.payload.isascii()
    assert json.loads(stored.payload)["data"]["object"] == odd


def test_nesting_is_bounded_far_beyond_what_stripe_sends() -> None:
    assert deliver(event(data={"object": {"id": "cus_1", "more": nested(96)}})).status_code == 200


@pytest.mark.parametrize("version", ["\ud800", "\u0000", "2026-10-28\n", "x" * 41, 7, {"a": 1}])
def test_odd_version_is_left_empty(version: Any) -> None:
    assert deliver(event(api_version=version)).status_code == 200
    assert StripeWebhookEvent.objects.get().api_version == ""


@pytest.mark.parametrize("object_id", ["cus_\ud800", "cus_\u0000", "c" * 256, "", 7, None, {"id": "cus_1"}])
def test_odd_object_id_is_left_empty(object_id: Any) -> None:
    assert deliver(event(data={"object": {"id": object_id, "object": "customer"}})).status_code == 200
    assert StripeWebhookEvent.objects.get().object_id == ""


@pytest.mark.parametrize("name", ["Ada\u0000", "Ada\ud800", "\udfff\ud800"])
def test_name_that_no_database_takes_keeps_no_payment_from_being_settled(
    name: str, shop: Shop, stripe_sandbox: Stripe
) -> None:
    shop.add(make_variant())
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    completed = next(e for e in stripe_sandbox.new_events() if e["type"] == "checkout.session.completed")
    completed["data"]["object"]["collected_information"]["shipping_details"]["name"] = name
    assert deliver(completed).status_code == 200
    order = Order.objects.get()
    assert order.payment_status == "paid"
    assert order.shipping_address["name"] == name.replace("\u0000", "\ufffd").replace("\ud800", "\ufffd").replace(
        "\udfff", "\ufffd"
    )


def test_event_that_cannot_even_be_asked_about_fails_in_its_handler_and_delays_nobody() -> None:
    odd = {"id": "pi_1", "object": "payment_intent", "metadata": ["pp_x"]}
    assert deliver(event(type="payment_intent.payment_failed", data={"object": odd})).status_code == 200
    failed = StripeWebhookEvent.objects.get()
    assert (failed.state, failed.attempts) == ("due", 1)
    assert "AttributeError" in failed.last_error


@pytest.mark.parametrize("odd", ["x" * 256, "../../v1/charges", "re_1?expand[]=x", "re_\u00e9", "", 7, None, ["re_1"]])
@pytest.mark.parametrize("kind", ["refund.updated", "charge.dispute.closed", "charge.refunded"])
def test_stripe_is_asked_about_ids_of_its_own_alone(kind: str, odd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "_wake", None)
    field = "payment_intent" if kind == "charge.refunded" else "id"
    deliver(event(type=kind, data={"object": {"id": "ch_1"} | {field: odd}}))
    inbox.process_due()  # nobody listens where Stripe should be: whoever was asked about would wait
    tried = StripeWebhookEvent.objects.get()
    nothing_to_ask = kind == "charge.refunded" and not odd
    assert (tried.state, tried.reason) == (("ignored", FOREIGN.reason) if nothing_to_ask else ("due", ""))
    assert ("not an id of Stripe's" in tried.last_error) is not nothing_to_ask


def test_event_that_cannot_be_asked_about_delays_nobody_while_stripe_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "_wake", None)
    away = {"id": "re_1", "object": "refund"}  # has to be fetched, and nobody listens where Stripe should be
    odd = {"id": "pi_1", "object": "payment_intent", "metadata": ["pp_x"]}
    deliver(event(id="evt_1", type="refund.created", data={"object": away}))
    deliver(event(id="evt_2", type="payment_intent.payment_failed", data={"object": odd}))
    deliver(event(id="evt_3", type="payment_intent.succeeded"))
    inbox.process_due()
    states = dict(StripeWebhookEvent.objects.values_list("stripe_id", "state"))
    assert states == {"evt_1": "due", "evt_2": "due", "evt_3": "ignored"}


def test_client_secrets_are_blanked_wherever_they_stand() -> None:
    nested = {"id": "pi_1", "client_secret": "pi_1_secret_x", "more": [{"client_secret": "pi_1_secret_y"}]}
    deliver(event(data={"object": nested}))
    assert "_secret_x" not in StripeWebhookEvent.objects.get().payload
    assert "_secret_y" not in StripeWebhookEvent.objects.get().payload


@pytest.mark.parametrize(("mode", "livemode"), [("test", True), ("live", False)])
def test_event_of_the_other_mode_is_kept_and_ignored(settings: Any, mode: str, livemode: bool) -> None:
    settings.PAYMENT_ENV = mode
    deliver(event(type="checkout.session.completed", livemode=livemode))
    stored = StripeWebhookEvent.objects.get()
    assert (stored.state, stored.reason) == ("ignored", "of the other mode")


@pytest.mark.parametrize(("mode", "livemode"), [("test", False), ("live", True)])
def test_event_of_the_own_mode_is_worked_on(settings: Any, mode: str, livemode: bool) -> None:
    settings.PAYMENT_ENV = mode
    deliver(event(type="payment_intent.succeeded", livemode=livemode))
    assert StripeWebhookEvent.objects.get().reason == "its object carries no reference of ours"


def test_storing_that_fails_answers_503_so_that_stripe_sends_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(inbox.rows, "insert_unless_known", away)
    answer = deliver(event())
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("found", [{}, {"id": "cs_1"}, {"id": 1, "status": []}, {"id": "cs_1", "metadata": "x"}])
@pytest.mark.parametrize("kind", sorted(inbox.HANDLERS))
def test_signed_event_that_its_handler_cannot_digest_is_kept_and_delays_nobody(kind: str, found: Any) -> None:
    reference = {"client_reference_id": "pp_x", "metadata": {"proshop_payment": "pp_x"}}
    assert deliver(event(type=kind, data={"object": reference | found})).status_code == 200
    assert StripeWebhookEvent.objects.get().state in ("due", "parked", "ignored")


def test_poison_is_given_up_with_its_traceback(settings: Any) -> None:
    deliver(event(type="checkout.session.completed", data={"object": {"id": "cs_1"}}))
    for _ in range(setbacks.MAX_ATTEMPTS):
        StripeWebhookEvent.objects.update(due_at="2020-01-01T00:00Z")
        inbox.process_due()
    dead = StripeWebhookEvent.objects.get()
    assert (dead.state, dead.attempts) == ("dead", setbacks.MAX_ATTEMPTS)
    assert "KeyError" in dead.last_error
    assert dead.reason == "its handler failed every time"
    assert inbox.replay(StripeWebhookEvent.objects.all()) == 1
    assert StripeWebhookEvent.objects.get().state == "due"


def test_worker_that_dies_only_delays_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """As kill -9 would: nothing after the claim runs."""

    def die(event: Any) -> None:
        raise Killed

    monkeypatch.setattr(inbox, "_wake", None)
    deliver(event(type="payment_intent.succeeded"))
    monkeypatch.setitem(inbox.HANDLERS, "payment_intent.succeeded", of_snapshot(die))
    with pytest.raises(Killed):
        inbox.process_due()
    monkeypatch.undo()
    assert inbox.process_due() == 0, "the lease still runs"
    StripeWebhookEvent.objects.update(lease_until="2020-01-01T00:00Z")
    assert inbox.process_due() == 1
    assert StripeWebhookEvent.objects.get().state == "ignored"
