"""SetupIntents: a card is checked and kept for later."""

from __future__ import annotations

import pytest
import requests
import stripe

from tests.sandbox.conftest import ENDIVE, refusal
from tests.sandbox.test_customers import customer, events, methods_of, pay_off_session, pay_with

__all__ = ["customer"]  # a fixture that this module's tests use


def set_up(box, customer=None, method="pm_card_visa", **more):
    params = {"payment_method": method, "confirm": True, **more}
    return box.stripe.v1.setup_intents.create(params | ({"customer": customer.id} if customer else {}))


def test_intent_step_by_step(box, customer):
    intents = box.stripe.v1.setup_intents
    intent = intents.create({"customer": customer.id, "metadata": {"a": "1"}})
    assert (intent.status, intent.usage, intent.payment_method_types) == (
        "requires_payment_method",
        "off_session",
        ["card"],
    )
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert refusal(intents.confirm, intent.id) == ("setup_intent_unexpected_state", None)

    intent = intents.update(intent.id, {"payment_method": "pm_card_visa", "metadata": {"a": "", "b": "2"}})
    assert (intent.status, intent.metadata.to_dict()) == ("requires_confirmation", {"b": "2"})

    intent = intents.confirm(intent.id, {"expand": ["latest_attempt", "payment_method", "customer"]})
    assert (intent.status, intent.next_action, intent.latest_attempt.status) == ("succeeded", None, "succeeded")
    assert (intent.payment_method.customer, intent.customer.id) == (customer.id, customer.id)
    assert methods_of(box, customer) == [intent.payment_method.id]
    for call in (intents.confirm, intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call(intent.id)
        assert caught.value.code == "setup_intent_unexpected_state"
        assert caught.value.error.setup_intent.id == intent.id
    assert [kind for kind, _ in events(box)] == [
        "customer.created",
        "setup_intent.created",
        "payment_method.attached",
        "setup_intent.succeeded",
    ]
    assert "charge" not in box.look("state")["objects"]


def test_decline_answers_402_and_keeps_the_attempt(box, customer):
    with pytest.raises(stripe.CardError) as caught:
        set_up(box, customer, "pm_card_chargeDeclinedInsufficientFunds")

    error = caught.value.error
    assert (caught.value.http_status, error.code, error.decline_code) == (402, "card_declined", "insufficient_funds")
    assert error.setup_intent.status == "requires_payment_method"
    stored = box.stripe.v1.setup_intents.retrieve(error.setup_intent.id)
    assert (stored.last_setup_error.code, stored.payment_method) == ("card_declined", None)
    assert methods_of(box, customer) == []
    assert events(box)[-1][0] == "setup_intent.setup_failed"
    attempt = box.stripe.v1.setup_attempts.list({"setup_intent": stored.id}).data[0]
    assert (attempt.status, attempt.setup_error.decline_code) == ("failed", "insufficient_funds")
    again = box.stripe.v1.setup_intents.confirm(stored.id, {"payment_method": "pm_card_visa"})
    assert (again.status, again.last_setup_error) == ("succeeded", None)


def test_card_that_fails_only_when_charged_is_set_up(box, customer):
    intent = set_up(box, customer, "pm_card_chargeCustomerFail")

    assert intent.status == "succeeded"
    with pytest.raises(stripe.CardError):
        pay_with(box, intent.payment_method, customer=customer.id, off_session=True)


@pytest.mark.parametrize(
    ("card", "later"),
    [
        ("pm_card_authenticationRequiredOnSetup", "succeeded"),
        ("pm_card_authenticationRequired", "authentication_required"),
    ],
)
def test_authenticated_card_pays_off_session_if_its_bank_lets_it(box, customer, card, later):
    intent = set_up(box, customer, card, return_url="https://shop.example/back?a=1")
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    page = intent.next_action.redirect_to_url.url
    assert "Confirm your card" in requests.get(page, timeout=5).text

    done = requests.post(page, data={"answer": "complete"}, allow_redirects=False, timeout=9)

    assert done.headers["Location"].startswith(f"https://shop.example/back?a=1&setup_intent={intent.id}&setup_intent_")
    assert done.headers["Location"].endswith("redirect_status=succeeded")
    intent = box.stripe.v1.setup_intents.retrieve(intent.id, {"expand": ["latest_attempt"]})
    assert intent.status == "succeeded"
    assert intent.latest_attempt.payment_method_details.card.three_d_secure.result == "authenticated"
    assert len(box.stripe.v1.setup_attempts.list({"setup_intent": intent.id}).data) == 1
    assert pay_off_session(box, customer, intent.payment_method) == later
    present = pay_with(box, intent.payment_method, customer=customer.id)
    assert present.status == "requires_action"


def test_failed_check(box, customer):
    intent = set_up(box, customer, "pm_card_authenticationRequired")
    assert intent.next_action.type == "use_stripe_sdk"

    requests.post(intent.next_action.use_stripe_sdk["stripe_js"], data={"answer": "fail"}, timeout=9)

    intent = box.stripe.v1.setup_intents.retrieve(intent.id)
    assert (intent.status, intent.last_setup_error.code) == (
        "requires_payment_method",
        "setup_intent_authentication_failure",
    )
    assert methods_of(box, customer) == []


def test_check_is_answered_by_a_control_call(box, customer):
    intent = set_up(box, customer, "pm_card_authenticationRequired")
    payment = pay_with(box, "pm_card_authenticationRequired", customer=customer.id)

    failed = box.control(f"setup_intents/{intent.id}/authenticate", passed=False)["intent"]
    assert (failed["status"], failed["last_setup_error"]["code"]) == (
        "requires_payment_method",
        "setup_intent_authentication_failure",
    )
    done = box.control(f"payment_intents/{payment.id}/authenticate")["intent"]
    assert (done["id"], done["status"]) == (payment.id, "succeeded")
    again = requests.post(f"{box.url}/_control/setup_intents/{intent.id}/authenticate", json={}, timeout=5)
    assert again.status_code == 400
    assert requests.post(f"{box.url}/_control/setup_intents/seti_x/authenticate", timeout=5).status_code == 404


def test_without_a_customer_the_method_stays_free(box, customer):
    intent = set_up(box)

    assert intent.status == "succeeded"
    attached = box.stripe.v1.payment_methods.attach(intent.payment_method, {"customer": customer.id})
    assert attached.customer == customer.id


def test_bank_account_is_set_up_with_a_mandate(box, customer):
    method = box.stripe.v1.payment_methods.create(
        {
            "type": "sepa_debit",
            "sepa_debit": {"iban": "AT611904300234573201"},
            "billing_details": {"name": "Ada", "email": "ada@example.com"},
        }
    )
    assert refusal(lambda: set_up(box, customer, method.id)) == (None, "payment_method")

    intent = set_up(box, customer, method.id, allowed_payment_method_types=["card", "sepa_debit"])

    assert intent.status == "succeeded"
    assert box.stripe.v1.mandates.retrieve(intent.mandate).payment_method == method.id
    assert methods_of(box, customer, type="sepa_debit") == [method.id]


def test_canceled(box):
    intents = box.stripe.v1.setup_intents
    intent = intents.cancel(intents.create().id, {"cancellation_reason": "abandoned"})

    assert (intent.status, intent.cancellation_reason) == ("canceled", "abandoned")
    assert refusal(intents.confirm, intent.id, {"payment_method": "pm_card_visa"})[0] == "setup_intent_unexpected_state"


def test_lists(box, customer):
    first, second = set_up(box, customer), set_up(box)
    intents = box.stripe.v1.setup_intents

    assert [i.id for i in intents.list().data] == [second.id, first.id]
    assert [i.id for i in intents.list({"customer": customer.id}).data] == [first.id]
    assert [i.id for i in intents.list({"payment_method": second.payment_method}).data] == [second.id]


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"confirm": True}, "setup_intent_unexpected_state", None),
        ({"customer": "cus_none"}, "resource_missing", "customer"),
        ({"payment_method": "pm_none"}, "resource_missing", "payment_method"),
        ({"usage": "sometimes"}, None, "usage"),
        ({"return_url": "https://shop.example"}, None, "return_url"),
        ({"flow_directions": ["inbound"]}, "sandbox_unsupported", "flow_directions"),
        ({"excluded_payment_method_types": ["card"]}, None, "allowed_payment_method_types"),
    ],
)
def test_bad_parameters(box, params, code, param):
    assert refusal(box.stripe.v1.setup_intents.create, params) == (code, param)
    assert "setup_intent" not in box.look("state")["objects"]


def test_payment_method_types_by_version(box):
    body = "payment_method_types[]=card&payment_method_types[]=sepa_debit"

    assert box.raw("POST", "/v1/setup_intents", body).json()["payment_method_types"] == ["card", "sepa_debit"]
    refused = box.raw("POST", "/v1/setup_intents", body, Stripe_Version=ENDIVE)
    assert refused.json()["error"]["code"] == "payment_method_types_no_longer_supported"


def test_client_secret_must_match(box):
    intent = box.stripe.v1.setup_intents.create()

    assert refusal(box.stripe.v1.setup_intents.retrieve, intent.id, {"client_secret": "seti_x"}) == (
        None,
        "client_secret",
    )
    same = {"client_secret": intent.client_secret}
    assert box.stripe.v1.setup_intents.retrieve(intent.id, same).id == intent.id
