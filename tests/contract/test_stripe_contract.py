"""The checker itself: it finds what is wrong and lets pass what is right."""

from __future__ import annotations

import pytest

from tests.contract.stripe_contract import Problem, check_object, check_request, endpoints

CREATE = "POST /v1/checkout/sessions"
PRICE = {"currency": "usd", "unit_amount": 1500, "product_data": {"name": "Gloves"}}
ENDPOINT = {
    "id": "we_1",
    "object": "webhook_endpoint",
    "created": 1,
    "enabled_events": ["*"],
    "livemode": False,
    "metadata": {},
    "status": "enabled",
    "url": "https://shop.example",
}


def kinds(problems: list[Problem]) -> set[tuple[str, str]]:
    return {(p.path, p.kind) for p in problems}


def test_good_requests_pass():
    session = {"mode": "payment", "line_items": [{"price_data": PRICE, "quantity": 2}], "metadata": {"order": "7"}}
    customer = {"tax_exempt": "", "business_name": "Proshop", "address": {"line1": "Main St 1"}, "email": "a@b.c"}

    assert check_request(CREATE, session) == []
    assert check_request("POST /v1/customers", customer) == []
    assert check_request("POST /v1/refunds", {"payment_intent": "pi_1", "amount": "500"}, form=True) == []
    assert check_request("POST /v1/checkout/sessions/cs_1/expire", {}) == []
    assert check_request("GET /v1/events", {"types": ["charge.refunded"], "created": {"gte": 1}}) == []


def test_bad_requests_are_named_by_path_and_kind():
    bad = {
        "mode": "paymnt",
        "payment_method_types": ["card"],
        "idempotency_key": "k",
        "line_items": [{"price_data": {"unit_amount": "15"}, "quantity": True}],
    }

    assert kinds(check_request(CREATE, bad)) == {
        ("mode", "unknown_value"),
        ("payment_method_types", "unknown_key"),
        ("idempotency_key", "unknown_key"),
        ("line_items[0].price_data.unit_amount", "wrong_type"),
        ("line_items[0].price_data.currency", "missing_key"),
        ("line_items[0].quantity", "wrong_type"),
    }
    assert kinds(check_request("POST /v1/refunds", {"amount": "5.5"}, form=True)) == {("amount", "wrong_type")}
    assert kinds(check_request("POST /v1/refunds", {"reason": "because"})) == {("reason", "unknown_value")}
    assert check_request("POST /v1/refunds", {"reason": "because"}, open_enums=True) == []
    assert kinds(check_request("POST /v1/payment_intents", {"amount": 100})) == {("currency", "missing_key")}


@pytest.mark.parametrize("target", ["POST /v1/nothing", "PUT /v1/refunds"])
def test_an_endpoint_that_the_library_does_not_have_is_an_error(target):
    with pytest.raises(LookupError):
        check_request(target, {})


def test_the_table_of_endpoints_is_complete():
    assert len(endpoints()) > 600


def test_objects():
    assert check_object(ENDPOINT) == []
    assert kinds(check_object({**ENDPOINT, "created": "1", "livemode": 0, "urll": "x"})) == {
        ("created", "wrong_type"),
        ("livemode", "wrong_type"),
        ("urll", "unknown_key"),
    }
    assert kinds(check_object({k: v for k, v in ENDPOINT.items() if k != "status"})) == {("status", "missing_key")}
    assert kinds(check_object({"object": "chrage"})) == {("object", "unknown_object")}


def test_objects_inside_lists_and_events():
    listed = {"object": "list", "data": [{**ENDPOINT, "url": 1}], "has_more": False, "url": "/"}
    event = {"object": "event", "data": {"object": {**ENDPOINT, "url": 1}}}

    assert kinds(check_object(listed)) == {("data[0].url", "wrong_type")}
    assert ("data.object.url", "wrong_type") in kinds(check_object(event))
