"""Everything that the sandbox hands out has the shape that the installed `stripe` library expects."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from tests.contract.stripe_contract import Problem, check_object
from tests.sandbox.conftest import Box, Receiver

KINDS = {
    "product": "products",
    "price": "prices",
    "checkout.session": "checkout/sessions",
    "payment_intent": "payment_intents",
    "charge": "charges",
    "customer": "customers",
    "setup_intent": "setup_intents",
    "refund": "refunds",
    "dispute": "disputes",
    "balance_transaction": "balance_transactions",
    "payout": "payouts",
    "event": "events",
    "webhook_endpoint": "webhook_endpoints",
}


def live_through_everything(box: Box, new_session: Any) -> None:
    """One of each outcome that the sandbox knows."""
    v1 = box.stripe.v1
    product = v1.products.create({"name": "Gloves", "description": "Warm", "metadata": {"sku": "G1"}})
    v1.products.update(product.id, {"description": "Warmer"})
    price = v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 1500})
    v1.prices.update(price.id, {"nickname": "standard"})
    for method in ("pm_card_visa", "pm_card_amex", "pm_card_chargeDeclined", "pm_card_radarBlock"):
        session = new_session(
            line_items=[{"price": price.id, "quantity": 1}],
            customer_email="ada@example.com",
            shipping_address_collection={"allowed_countries": ["US"]},
            phone_number_collection={"enabled": True},
            custom_text={"submit": {"message": "Thank you"}},
        )
        with contextlib.suppress(AssertionError):
            box.control(f"sessions/{session.id}/pay", payment_method=method)
    for iban in ("AT611904300234573201", "AT861904300235473202"):
        box.control(f"sessions/{new_session(currency='eur').id}/pay", payment_method=iban)
    box.control(f"sessions/{new_session(amount=0).id}/pay")
    box.control(f"sessions/{new_session().id}/expire")
    held = new_session()
    box.control(f"sessions/{held.id}/pay", payment_method="pm_card_authenticationRequired")
    box.control(f"sessions/{held.id}/authenticate")
    intents = v1.payment_intents
    plain = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    with contextlib.suppress(stripe.CardError):
        intents.create({**plain, "payment_method": "pm_card_chargeDeclined"})
    intents.create({**plain, "payment_method": "pm_card_authenticationRequired"})
    intents.create({**plain, "payment_method": "pm_card_threeDSecure2Required", "return_url": "https://shop.example"})
    intents.capture(intents.create({**plain, "capture_method": "manual"}).id, {"amount_to_capture": 500})
    intents.cancel(intents.create({**plain, "capture_method": "manual"}).id)
    intents.create({"amount": 2000, "currency": "usd", "shipping": {"name": "Ada", "address": {"line1": "1 Main St"}}})
    box.control("advance", seconds=3600)
    live_through_reversals(box, new_session)
    keep_cards(box, new_session)


def live_through_reversals(box: Box, new_session: Any) -> None:
    """Refunds in every state, disputes and inquiries with every outcome."""
    v1 = box.stripe.v1

    def pay(method: str) -> stripe.PaymentIntent:
        return v1.payment_intents.create({"amount": 2000, "currency": "usd", "payment_method": method, "confirm": True})

    for method in ("pm_card_visa", "pm_card_pendingRefund", "pm_card_refundFail"):
        refund = v1.refunds.create({"payment_intent": pay(method).id, "reason": "fraudulent"})
        v1.refunds.update(refund.id, {"metadata": {"order": "7"}})
    for status in ("pending", "requires_action", "failed", "canceled"):
        refund = v1.refunds.create({"payment_intent": pay("pm_card_visa").id, "amount": 500})
        box.control(f"refunds/{refund.id}/set", status=status)
    debited = new_session(currency="eur")
    box.control(f"sessions/{debited.id}/pay", payment_method="AT611904300234573201")
    box.control("settle")
    intent = v1.checkout.sessions.retrieve(debited.id).payment_intent
    v1.refunds.create({"payment_intent": str(intent), "amount": 500})
    box.control(f"charges/{intent}/dispute")
    for text in ("winning_evidence", "losing_evidence", "escalate_inquiry_evidence", "Here is what happened"):
        for method in ("pm_card_createDispute", "pm_card_createDisputeInquiry"):
            dispute = v1.disputes.list({"payment_intent": pay(method).id}).data[0]
            v1.disputes.update(
                dispute.id, {"metadata": {"order": "7"}, "evidence": {"customer_name": "Ada"}, "submit": False}
            )
            v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": text}})
    box.control("advance", seconds=60)


def keep_cards(box: Box, new_session: Any) -> None:
    """Customers, their methods and set-ups, with one of each outcome."""
    v1 = box.stripe.v1
    home = {"name": "Ada", "address": {"line1": "1 Main St", "country": "US"}}
    customer = v1.customers.create({"email": "ada@example.com", "shipping": home, "address": home["address"]})
    v1.customers.update(customer.id, {"name": "Ada", "metadata": {"user": "7"}})
    kept = v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    v1.payment_methods.update(kept.id, {"allow_redisplay": "always"})
    box.control(f"payment_methods/{kept.id}/replace")
    v1.payment_methods.detach(v1.payment_methods.attach("pm_card_amex", {"customer": customer.id}).id)
    options = {"saved_payment_method_options": {"payment_method_save": "enabled"}, "customer_update": {"name": "auto"}}
    box.control(f"sessions/{new_session(customer=customer.id, **options).id}/pay", save=True)
    box.control(f"sessions/{new_session(customer_creation='always').id}/pay")
    plain = {"customer": customer.id, "confirm": True}
    v1.setup_intents.create({**plain, "payment_method": "pm_card_visa"})
    for card, passed in (("pm_card_authenticationRequired", True), ("pm_card_threeDSecure2Required", False)):
        waiting = v1.setup_intents.create({**plain, "payment_method": card, "return_url": "https://shop.example"})
        box.control(f"setup_intents/{waiting.id}/authenticate", passed=passed)
    v1.setup_intents.create({**plain, "payment_method": "pm_card_authenticationRequired"})
    with contextlib.suppress(stripe.CardError):
        v1.setup_intents.create({**plain, "payment_method": "pm_card_chargeDeclined"})
    v1.setup_intents.cancel(v1.setup_intents.create().id, {"cancellation_reason": "abandoned"})
    v1.customers.delete(v1.customers.create({"payment_method": "pm_card_visa"}).id)
    box.control("advance", seconds=5)
    box.control("advance", seconds=2 * 86400)
    box.control("payout")


def everything(box: Box) -> Iterator[dict[str, Any]]:
    for kind, path in KINDS.items():
        page = json.loads(box.raw("GET", f"/v1/{path}?limit=100").text)
        assert page["data"], f"no {kind} was made"
        yield from page["data"]
    for session in json.loads(box.raw("GET", "/v1/checkout/sessions?limit=100").text)["data"]:
        yield json.loads(box.raw("GET", f"/v1/checkout/sessions/{session['id']}/line_items").text)
    for charge in json.loads(box.raw("GET", "/v1/charges?limit=100").text)["data"]:
        yield json.loads(box.raw("GET", f"/v1/payment_methods/{charge['payment_method']}").text)
        if charge["payment_method_details"]["type"] == "sepa_debit":
            mandate = charge["payment_method_details"]["sepa_debit"]["mandate"]
            yield json.loads(box.raw("GET", f"/v1/mandates/{mandate}").text)
    yield json.loads(box.raw("GET", "/v1/balance").text)
    for customer in json.loads(box.raw("GET", "/v1/customers?limit=100").text)["data"]:
        yield json.loads(box.raw("GET", f"/v1/customers/{customer['id']}/payment_methods").text)
    for intent in json.loads(box.raw("GET", "/v1/setup_intents?limit=100").text)["data"]:
        yield from json.loads(box.raw("GET", f"/v1/setup_attempts?setup_intent={intent['id']}").text)["data"]


@pytest.fixture
def lived(box: Box, new_session: Any) -> Box:
    live_through_everything(box, new_session)
    return box


# Stripe's example charge shows the refunds that the API leaves out unless they are expanded, and its example charge
# and payment method were paid by card.
EXAMPLE_ONLY = {"refunds", "card"}


def problems(found: Any, fixtures: Path | None) -> list[Problem]:
    return [
        p._replace(path=f"{found.get('object')}.{p.path}")
        for p in check_object(found, fixtures=fixtures)
        if not (fixtures and p.kind == "missing_key" and p.path.rpartition(".")[2] in EXAMPLE_ONLY)
    ]


def test_every_object_and_event_conforms(lived, fixtures):
    found = list(everything(lived))

    kinds = {o["object"] for o in found}
    assert kinds >= {*KINDS, "payment_method", "balance", "mandate", "setup_attempt", "list"}
    assert [p for o in found for p in problems(o, fixtures)] == []


def test_every_delivered_event_conforms(box: Box, new_session: Any, receiver: Receiver, fixtures: Path | None):
    # Delivered one after another once all has happened: no clock decides whether the last has come yet.
    box.control("hold")
    live_through_everything(box, new_session)
    emitted = {e["id"] for e in box.look("events", limit=1000)["data"]}
    released = requests.post(f"{box.url}/_control/release", json={}, timeout=600).json()["answers"]
    assert [each for each in released if each["status"] != 200] == []
    assert {e["id"] for e in receiver.events} == emitted

    assert len({e["type"] for e in receiver.events}) >= 30
    assert [p for e in receiver.events for p in problems(e, fixtures)] == []


def test_expanded_objects_conform(lived, fixtures):
    path = "/v1/checkout/sessions?limit=100&expand[]=data.payment_intent.latest_charge&expand[]=data.line_items"
    sessions = json.loads(lived.raw("GET", path).text)

    assert any(s["payment_intent"] and s["payment_intent"]["latest_charge"]["id"] for s in sessions["data"])
    assert [p for s in sessions["data"] for p in problems(s, fixtures)] == []
    charges = json.loads(lived.raw("GET", "/v1/charges?expand[]=data.refunds&expand[]=data.balance_transaction").text)
    assert [p for c in charges["data"] for p in problems(c, fixtures)] == []
    for path in (
        "/v1/refunds?limit=100&expand[]=data.charge&expand[]=data.balance_transaction&expand[]=data.payment_intent"
        "&expand[]=data.failure_balance_transaction&expand[]=data.payment_method",
        "/v1/disputes?limit=100&expand[]=data.charge.refunds&expand[]=data.payment_intent",
        "/v1/balance_transactions?limit=100&expand[]=data.source",
    ):
        found = json.loads(lived.raw("GET", path).text)["data"]
        assert found
        assert [p for o in found for p in problems(o, fixtures)] == []


def test_expanded_set_ups_conform(lived, fixtures):
    path = (
        "/v1/setup_intents?limit=100&expand[]=data.customer&expand[]=data.payment_method&expand[]=data.latest_attempt"
    )
    intents = json.loads(lived.raw("GET", path).text)["data"]

    assert any(i["payment_method"] and i["latest_attempt"]["status"] == "succeeded" for i in intents)
    assert [p for i in intents for p in problems(i, fixtures)] == []


def test_error_bodies_carry_an_intent_that_conforms(box, fixtures):
    data = "amount=2000&currency=usd&confirm=true&payment_method=pm_card_chargeDeclined"
    error = box.raw("POST", "/v1/payment_intents", data).json()["error"]

    assert problems(error["payment_intent"], fixtures) == []
    assert problems(error["payment_method"], fixtures) == []
    error = box.raw("POST", "/v1/setup_intents", "confirm=true&payment_method=pm_card_chargeDeclined").json()["error"]
    assert problems(error["setup_intent"], fixtures) == []
