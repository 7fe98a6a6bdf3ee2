"""`/_control/` and the control panel: deliveries, time and faults on purpose."""

from __future__ import annotations

import time
from collections import Counter

import pytest
import requests
import stripe

from tests.sandbox.conftest import SECRET, launch

PAYMENT = ["payment_intent.created", "charge.succeeded", "checkout.session.completed", "payment_intent.succeeded"]


def pay(box, session, **body):
    return box.control(f"sessions/{session.id}/pay", **body)


def event_of(box, kind):
    return box.look("events", type=kind)["data"][0]


# Deliveries


def test_refused_delivery_is_tried_again_until_2xx(box, new_session, receiver):
    answers = iter([500, 302, 200])
    receiver.answer = lambda event: next(answers)

    box.control(f"sessions/{new_session().id}/expire")

    receiver.wait(lambda: len(receiver.events) == 1)
    box.control("advance", seconds=1)
    receiver.wait(lambda: len(receiver.events) == 2)
    assert event_of(box, "checkout.session.expired")["pending_webhooks"] == 1
    box.control("advance", seconds=3)
    receiver.wait(lambda: event_of(box, "checkout.session.expired")["pending_webhooks"] == 0)
    delivery = event_of(box, "checkout.session.expired")["deliveries"][0]
    assert (delivery["state"], delivery["attempts"], delivery["answer"]) == ("delivered", 3, "200")
    assert len({e["id"] for e in receiver.events}) == 1


def test_a_dead_endpoint_is_given_up_after_nine_tries(box, new_session, receiver):
    receiver.answer = lambda event: 503
    box.control(f"sessions/{new_session().id}/expire")

    for tries in range(1, 10):
        receiver.wait(lambda tries=tries: event_of(box, "*")["deliveries"][0]["attempts"] == tries)
        box.control("advance", seconds=3600)

    assert event_of(box, "*")["deliveries"][0]["state"] == "failed"
    assert [e.type for e in box.stripe.v1.events.list({"delivery_success": False}).data] == ["checkout.session.expired"]


def test_held_deliveries_are_released_in_the_order_given(box, new_session, receiver):
    box.control("hold")
    session = new_session()
    pay(box, session)
    events = box.look("events")["data"]
    assert receiver.events == []

    answers = box.control("release", order=[e["id"] for e in events])["answers"]

    assert receiver.types() == PAYMENT[::-1]
    assert [a["status"] for a in answers] == [200] * 4
    assert box.look("state")["rules"] == []


def test_hold_of_some_types(box, new_session, receiver):
    box.control("hold", types=["checkout.session.*"])

    pay(box, new_session())

    receiver.wait(lambda: len(receiver.events) == 3)
    assert sorted(receiver.types()) == sorted(set(PAYMENT) - {"checkout.session.completed"})
    box.control("release")
    assert receiver.types()[-1] == "checkout.session.completed"


def test_dropped_event_can_be_fetched_and_delivered_by_hand(box, new_session, receiver):
    box.control("drop", types=["checkout.session.completed"])
    session = new_session()
    pay(box, session)

    def missed():
        return box.stripe.v1.events.list({"delivery_success": False}).data

    receiver.wait(lambda: [e.type for e in missed()] == ["checkout.session.completed"])
    assert receiver.types(session.id) == []

    answers = box.control("deliver", event=missed()[0].id)["answers"]

    assert [a["status"] for a in answers] == [200]
    assert receiver.types(session.id) == ["checkout.session.completed"]
    assert missed() == []


def test_duplicates_delays_and_other_orders(box, new_session, receiver):
    box.control("duplicate", copies=5, types=["charge.succeeded"])
    box.control("delay", seconds=600, types=["payment_intent.created"])
    session = new_session()
    pay(box, session, wait=False)
    receiver.wait(lambda: len(receiver.events) == 7)
    assert Counter(receiver.types())["charge.succeeded"] == 5
    assert "payment_intent.created" not in receiver.types()
    box.control("advance", seconds=600)
    receiver.wait(lambda: "payment_intent.created" in receiver.types())

    box.control("reset")
    receiver.clear()
    box.control("reorder", next=4, gap=0.2)
    pay(box, new_session())
    receiver.wait(lambda: len(receiver.events) == 4)
    assert receiver.types() == PAYMENT[::-1]


def test_a_rule_counts_events_not_endpoints(box, new_session, receiver):
    box.stripe.v1.webhook_endpoints.create({"url": receiver.url + "/2", "enabled_events": ["*"]})
    box.control("drop", next=1)

    box.stripe.v1.products.create({"name": "Tea"})

    states = [d["state"] for d in event_of(box, "product.created")["deliveries"]]
    assert states == ["dropped", "dropped"]
    assert box.look("state")["rules"] == []


def test_one_event_fifty_times_at_once(box, new_session, receiver):
    box.control(f"sessions/{new_session().id}/expire")
    receiver.wait(lambda: len(receiver.events) == 1)

    answers = box.control("deliver", event=receiver.events[0]["id"], times=50, parallel=True)["answers"]

    assert [a["status"] for a in answers] == [200] * 50
    assert len(receiver.events) == 51


# Time


def test_advance_expires_sessions_and_settles_debits(box, new_session):
    early, late = new_session(expires_at=int(time.time()) + 1801), new_session()
    debit = new_session(currency="eur")
    pay(box, debit, payment_method="AT611904300234573201")
    sessions = box.stripe.v1.checkout.sessions
    assert sessions.retrieve(debit.id).payment_status == "unpaid"

    box.control("advance", seconds=1900)

    assert sessions.retrieve(early.id).status == "expired"
    assert sessions.retrieve(late.id).status == "open"
    assert sessions.retrieve(debit.id).payment_status == "paid"


def test_debit_settles_by_itself(tmp_path):
    quick = launch(tmp_path / "quick.sqlite3", "", "--settle-seconds", "0.3")
    session = quick.stripe.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "success_url": "https://shop.example",
            "line_items": [
                {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 900, "product_data": {"name": "Tea"}}}
            ],
        }
    )
    pay(quick, session, payment_method="AT611904300234573201")
    deadline = time.monotonic() + 5
    while quick.stripe.v1.checkout.sessions.retrieve(session.id).payment_status != "paid":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert quick.stop() == 0


# Faults


@pytest.mark.parametrize(
    ("kind", "error", "executed"),
    [
        ("429", stripe.RateLimitError, False),
        ("lock_timeout", stripe.RateLimitError, False),
        ("500", stripe.APIError, False),
        ("500_after", stripe.APIError, True),
        ("html", stripe.APIError, False),
        ("reset", stripe.APIConnectionError, False),
        ("reset_after", stripe.APIConnectionError, True),
        ("timeout_before", stripe.APIConnectionError, False),
        ("timeout_after", stripe.APIConnectionError, True),
    ],
)
def test_faults(box, kind, error, executed):
    box.control("faults", kind=kind, path="/v1/products", method="POST", seconds=0.2)
    client = box.client(max_network_retries=0)
    assert client.v1.products.list().data == []

    with pytest.raises(error):
        client.v1.products.create({"name": "Tea"}, {"idempotency_key": "t"})

    assert len(client.v1.products.list().data) == int(executed)
    if kind in ("500", "500_after"):
        with pytest.raises(error):  # the saved 500 is given again
            client.v1.products.create({"name": "Tea"}, {"idempotency_key": "t"})
    else:
        product = client.v1.products.create({"name": "Tea"}, {"idempotency_key": "t"})
        assert [p.id for p in client.v1.products.list().data] == [product.id]


def test_faults_count_down_and_can_be_cleared(box):
    box.control("faults", kind="429", times=2)
    statuses = [box.raw("GET", "/v1/products").status_code for _ in range(3)]
    assert statuses == [429, 429, 200]

    box.control("faults", kind="html", times=None)
    assert [box.raw("GET", "/v1/products").status_code for _ in range(3)] == [502] * 3
    box.control("rules/clear")
    assert box.raw("GET", "/v1/products").status_code == 200


# The calls themselves


@pytest.mark.parametrize(
    ("call", "body", "status"),
    [
        ("nothing", {}, 404),
        ("advance", {}, 400),
        ("advance", {"seconds": "soon"}, 400),
        ("advance", {"seconds": -1}, 400),
        ("faults", {"kind": "earthquake"}, 400),
        ("deliver", {"event": "evt_none"}, 404),
        ("drop", {"next": 0}, 400),
        ("drop", {"colour": "red"}, 400),
        ("settle", {"payment_intent": "pi_none"}, 404),
        ("sessions/cs_none/pay", {}, 404),
    ],
)
def test_calls_that_make_no_sense(box, call, body, status):
    answer = requests.post(f"{box.url}/_control/{call}", json=body, timeout=5)

    assert answer.status_code == status
    assert answer.json()["error"]


def test_pay_answers_like_the_page(box, new_session):
    declined = requests.post(
        f"{box.url}/_control/sessions/{new_session().id}/pay", json={"payment_method": "4000000000009995"}, timeout=5
    )
    secure = new_session()

    assert (declined.status_code, declined.json()["error"]["decline_code"]) == (402, "insufficient_funds")
    assert pay(box, secure, payment_method="4000 0027 6000 3184")["requires_action"] is True
    done = box.control(f"sessions/{secure.id}/authenticate", passed=True)
    assert done["redirect"] == f"https://shop.example/success?session_id={secure.id}"
    shipped = new_session(shipping_address_collection={"allowed_countries": ["FR"]})
    details = pay(box, shipped)["session"]["collected_information"]["shipping_details"]
    assert details["address"]["country"] == "FR"


def test_panel_shows_and_steers(box, new_session, receiver):
    session = new_session(client_reference_id="<b>ORD-1</b>")

    page = requests.get(box.url, timeout=5)
    assert session.id in page.text
    assert "&lt;b&gt;ORD-1" in page.text
    assert SECRET not in page.text
    assert "sk_test_" not in page.text

    def press(action, **fields):
        return requests.post(f"{box.url}/panel/{action}", data=fields, timeout=9).text

    assert "is complete" in press("pay", session=session.id, payment_method="pm_card_visa")
    assert "was declined" in press("pay", session=new_session().id, payment_method="pm_card_chargeDeclined")
    assert "answers: 200" in press("deliver", event=event_of(box, "checkout.session.completed")["id"], times="1")
    assert "in force" in press("rule", kind="hold", next="1")
    assert "Release" in press("expire", session=new_session().id)
    assert "1 deliveries released" in press("release")
    assert "will fail" in press("fault", kind="500", path="/v1/refunds", times="2", seconds="1")
    assert "API 500 · /v1/refunds · next 2" in requests.get(box.url, timeout=5).text
    assert "cleared" in press("clear")
    assert "not a number" in press("advance", minutes="x")
    assert requests.get(f"{box.url}/panel/reset", timeout=5).status_code == 404
    assert "is empty" in press("reset")


def test_restart_keeps_everything_and_delivers_what_waits(box, new_session, receiver, tmp_path):
    first = launch(tmp_path / "kept.sqlite3", "http://127.0.0.1:9/nobody-listens")
    product = first.stripe.v1.products.create({"name": "Tea"}, {"idempotency_key": "kept"})
    first.process.kill()
    first.process.wait()

    second = launch(tmp_path / "kept.sqlite3", receiver.url)
    second.control("advance", seconds=60)

    receiver.wait(lambda: receiver.types(product.id) == ["product.created"])
    assert second.stripe.v1.products.create({"name": "Tea"}, {"idempotency_key": "kept"}).id == product.id
    assert len(second.stripe.v1.webhook_endpoints.list().data) == 1
    assert second.stop() == 0
