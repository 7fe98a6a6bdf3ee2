"""The hosted page: what it shows, what its form does, where the buyer lands."""

from __future__ import annotations

from typing import Any

import pytest
import requests

CARD = {"email": "ada@example.com", "card_name": "Ada Lovelace", "expiry": "12 / 34", "cvc": "123"}


def pay(session: Any, number: str = "4242 4242 4242 4242", **typed: str) -> requests.Response:
    return requests.post(session.url, data={**CARD, "number": number, **typed}, allow_redirects=False, timeout=20)


def test_page_shows_the_order_and_says_that_it_is_a_sandbox(new_session):
    session = new_session(line_items=[{"price_data": line, "quantity": 2} for line in (GLOVES, SCRIPT)])

    page = requests.get(session.url, timeout=10)

    assert page.status_code == 200
    assert "Sandbox" in page.text
    assert "Warm gloves" in page.text
    assert "$30.00" in page.text
    assert "Pay $34.00" in page.text
    assert "&lt;script&gt;" in page.text
    assert "<script>" not in page.text
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]


GLOVES = {"currency": "usd", "unit_amount": 1500, "product_data": {"name": "Warm gloves"}}
SCRIPT = {"currency": "usd", "unit_amount": 200, "product_data": {"name": "<script>alert(1)</script>"}}


def test_card_pays_and_the_webhook_is_answered_before_the_redirect(box, new_session, receiver):
    session = new_session(metadata={"order": "7"}, payment_intent_data={"metadata": {"order": "7"}})

    answer = pay(session)

    assert answer.status_code == 303
    assert answer.headers["Location"] == f"https://shop.example/success?session_id={session.id}"
    assert receiver.types(session.id) == ["checkout.session.completed"]
    paid = box.stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert paid.customer_details.email == "ada@example.com"
    intent = paid.payment_intent
    assert (intent.status, intent.amount_received, intent.metadata["order"]) == ("succeeded", 3000, "7")
    assert intent.latest_charge.metadata["order"] == "7"
    assert intent.latest_charge.payment_method_details.card.last4 == "4242"
    assert requests.get(intent.latest_charge.receipt_url, timeout=5).status_code == 200


def test_events_of_a_card_payment_come_in_the_order_seen_at_stripe(box, new_session):
    session = new_session()

    pay(session)
    box.control("advance", seconds=2)

    types = [e["type"] for e in box.look("events")["data"]][::-1]
    assert types == [
        "payment_intent.created",
        "charge.succeeded",
        "checkout.session.completed",
        "payment_intent.succeeded",
        "charge.updated",
    ]


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000009987", "card_declined", "lost_card"),
        ("4000000000009979", "card_declined", "stolen_card"),
        ("4000000000006975", "card_declined", "card_velocity_exceeded"),
        ("4000000000000069", "expired_card", None),
        ("4000000000000127", "incorrect_cvc", None),
        ("4000000000000119", "processing_error", None),
        ("4000000000000341", "card_declined", "generic_decline"),
        ("4100000000000019", "card_declined", "fraudulent"),
    ],
)
def test_declined_card_leaves_the_session_open_for_another(box, new_session, number, code, decline_code):
    session = new_session()

    declined = pay(session, number)

    assert declined.status_code == 200
    assert 'role="alert"' in declined.text
    assert number not in declined.text
    open_session = box.stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (open_session.status, open_session.payment_status) == ("open", "unpaid")
    error = open_session.payment_intent.last_payment_error
    assert open_session.payment_intent.status == "requires_payment_method"
    assert (error.code, getattr(error, "decline_code", None)) == (code, decline_code)
    charge = box.stripe.v1.charges.retrieve(error.charge)
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)
    assert charge.outcome.type == ("blocked" if number.endswith("19") and number[1] == "1" else "issuer_declined")

    assert pay(session).status_code == 303
    paid = box.stripe.v1.checkout.sessions.retrieve(session.id)
    assert (paid.payment_status, paid.payment_intent) == ("paid", open_session.payment_intent.id)
    assert len(box.stripe.v1.charges.list({"payment_intent": paid.payment_intent}).data) == 2


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"number": "4242424242424241"}, "Your card number is incorrect."),
        ({"number": ""}, "Your card number is incorrect."),
        ({"number": "4111111111111111"}, "used a non test card"),
        ({"expiry": "13 / 34"}, "expiration month is invalid"),
        ({"expiry": "12 / 20"}, "expiration year is invalid"),
        ({"expiry": "soon"}, "expiration date is incomplete"),
        ({"cvc": "99"}, "security code is invalid"),
        ({"email": "ada"}, "Your email is incomplete."),
        ({"card_name": " "}, "The name on the card is required."),
    ],
)
def test_what_cannot_be_used_is_said_and_charges_nothing(box, new_session, typed, message):
    session = new_session()

    answer = pay(session, **typed)

    assert answer.status_code == 200
    assert message in answer.text.replace("&#x27;", "'")
    assert box.stripe.v1.checkout.sessions.retrieve(session.id).payment_intent is None
    assert box.look("state")["objects"].get("payment_method", 0) == 0
    assert box.look("events")["data"] == []


def test_three_d_secure_passed(box, new_session):
    session = new_session()

    challenge = pay(session, "4000002500003155")

    assert challenge.headers["Location"].startswith("/authenticate/pi_")
    page = box.url + challenge.headers["Location"]
    assert "Complete authentication" in requests.get(page, timeout=5).text
    done = requests.post(page, data={"answer": "complete"}, allow_redirects=False, timeout=20)
    assert done.headers["Location"].endswith(session.id)
    paid = box.stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})
    assert paid.payment_status == "paid"
    secure = paid.payment_intent.latest_charge.payment_method_details.card.three_d_secure
    assert secure.result == "authenticated"


@pytest.mark.parametrize(
    ("number", "answer", "code", "charges"),
    [
        ("4000002760003184", "fail", "payment_intent_authentication_failure", 0),
        ("4000008400001629", "complete", "card_declined", 1),
    ],
)
def test_three_d_secure_failed_or_declined_afterwards(box, new_session, number, answer, code, charges):
    session = new_session()
    page = box.url + pay(session, number).headers["Location"]

    again = requests.post(page, data={"answer": answer}, allow_redirects=False, timeout=20)

    assert again.status_code == 200
    assert 'role="alert"' in again.text
    state = box.stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert state.status == "open"
    assert state.payment_intent.last_payment_error.code == code
    assert len(box.stripe.v1.charges.list({"payment_intent": state.payment_intent.id}).data) == charges
    assert pay(session).status_code == 303


@pytest.mark.parametrize(
    ("iban", "settles"),
    [
        ("AT61 1904 3002 3457 3201", True),
        ("AT321904300235473204", True),
        ("AT861904300235473202", False),
        ("IT60X0542811101000000123456", False),
    ],
)
def test_bank_debit_is_decided_later(box, new_session, iban, settles):
    session = new_session(currency="eur")

    typed = {"email": "ada@example.com", "method": "sepa_debit", "iban": iban, "account_name": "Ada Lovelace"}
    answer = requests.post(session.url, data=typed, allow_redirects=False, timeout=20)

    assert answer.status_code == 303
    waiting = box.stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
    assert waiting.payment_intent.status == "processing"
    box.control("settle", payment_intent=waiting.payment_intent.id)
    settled = box.stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert settled.status == "complete"
    assert settled.payment_status == ("paid" if settles else "unpaid")
    assert settled.payment_intent.status == ("succeeded" if settles else "requires_payment_method")
    types = [e["type"] for e in box.look("events")["data"]][::-1]
    assert types == [
        "payment_intent.created",
        "charge.pending",
        "checkout.session.completed",
        "payment_intent.processing",
        "charge.succeeded" if settles else "charge.failed",
        "checkout.session.async_payment_succeeded" if settles else "checkout.session.async_payment_failed",
        "payment_intent.succeeded" if settles else "payment_intent.payment_failed",
    ]


def test_physical_order_asks_for_an_address_in_an_allowed_country(box, new_session):
    session = new_session(shipping_address_collection={"allowed_countries": ["US", "DE"]})
    home = {"shipping_name": "Ada Lovelace", "line1": "Hauptstr. 1", "city": "Köln", "postal_code": "50667"}

    assert "Please choose a country" in pay(session, **home, country="FR").text
    assert "An address is required." in pay(session, **home | {"line1": ""}, country="DE").text
    assert pay(session, **home, country="DE").status_code == 303

    details = box.stripe.v1.checkout.sessions.retrieve(session.id).collected_information.shipping_details
    assert details.to_dict() == {
        "name": "Ada Lovelace",
        "address": {
            "city": "Köln",
            "country": "DE",
            "line1": "Hauptstr. 1",
            "line2": None,
            "postal_code": "50667",
            "state": None,
        },
    }


def test_free_order_needs_no_method(box, new_session):
    session = new_session(amount=0)

    answer = requests.post(session.url, data={"email": "ada@example.com"}, allow_redirects=False, timeout=20)

    assert answer.status_code == 303
    done = box.stripe.v1.checkout.sessions.retrieve(session.id)
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)
    assert [e["type"] for e in box.look("events")["data"]] == ["checkout.session.completed"]


def test_closed_sessions_take_no_payment(box, new_session):
    expired, paid = new_session(), new_session()
    box.stripe.v1.checkout.sessions.expire(expired.id)
    pay(paid)

    assert "expired" in pay(expired).text
    assert "all done" in pay(paid).text.replace("&#x27;", "'")
    assert len(box.stripe.v1.charges.list().data) == 1
    assert requests.get(f"{box.url}/c/pay/cs_test_nothing", timeout=5).status_code == 404


def test_page_waits_for_a_slow_webhook(new_session, receiver):
    import time

    receiver.answer = lambda event: time.sleep(1) or 200
    session = new_session()

    started = time.monotonic()
    pay(session)

    assert 1.0 <= time.monotonic() - started < 6
    assert receiver.types(session.id) == ["checkout.session.completed"]
