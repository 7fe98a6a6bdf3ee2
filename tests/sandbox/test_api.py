"""The API as the `stripe` library and curl speak it."""

from __future__ import annotations

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import stripe

from apps.sandbox.store import Store
from tests.sandbox.conftest import API_KEY, launch, price_data

ENDIVE = "2026-10-28.endive"


def refusal(call, *arguments):
    """The error of a call that must be refused as invalid: (code, param)."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        call(*arguments)
    return caught.value.code, caught.value.param


# --- Who asks ---------------------------------------------------------------------------------------------


def test_the_key_decides(box):
    wrong = box.raw("GET", "/v1/products", Authorization="Bearer sk_test_other_key")
    none = requests.get(f"{box.url}/v1/products", timeout=5)
    basic = base64.b64encode(f"{API_KEY}:".encode()).decode()

    assert (wrong.status_code, none.status_code) == (401, 401)
    assert wrong.json()["error"]["type"] == "invalid_request_error"
    assert "sk_test_other_key" not in wrong.text
    assert box.raw("GET", "/v1/products", Authorization=f"Basic {basic}").status_code == 200
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("sk_test_other", base_addresses={"api": box.url}).v1.products.list()


def test_other_hosts_and_origins_are_refused(box):
    assert requests.get(box.url, headers={"Host": "evil.example"}, timeout=5).status_code == 400
    assert (
        requests.post(f"{box.url}/_control/reset", headers={"Origin": "https://evil.example"}, timeout=5).status_code
        == 403
    )
    assert requests.post(f"{box.url}/_control/reset", headers={"Origin": "null"}, timeout=5).status_code == 403
    assert (
        requests.post(f"{box.url}/_control/reset", headers={"Sec-Fetch-Site": "cross-site"}, timeout=5).status_code
        == 403
    )
    assert requests.post(f"{box.url}/_control/reset", headers={"Origin": box.url}, timeout=5).status_code == 200


def test_unknown_paths_and_ids(box):
    answer = box.raw("GET", "/v1/subscriptions")

    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith("Unrecognized request URL (GET: /v1/subscriptions)")
    assert refusal(box.stripe.v1.checkout.sessions.retrieve, "cs_test_nothing") == ("resource_missing", "id")
    assert answer.headers["Request-Id"].startswith("req_")


# --- Parameters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"mode": None}, "parameter_missing", "mode"),
        ({"mode": "paymnt"}, None, "mode"),
        ({"ui_mode": "hosted"}, None, "ui_mode"),
        ({"line_items": None}, "parameter_missing", "line_items"),
        ({"line_itemz": "x"}, "parameter_unknown", "line_itemz"),
        ({"line_items": [{"price_data": price_data(), "quantity": 0}]}, "parameter_invalid_integer", "line_items[0][quantity]"),
        ({"line_items": [{"price_data": price_data(), "quantity": "two"}]}, "parameter_invalid_integer", "line_items[0][quantity]"),
        ({"line_items": [{"price_data": price_data() | {"colour": "red"}, "quantity": 1}]}, "parameter_unknown", "line_items[0][price_data][colour]"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "resource_missing", "line_items[0][price]"),
        ({"line_items": [{"price_data": price_data(10), "quantity": 1}]}, "amount_too_small", "line_items"),
        ({"line_items": [{"price_data": price_data(99999999), "quantity": 2}]}, "amount_too_large", "line_items"),
        ({"line_items": [{"price_data": price_data(currency="xyz"), "quantity": 1}]}, None, "line_items[0][price_data][currency]"),
        ({"line_items": [{"price_data": price_data(550, "isk"), "quantity": 1}]}, "invalid_charge_amount_no_decimal_compatible", "line_items[0][price_data][unit_amount]"),
        ({"line_items": [{"price_data": price_data(1001, "kwd"), "quantity": 1}]}, None, "line_items[0][price_data][unit_amount]"),
        ({"line_items": [{"price_data": price_data(), "quantity": 1}] * 101}, None, "line_items"),
        ({"customer_email": "ada"}, "email_invalid", "customer_email"),
        ({"customer_email": ""}, "parameter_invalid_empty", "customer_email"),
        ({"success_url": "shop"}, "url_invalid", "success_url"),
        ({"expires_at": 29 * 60}, None, "expires_at"),
        ({"expires_at": 24 * 3600 + 60}, None, "expires_at"),
        ({"metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 41}]"),
        ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({"metadata": {str(i): "v" for i in range(51)}}, None, "metadata"),
        ({"client_reference_id": "x" * 201}, None, "client_reference_id"),
        ({"customer": "cus_none"}, "resource_missing", "customer"),
        ({"automatic_tax": {"enabled": True}}, "sandbox_unsupported", "automatic_tax[enabled]"),
        ({"payment_method_types": ["card"]}, "payment_method_types_no_longer_supported", "payment_method_types"),
    ],
)  # fmt: skip
def test_bad_session_parameters(box, new_session, changes, code, param):
    params = {name: value for name, value in changes.items() if value is not None}
    if "expires_at" in params:
        params["expires_at"] += int(time.time())
    gone = [name for name, value in changes.items() if value is None]
    if gone:
        base = {
            "mode": "payment",
            "line_items": [{"price_data": price_data(), "quantity": 1}],
            "success_url": "https://a.b",
        }
        found = refusal(box.stripe.v1.checkout.sessions.create, {k: v for k, v in base.items() if k not in gone})
    else:
        found = refusal(lambda: new_session(**params))

    assert found == (code, param)
    assert box.look("state")["objects"].keys() == {"webhook_endpoint"}


def test_form_bodies_of_every_style(box):
    body = (
        "mode=payment&line_items[][price_data][currency]=USD&line_items[][price_data][unit_amount]=500"
        "&line_items[][price_data][product_data][name]=Tea+%26+cake&line_items[][quantity]=2"
        "&line_items[][price_data][currency]=usd&line_items[][price_data][unit_amount_decimal]=1.5"
        "&line_items[][price_data][product_data][name]=Sugar&line_items[][quantity]=3"
        "&success_url=https%3A%2F%2Fa.b%2F%3Fs%3D%7BCHECKOUT_SESSION_ID%7D&payment_method_types[]=card"
        "&metadata[a]=1&expand[]=line_items"
    )

    session = box.raw("POST", "/v1/checkout/sessions", body).json()

    lines = session["line_items"]["data"]
    assert [(line["description"], line["amount_total"], line["quantity"]) for line in lines] == [
        ("Tea & cake", 1000, 2),
        ("Sugar", 5, 3),
    ]
    assert lines[1]["price"]["unit_amount"] is None
    assert lines[1]["price"]["unit_amount_decimal"] == "1.5"
    assert session["success_url"] == "https://a.b/?s={CHECKOUT_SESSION_ID}"
    assert (session["metadata"], session["amount_total"]) == ({"a": "1"}, 1005)


@pytest.mark.parametrize(
    "body", ["a[=1", "a]=1", "[a]=1", "metadata=1&metadata[a]=2", "a" + "[b]" * 30 + "=1", "%FF=1", "&&&"]
)
def test_bodies_that_cannot_be_read_are_refused_as_invalid(box, body):
    answer = box.raw("POST", "/v1/products", body)

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_versions(box):
    intent = "amount=500&currency=usd&payment_method_types[]=card"

    assert box.raw("POST", "/v1/payment_intents", intent).status_code == 200
    assert box.raw("POST", "/v1/payment_intents", intent, Stripe_Version="2025-03-31.basil").status_code == 200
    refused = box.raw("POST", "/v1/payment_intents", intent, Stripe_Version=ENDIVE)
    assert refused.json()["error"]["code"] == "payment_method_types_no_longer_supported"
    assert box.raw("GET", "/v1/products", Stripe_Version="soon").status_code == 400


def test_expand(box, new_session):
    session = new_session()
    box.control(f"sessions/{session.id}/pay")
    sessions = box.stripe.v1.checkout.sessions

    listed = sessions.list(
        {"expand": ["data.payment_intent.latest_charge.payment_intent", "data.line_items.data.price.product"]}
    )
    found = listed.data[0]
    assert found.payment_intent.latest_charge.payment_intent.id == found.payment_intent.id
    assert found.line_items.data[0].price.product.name == "Gloves"
    assert refusal(sessions.retrieve, session.id, {"expand": ["colour"]}) == (None, "expand")
    assert "line_items" not in sessions.retrieve(session.id)


# --- Lists ------------------------------------------------------------------------------------------------


def test_cursors_and_limits(box):
    products = box.stripe.v1.products
    ids = [products.create({"name": f"P{i}"}).id for i in range(7)][::-1]

    first = products.list({"limit": 3})
    assert ([p.id for p in first.data], first.has_more) == (ids[:3], True)
    second = products.list({"limit": 4, "starting_after": ids[2]})
    assert ([p.id for p in second.data], second.has_more) == (ids[3:], False)
    above = products.list({"limit": 2, "ending_before": ids[4]})
    assert ([p.id for p in above.data], above.has_more) == (ids[2:4], True)
    assert [p.id for p in products.list({"limit": 2}).auto_paging_iter()] == ids
    backwards = products.list({"limit": 2, "ending_before": ids[6]}).auto_paging_iter()
    assert [p.id for p in backwards] == ids[5::-1]
    assert refusal(products.list, {"limit": 0}) == ("parameter_invalid_integer", "limit")
    assert refusal(products.list, {"limit": 101}) == ("parameter_invalid_integer", "limit")
    assert refusal(products.list, {"starting_after": "prod_none"}) == ("resource_missing", "starting_after")


def test_session_filters(box, new_session):
    paid, expired, fresh = new_session(), new_session(), new_session(customer_email="ada@example.com")
    box.control(f"sessions/{paid.id}/pay")
    box.stripe.v1.checkout.sessions.expire(expired.id)
    intent = box.stripe.v1.checkout.sessions.retrieve(paid.id).payment_intent

    def found(**params):
        return [s.id for s in box.stripe.v1.checkout.sessions.list(params).data]

    assert found() == [fresh.id, expired.id, paid.id]
    assert found(status="open") == [fresh.id]
    assert found(status="complete", payment_intent=intent) == [paid.id]
    assert found(payment_intent=intent, status="open") == []
    assert found(customer_details={"email": "ada@example.com"}) == [fresh.id]
    assert found(created={"gte": paid.created}) == [fresh.id, expired.id, paid.id]
    assert found(created={"lt": paid.created}) == []
    lines = box.stripe.v1.checkout.sessions.line_items.list(paid.id)
    assert [(line.object, line.amount_total) for line in lines.data] == [("item", 3000)]


def test_event_filters(box, new_session, receiver):
    receiver.answer = lambda event: 500 if event["type"].startswith("charge.") else 200
    session = new_session()
    box.control(f"sessions/{session.id}/pay", wait=True)
    events = box.stripe.v1.events

    def types(**params):
        return [e.type for e in events.list(params).data][::-1]

    receiver.wait(
        lambda: (
            types(delivery_success=True)
            == ["payment_intent.created", "checkout.session.completed", "payment_intent.succeeded"]
        )
    )
    assert "charge.succeeded" in types(delivery_success=False)
    assert types(type="payment_intent.*") == ["payment_intent.created", "payment_intent.succeeded"]
    assert types(types=["charge.succeeded", "checkout.session.completed"]) == [
        "charge.succeeded",
        "checkout.session.completed",
    ]
    newest = events.list({"limit": 1, "type": "payment_intent.created"}).data[0]
    assert "payment_intent.created" not in types(ending_before=newest.id)
    charge = events.list({"type": "charge.succeeded"}).data[0]
    assert (charge.pending_webhooks, charge.api_version, charge.request.id) == (1, ENDIVE, None)
    assert refusal(events.list, {"types": ["charge.*"]}) == (None, "types")


# --- Intents ----------------------------------------------------------------------------------------------


def test_intent_step_by_step(box):
    intents = box.stripe.v1.payment_intents
    intent = intents.create({"amount": 2000, "currency": "usd", "metadata": {"order": "1", "old": "x"}})
    assert (intent.status, intent.amount_received, intent.livemode) == ("requires_payment_method", 0, False)
    assert intent.client_secret.startswith(f"{intent.id}_secret_")

    intent = intents.update(
        intent.id, {"amount": 2500, "metadata": {"old": "", "new": "y"}, "payment_method": "pm_card_visa"}
    )
    assert (intent.status, intent.amount) == ("requires_confirmation", 2500)
    assert intent.metadata.to_dict() == {"order": "1", "new": "y"}

    intent = intents.confirm(intent.id, {"expand": ["latest_charge.balance_transaction"]})
    assert (intent.status, intent.amount_received, intent.latest_charge.amount) == ("succeeded", 2500, 2500)
    assert intent.latest_charge.balance_transaction is None
    box.control("advance", seconds=2)
    entry = box.stripe.v1.charges.retrieve(
        intent.latest_charge.id, {"expand": ["balance_transaction"]}
    ).balance_transaction
    assert (entry.amount, entry.fee, entry.net) == (2500, 102, 2398)

    for call in (intents.confirm, intents.cancel, intents.capture):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call(intent.id)
        assert caught.value.code == "payment_intent_unexpected_state"
        assert caught.value.error.payment_intent.id == intent.id


def test_decline_answers_402_and_keeps_the_attempt(box):
    with pytest.raises(stripe.CardError) as caught:
        box.stripe.v1.payment_intents.create(
            {
                "amount": 2000,
                "currency": "usd",
                "payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds",
                "confirm": True,
            }
        )

    error = caught.value.error
    assert (caught.value.http_status, error.code, error.decline_code) == (402, "card_declined", "insufficient_funds")
    assert error.payment_intent.status == "requires_payment_method"
    stored = box.stripe.v1.payment_intents.retrieve(error.payment_intent.id)
    assert (stored.last_payment_error.charge, stored.latest_charge) == (error.charge, error.charge)


def test_three_d_secure_with_return_url(box):
    intents = box.stripe.v1.payment_intents
    intent = intents.create(
        {
            "amount": 2000,
            "currency": "usd",
            "payment_method": "pm_card_threeDSecure2Required",
            "confirm": True,
            "return_url": "https://shop.example/back?o=1",
        }
    )
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")

    done = requests.post(
        intent.next_action.redirect_to_url.url, data={"answer": "complete"}, allow_redirects=False, timeout=9
    )

    assert done.headers["Location"].startswith(f"https://shop.example/back?o=1&payment_intent={intent.id}&")
    assert done.headers["Location"].endswith("redirect_status=succeeded")
    assert intents.retrieve(intent.id).status == "succeeded"


def test_off_session_needs_authentication(box):
    params = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_authenticationRequired", "confirm": True}

    with pytest.raises(stripe.CardError) as caught:
        box.stripe.v1.payment_intents.create({**params, "off_session": True})

    assert caught.value.code == "authentication_required"


def test_manual_capture_of_a_part(box):
    intents = box.stripe.v1.payment_intents
    params = {
        "amount": 2000,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "capture_method": "manual",
    }
    intent = intents.create(params)
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 2000, 0)

    assert refusal(intents.capture, intent.id, {"amount_to_capture": 2001}) == ("amount_too_large", "amount_to_capture")
    captured = intents.capture(intent.id, {"amount_to_capture": 1500})

    assert (captured.status, captured.amount_received, captured.amount_capturable) == ("succeeded", 1500, 0)
    kept = intents.create(params)
    box.control("advance", seconds=8 * 86400)
    assert (intents.retrieve(kept.id).status, intents.retrieve(kept.id).cancellation_reason) == (
        "canceled",
        "automatic",
    )


def test_intent_of_a_session_is_left_alone(box, new_session):
    session = new_session()
    requests.post(
        f"{box.url}/_control/sessions/{session.id}/pay", json={"payment_method": "pm_card_chargeDeclined"}, timeout=9
    )
    intent = box.stripe.v1.checkout.sessions.retrieve(session.id).payment_intent

    for call in (box.stripe.v1.payment_intents.confirm, box.stripe.v1.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError, match="managed by a Checkout Session"):
            call(intent)


def test_session_expires_once(box, new_session):
    session = new_session(expires_at=int(time.time()) + 31 * 60)
    sessions = box.stripe.v1.checkout.sessions

    expired = sessions.expire(session.id)

    assert (expired.status, expired.url) == ("expired", None)
    with pytest.raises(stripe.InvalidRequestError, match="status in"):
        sessions.expire(session.id)


# --- Idempotency ------------------------------------------------------------------------------------------


def test_the_same_key_gives_the_same_answer(box):
    options = {"idempotency_key": "order-1"}
    first = box.stripe.v1.products.create({"name": "Tea"}, options)

    again = box.stripe.v1.products.create({"name": "Tea"}, options)

    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        box.stripe.v1.products.create({"name": "Coffee"}, options)
    assert len(box.stripe.v1.products.list().data) == 1
    box.control("advance", seconds=25 * 3600)
    assert box.stripe.v1.products.create({"name": "Tea"}, options).id != first.id


def test_declines_are_kept_and_refused_parameters_are_not(box):
    declined = {"amount": 500, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": True}
    seen = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            box.stripe.v1.payment_intents.create(declined, {"idempotency_key": "k"})
        seen.add(caught.value.error.payment_intent.id)
    assert len(seen) == 1

    assert refusal(box.stripe.v1.products.create, {"nam": "x"}, {"idempotency_key": "p"})[0] == "parameter_unknown"
    assert box.stripe.v1.products.create({"name": "x"}, {"idempotency_key": "p"}).name == "x"


def test_calls_at_once_under_one_key_run_once(box):
    barrier = threading.Barrier(8)

    def create(number):
        barrier.wait()
        return box.raw("POST", "/v1/payment_intents", "amount=500&currency=usd", Idempotency_Key="same").status_code

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(8)))

    assert set(results) <= {200, 409}
    assert 200 in results
    assert len(box.stripe.v1.payment_intents.list().data) == 1


# --- Endpoints --------------------------------------------------------------------------------------------


def test_webhook_endpoints(box, receiver):
    endpoints = box.stripe.v1.webhook_endpoints
    first = endpoints.list().data[0]
    assert (first.url, first.api_version, first.enabled_events, "secret" in first) == (
        receiver.url,
        ENDIVE,
        ["*"],
        False,
    )

    made = endpoints.create(
        {"url": "http://127.0.0.1:9/hook", "enabled_events": ["price.created"], "api_version": ENDIVE}
    )
    assert made.secret.startswith("whsec_")
    assert "secret" not in endpoints.retrieve(made.id)
    box.stripe.v1.products.create({"name": "Tea"})
    assert box.stripe.v1.events.list().data[0].type == "product.created"
    assert endpoints.update(made.id, {"disabled": True}).status == "disabled"
    assert endpoints.delete(made.id).deleted is True
    assert refusal(endpoints.create, {"url": "https://example.com/hook", "enabled_events": ["*"]}) == (
        "url_invalid",
        "url",
    )


def test_ten_thousand_sessions_stay_fast(box, new_session, tmp_path):
    """Lists and filters read an index: a page costs about the same whatever is stored."""
    pattern = new_session().to_dict(recursive=True)
    with Store(tmp_path / "many.sqlite3").write() as tx:
        for number in range(10_000):
            tx.put({**pattern, "id": f"cs_test_{number:05}", "payment_intent": f"pi_{number}"})
        tx.put({**pattern, "id": "cs_test_paid", "status": "complete"})
    large = launch(tmp_path / "many.sqlite3")
    sessions = large.stripe.v1.checkout.sessions
    sessions.list({"limit": 1})

    started = time.perf_counter()
    assert [s.id for s in sessions.list({"payment_intent": "pi_77"}).data] == ["cs_test_00077"]
    assert [s.id for s in sessions.list({"status": "complete"}).data] == ["cs_test_paid"]
    assert [s.id for s in sessions.list({"limit": 2, "starting_after": "cs_test_05000"}).data][0] == "cs_test_04999"
    assert sessions.list({"created": {"gt": pattern["created"]}}).data == []
    seconds = time.perf_counter() - started

    large.stop()
    assert seconds < 1
