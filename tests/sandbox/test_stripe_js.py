"""The calls of a page in a browser: Stripe.js, publishable keys, other origins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import launch
from tests.sandbox.test_customers import customer, methods_of

__all__ = ["customer"]  # a fixture that this module's tests use

KEY = "pk_test_anything"
SHOP = "https://shop.example"
CARD = "type=card&card[number]=4242424242424242&card[exp_month]=12&card[exp_year]=2034&card[cvc]=123"


def ask(box, method, path, data="", key=KEY, **headers):
    return box.raw(method, path, data, Authorization=f"Bearer {key}", Origin=SHOP, **headers)


def intent_of(box, **params):
    return box.stripe.v1.payment_intents.create({"amount": 2000, "currency": "usd", **params})


# Publishable keys


def test_page_pays_with_the_client_secret(box, customer):
    intent = intent_of(box, customer=customer.id, metadata={"cost_price": "1"})

    made = ask(box, "POST", "/v1/payment_methods", CARD)
    body = f"client_secret={intent.client_secret}&payment_method={made.json()['id']}"
    paid = ask(box, "POST", f"/v1/payment_intents/{intent.id}/confirm", body)
    read = ask(box, "GET", f"/v1/payment_intents/{intent.id}?client_secret={intent.client_secret}")

    assert (made.status_code, paid.status_code, paid.json()["status"]) == (200, 200, "succeeded")
    assert read.json() == paid.json()
    for answer in (made, paid, read):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert not {"customer", "metadata", "latest_charge"} & set(answer.json())
    assert box.stripe.v1.payment_intents.retrieve(intent.id).amount_received == 2000


def test_page_sets_a_card_up(box, customer):
    intent = box.stripe.v1.setup_intents.create({"customer": customer.id})
    method = ask(box, "POST", "/v1/payment_methods", CARD).json()["id"]

    body = f"client_secret={intent.client_secret}&payment_method={method}"
    done = ask(box, "POST", f"/v1/setup_intents/{intent.id}/confirm", body).json()

    assert (done["status"], done["payment_method"]) == ("succeeded", method)
    assert methods_of(box, customer) == [method]


def test_decline_shows_the_page_no_more_than_it_may_know(box, customer):
    intent = intent_of(box, customer=customer.id)

    body = f"client_secret={intent.client_secret}&payment_method=pm_card_chargeDeclined"
    declined = ask(box, "POST", f"/v1/payment_intents/{intent.id}/confirm", body)

    assert declined.status_code == 402
    assert customer.id not in declined.text
    assert declined.json()["error"]["payment_intent"]["last_payment_error"]["code"] == "card_declined"


@pytest.mark.parametrize("secret", ["", "&client_secret=", "&client_secret=pi_1_secret_x", "&client_secret[a]=1"])
def test_intents_stay_closed_without_their_secret(box, secret):
    intent = intent_of(box)
    setup = box.stripe.v1.setup_intents.create()

    for path in (f"/v1/payment_intents/{intent.id}", f"/v1/setup_intents/{setup.id}", "/v1/payment_intents/pi_none"):
        answers = (
            ask(box, "GET", f"{path}?{secret}"),
            ask(box, "POST", f"{path}/confirm", f"payment_method=pm_card_visa{secret}"),
        )
        assert {a.status_code for a in answers} <= {400, 404}
    assert box.stripe.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/payment_intents"),
        ("POST", "/v1/payment_intents"),
        ("POST", "/v1/payment_intents/{intent}"),
        ("POST", "/v1/payment_intents/{intent}/capture"),
        ("POST", "/v1/payment_intents/{intent}/cancel"),
        ("GET", "/v1/payment_methods/pm_1"),
        ("POST", "/v1/payment_methods/pm_card_visa/attach"),
        ("GET", "/v1/customers"),
        ("GET", "/v1/events"),
        ("POST", "/v1/checkout/sessions"),
    ],
)
def test_everything_else_needs_the_secret_key(box, method, path):
    path = path.replace("{intent}", intent_of(box).id)
    same_site = {"Authorization": f"Bearer {KEY}"}

    refused = requests.request(method, box.url + path, headers=same_site, timeout=5)

    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "secret_key_required")
    if method == "POST":
        assert ask(box, method, path).status_code == 403
    assert "Access-Control-Allow-Origin" not in ask(box, method, path).headers


def test_page_may_send_no_more_than_it_needs(box):
    intent = intent_of(box)

    body = f"client_secret={intent.client_secret}&payment_method=pm_card_visa&off_session=true"
    refused = ask(box, "POST", f"/v1/payment_intents/{intent.id}/confirm", body)

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "off_session")
    expanded = ask(
        box, "GET", f"/v1/payment_intents/{intent.id}?client_secret={intent.client_secret}&expand[]=customer"
    )
    assert expanded.json()["error"]["param"] == "expand"


def test_kept_answer_is_not_given_without_the_secret(box):
    intent = intent_of(box)
    path, body = f"/v1/payment_intents/{intent.id}/confirm", "payment_method=pm_card_visa"
    paid = ask(box, "POST", path, f"{body}&client_secret={intent.client_secret}", Idempotency_Key="same")

    assert paid.status_code == 200
    again = ask(box, "POST", path, f"{body}&client_secret={intent.client_secret}", Idempotency_Key="same")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert ask(box, "POST", path, f"{body}&client_secret=x", Idempotency_Key="same").status_code == 404


def test_configured_key_is_the_only_one(tmp_path):
    box = launch(tmp_path / "one.sqlite3", STRIPE_PUBLIC_KEY="pk_test_mine")

    assert ask(box, "POST", "/v1/payment_methods", CARD, "pk_test_mine").status_code == 200
    assert ask(box, "POST", "/v1/payment_methods", CARD, "pk_test_other").status_code == 401
    box.stop()


# Other origins


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/v1/payment_methods", "POST", 204),
        ("/v1/payment_intents/pi_1", "GET", 204),
        ("/v1/payment_intents/pi_1/confirm", "POST", 204),
        ("/v1/setup_intents/seti_1", "GET", 204),
        ("/v1/setup_intents/seti_1/confirm", "POST", 204),
        ("/v1/payment_methods", "GET", 403),
        ("/v1/payment_intents", "POST", 403),
        ("/v1/payment_intents/pi_1", "DELETE", 403),
        ("/v1/refunds", "POST", 403),
        ("/_control/reset", "POST", 403),
        ("/panel/reset", "POST", 403),
    ],
)
def test_preflights_of_the_open_calls_only(box, path, method, status):
    headers = {"Origin": SHOP, "Access-Control-Request-Method": method, "Sec-Fetch-Site": "cross-site"}

    answer = requests.options(box.url + path, headers=headers, timeout=5)

    assert answer.status_code == status
    assert ("Access-Control-Allow-Origin" in answer.headers) == (status == 204)


def test_other_origins_are_refused_whatever_else_they_send(box):
    intent = intent_of(box)
    confirm = f"/v1/payment_intents/{intent.id}/confirm"
    secret_key = box.raw("POST", confirm, "payment_method=pm_card_visa", Origin=SHOP)
    control = ask(box, "POST", "/_control/reset")
    no_key = requests.post(f"{box.url}/v1/payment_methods", data=CARD, headers={"Origin": SHOP}, timeout=5)
    host = ask(box, "POST", "/v1/payment_methods", CARD, Host="evil.example")

    assert [a.status_code for a in (secret_key, control, no_key, host)] == [403, 403, 403, 400]
    assert box.stripe.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


# Stripe.js in a browser


@pytest.mark.parametrize("path", ["/v3/", "/v3/stripe.js", "/basil/stripe.js", "/endive/stripe.js"])
def test_script_is_served_where_stripe_has_it(box, path):
    script = requests.get(box.url + path, timeout=5)

    assert script.headers["Content-Type"].startswith("text/javascript")
    assert script.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "window.Stripe" in script.text


@pytest.fixture
def shop(box) -> Iterator[str]:
    """A page of another origin whose policy allows scripts and calls of the sandbox, and nothing more."""
    policy = f"default-src 'none'; script-src {box.url}; connect-src {box.url}"
    content = f'<!doctype html><title>Shop</title><div id="card"></div><script src="{box.url}/v3/stripe.js"></script>'

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Security-Policy", policy)
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/cards"
    server.shutdown()


@pytest.fixture
def page(browser, shop) -> Iterator[Any]:
    """The shop's page with a mounted card element; `said` holds complaints about its policy."""
    context = browser.new_context()
    opened = context.new_page()
    opened.said = []
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.goto(shop)
    opened.evaluate(
        "window.stripe = Stripe('pk_test_x'); window.card = stripe.elements().create('card'); card.mount('#card')"
    )
    yield opened
    context.close()
    assert [text for text in opened.said if "Content Security Policy" in text] == []


def fill(page: Any, number: str) -> None:
    page.get_by_label("Card number").fill("")
    page.get_by_label("Card number").press_sequentially(number)
    page.get_by_label("Expiry").fill("")
    page.get_by_label("Expiry").press_sequentially("1234")
    page.get_by_label("CVC").fill("123")


@pytest.mark.browser
def test_card_is_typed_declined_and_saved(page, box, customer):
    intent = box.stripe.v1.setup_intents.create({"customer": customer.id})
    confirm = "secret => stripe.confirmCardSetup(secret, {payment_method: {card, billing_details: {name: 'Ada'}}})"

    assert page.evaluate(confirm, intent.client_secret)["error"]["code"] == "incomplete_number"
    fill(page, "4000000000000002")
    assert page.get_by_label("Card number").input_value() == "4000 0000 0000 0002"
    error = page.evaluate(confirm, intent.client_secret)["error"]
    assert (error["type"], error["code"], error["decline_code"]) == ("card_error", "card_declined", "generic_decline")
    assert error["message"] == "Your card was declined."
    fill(page, "4242424242424242")
    done = page.evaluate(confirm, intent.client_secret)["setupIntent"]

    assert done["status"] == "succeeded"
    (kept,) = box.stripe.v1.customers.payment_methods.list(customer.id).data
    assert (kept.id, kept.billing_details.name, kept.card.exp_year) == (done["payment_method"], "Ada", 2034)
    wrong = page.evaluate("() => stripe.retrieveSetupIntent('seti_1_secret_2')")
    assert wrong["error"]["code"] == "resource_missing"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("button", "redirect_status", "status"),
    [
        ("Complete authentication", "succeeded", "succeeded"),
        ("Fail authentication", "failed", "requires_payment_method"),
    ],
)
def test_three_d_secure_is_a_redirect_and_back(page, box, shop, button, redirect_status, status):
    intent = intent_of(box)
    fill(page, "4000002760003184")
    page.evaluate(
        "secret => { stripe.confirmCardPayment(secret, {payment_method: {card}}) }",
        intent.client_secret,
    )

    page.get_by_role("button", name=button).click()

    page.wait_for_url(f"{shop}?**")
    assert f"payment_intent={intent.id}" in page.url
    assert page.url.endswith(f"redirect_status={redirect_status}")
    secret = "new URLSearchParams(location.search).get('payment_intent_client_secret')"
    found = page.evaluate(f"Stripe('pk_test_x').retrievePaymentIntent({secret})")["paymentIntent"]
    assert found["status"] == status


@pytest.mark.browser
def test_saved_card_is_confirmed_by_its_id_and_may_leave_the_redirect_to_the_page(page, box, customer):
    method = box.stripe.v1.payment_methods.attach("pm_card_authenticationRequired", {"customer": customer.id})
    intent = intent_of(box, customer=customer.id)
    values = {"secret": intent.client_secret, "method": method.id}

    answer = page.evaluate(
        "v => stripe.confirmCardPayment(v.secret, {payment_method: v.method}, {handleActions: false})", values
    )

    assert answer["paymentIntent"]["status"] == "requires_action"
    page.evaluate("v => { stripe.confirmCardPayment(v.secret, {return_url: location.origin + '/done'}) }", values)
    page.get_by_role("button", name="Complete authentication").click()
    page.wait_for_url("**/done?**")
    assert box.stripe.v1.payment_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.browser
@pytest.mark.parametrize("return_url", ["https://shop.example/done", None])
def test_check_of_an_intent_that_the_server_confirmed_is_a_redirect_too(page, box, customer, shop, return_url):
    method = box.stripe.v1.payment_methods.attach("pm_card_authenticationRequired", {"customer": customer.id})
    intent = intent_of(
        box, customer=customer.id, automatic_payment_methods={"enabled": True, "allow_redirects": "never"}
    )
    where = {"return_url": return_url} if return_url else {}
    waiting = box.stripe.v1.payment_intents.confirm(intent.id, {"payment_method": method.id, **where})
    assert waiting.status == "requires_action"
    page.route("https://shop.example/**", lambda route: route.fulfill(body="back", content_type="text/plain"))

    page.evaluate("secret => { stripe.handleNextAction({clientSecret: secret}) }", intent.client_secret)
    page.get_by_role("button", name="Complete authentication").click()

    page.wait_for_url(f"{return_url or shop}?**redirect_status=succeeded")
    assert box.stripe.v1.payment_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.browser
def test_intent_that_waits_for_no_check_has_no_next_action(page, box):
    intent = intent_of(box)
    setup = box.stripe.v1.setup_intents.create()

    for secret in (intent.client_secret, setup.client_secret):
        answer = page.evaluate("secret => stripe.handleNextAction({clientSecret: secret})", secret)
        assert answer["error"]["code"] == "intent_unexpected_state"
    wrong = page.evaluate("() => stripe.handleNextAction({clientSecret: 'pi_1_secret_2'})")
    assert wrong["error"]["code"] == "resource_missing"


@pytest.mark.browser
def test_element_tells_when_it_is_complete(page):
    page.evaluate("window.seen = []; card.on('change', e => seen.push([e.empty, e.complete]))")

    fill(page, "4242424242424242")
    page.evaluate("card.clear()")

    assert page.evaluate("seen")[-3:] == [[False, False], [False, True], [True, False]]
    assert "publishable key" in page.evaluate(
        "(() => { try { Stripe('sk_test_x') } catch (e) { return e.message } })()"
    )
    assert page.evaluate("stripe.retrievePaymentIntent('pi_1_secret_2').then(a => Object.keys(a))") == ["error"]
