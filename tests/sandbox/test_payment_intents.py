"""PaymentIntents confirmed, authenticated, captured and canceled through the API."""

from __future__ import annotations

import time

import pytest
import requests
import stripe

from tests.sandbox.conftest import refusal


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
