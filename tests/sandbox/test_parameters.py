"""Who asks, with which parameters, in which version, and what is expanded."""

from __future__ import annotations

import base64
import time

import pytest
import requests
import stripe

from tests.sandbox.conftest import API_KEY, ENDIVE, price_data, refusal

UNIT_AMOUNT = "line_items[0][price_data][unit_amount]"


def one_line(amount=1500, currency="usd", quantity=1, **more):
    return {"line_items": [{"price_data": price_data(amount, currency), "quantity": quantity, **more}]}


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


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"mode": None}, "parameter_missing", "mode"),
        ({"mode": "paymnt"}, None, "mode"),
        ({"ui_mode": "hosted"}, None, "ui_mode"),
        ({"line_items": None}, "parameter_missing", "line_items"),
        ({"line_itemz": "x"}, "parameter_unknown", "line_itemz"),
        (one_line(quantity=0), "parameter_invalid_integer", "line_items[0][quantity]"),
        (one_line(quantity="two"), "parameter_invalid_integer", "line_items[0][quantity]"),
        (one_line(colour="red"), "parameter_unknown", "line_items[0][colour]"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "resource_missing", "line_items[0][price]"),
        (one_line(10), "amount_too_small", "line_items"),
        (one_line(99999999, quantity=2), "amount_too_large", "line_items"),
        (one_line(500, "xyz"), None, "line_items[0][price_data][currency]"),
        (one_line(550, "isk"), "invalid_charge_amount_no_decimal_compatible", UNIT_AMOUNT),
        (one_line(1001, "kwd"), None, UNIT_AMOUNT),
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
)
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
