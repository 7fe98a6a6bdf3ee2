"""Sessions of known customers: saved cards, saving while paying, what the customer learns."""

from __future__ import annotations

import pytest
import requests
import stripe

from tests.sandbox.conftest import refusal
from tests.sandbox.test_checkout_page import CARD
from tests.sandbox.test_customers import attach, customer, events, methods_of, pay_off_session

__all__ = ["customer"]  # a fixture that this module's tests use

SAVING = {"saved_payment_method_options": {"payment_method_save": "enabled", "payment_method_remove": "enabled"}}


def keep(box, customer, method="pm_card_visa", shown="always"):
    """A card of the customer that the page shows again."""
    kept = attach(box, customer, method)
    return box.stripe.v1.payment_methods.update(kept.id, {"allow_redisplay": shown})


def submit(session, **typed):
    return requests.post(session.url, data=typed, allow_redirects=False, timeout=20)


def read(box, session):
    return box.stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})


def test_page_knows_the_customer_and_the_cards_that_may_be_shown(box, new_session, customer):
    shown, limited, unspecified = (keep(box, customer, shown=s) for s in ("always", "limited", "unspecified"))
    session = new_session(customer=customer.id)
    assert session.customer_details.email == "ada@example.com"
    assert session.saved_payment_method_options.to_dict() == {
        "allow_redisplay_filters": ["always"],
        "payment_method_remove": None,
        "payment_method_save": None,
    }

    page = requests.get(session.url, timeout=5).text

    assert "ada@example.com" in page
    assert 'name="email"' not in page
    assert "Another card" in page
    assert shown.id in page
    assert limited.id not in page
    assert unspecified.id not in page
    assert "Save my card" not in page
    wide = {"allow_redisplay_filters": ["always", "limited", "unspecified"]}
    page = requests.get(new_session(customer=customer.id, saved_payment_method_options=wide).url, timeout=5).text
    assert all(method.id in page for method in (shown, limited, unspecified))


def test_saved_card_pays(box, new_session, customer):
    kept = keep(box, customer, "pm_card_mastercard")
    session = new_session(customer=customer.id)

    answer = submit(session, method=kept.id)

    assert answer.status_code == 303
    paid = read(box, session)
    assert (paid.payment_status, paid.customer) == ("paid", customer.id)
    assert paid.customer_details.name == "Ada"
    assert (paid.payment_intent.payment_method, paid.payment_intent.customer) == (kept.id, customer.id)
    assert paid.payment_intent.latest_charge.customer == customer.id
    assert methods_of(box, customer) == [kept.id]
    assert submit(new_session(customer=customer.id), method=kept.id).status_code == 303


def test_card_of_another_customer_cannot_pay(box, new_session, customer):
    other = box.stripe.v1.customers.create({"email": "eve@example.com"})
    kept = keep(box, other)
    session = new_session(customer=customer.id)

    answer = submit(session, method=kept.id)

    assert "The name on the card is required." in answer.text
    pay = requests.post(f"{box.url}/_control/sessions/{session.id}/pay", json={"payment_method": kept.id}, timeout=9)
    assert pay.status_code == 409
    body = f"payment_method={kept.id}&expected_amount=3000"
    assert box.raw("POST", f"/v1/payment_pages/{session.id}/confirm", body).status_code == 400
    assert read(box, session).payment_intent is None


@pytest.mark.parametrize(("ticked", "kept"), [({"save": "yes"}, 1), ({}, 0)])
def test_customer_decides_whether_the_card_is_saved(box, new_session, customer, ticked, kept):
    session = new_session(customer=customer.id, **SAVING)
    assert "Save my card for future purchases" in requests.get(session.url, timeout=5).text

    assert submit(session, **CARD, number="4242424242424242", **ticked).status_code == 303

    assert len(methods_of(box, customer, allow_redisplay="always")) == kept
    assert len(methods_of(box, customer)) == kept
    attached = [kind for kind, _ in events(box) if kind == "payment_method.attached"]
    assert len(attached) == kept


def test_wish_to_save_survives_three_d_secure(box, new_session, customer):
    session = new_session(customer=customer.id, **SAVING)
    challenge = submit(session, **CARD, number="4000002760003184", save="yes")
    assert methods_of(box, customer) == []

    check = box.url + challenge.headers["Location"]
    requests.post(check, data={"answer": "complete"}, allow_redirects=False, timeout=20)

    assert len(methods_of(box, customer, allow_redisplay="always")) == 1


def test_declined_card_is_not_saved(box, new_session, customer):
    session = new_session(customer=customer.id, **SAVING)

    again = submit(session, **CARD, number="4000000000000002", save="yes").text

    assert 'name="save" value="yes" checked' in again
    assert methods_of(box, customer) == []


@pytest.mark.parametrize(
    ("usage", "notice"), [("on_session", "saved for your next purchase"), ("off_session", "may charge them later")]
)
@pytest.mark.parametrize(("saving", "shown"), [({}, "limited"), (SAVING, "always")])
def test_shop_decides_that_the_card_is_kept(box, new_session, customer, usage, notice, saving, shown):
    session = new_session(customer=customer.id, payment_intent_data={"setup_future_usage": usage}, **saving)
    assert notice in requests.get(session.url, timeout=5).text

    submit(session, **CARD, number="4242424242424242", **({"save": "yes"} if saving else {}))

    assert len(methods_of(box, customer, allow_redisplay=shown)) == 1
    intent = read(box, session).payment_intent
    assert intent.setup_future_usage == usage


def test_card_set_up_while_paying_is_charged_later(box, new_session, customer):
    session = new_session(customer=customer.id, payment_intent_data={"setup_future_usage": "off_session"})
    box.control(f"sessions/{session.id}/pay", payment_method="pm_card_authenticationRequiredOnSetup")
    box.control(f"sessions/{session.id}/authenticate", passed=True)

    (kept,) = methods_of(box, customer)
    assert pay_off_session(box, customer, kept) == "succeeded"


def test_saved_card_is_removed_on_the_page(box, new_session, customer):
    kept = keep(box, customer)
    other = keep(box, box.stripe.v1.customers.create())
    session = new_session(customer=customer.id, **SAVING)

    assert "Remove Visa ending in 4242" in requests.get(session.url, timeout=5).text
    assert submit(new_session(customer=customer.id), remove=kept.id).status_code == 303
    assert methods_of(box, customer) == [kept.id]
    submit(session, remove=other.id)
    assert box.stripe.v1.payment_methods.retrieve(other.id).customer is not None
    answer = submit(session, remove=kept.id)

    assert session.url.endswith(answer.headers["Location"])
    assert methods_of(box, customer) == []
    assert read(box, session).status == "open"
    assert events(box)[-1] == ("payment_method.detached", {"customer": customer.id})


def test_pay_call_saves_and_takes_saved_cards(box, new_session, customer):
    first = new_session(customer=customer.id, **SAVING)
    box.control(f"sessions/{first.id}/pay", payment_method="5555555555554444", save=True)
    (kept,) = methods_of(box, customer, allow_redisplay="always")
    before = box.stripe.v1.payment_methods.retrieve(kept).to_dict()

    paid = box.control(f"sessions/{new_session(customer=customer.id).id}/pay", payment_method=kept, name="Eve")

    assert paid["session"]["payment_status"] == "paid"
    assert box.stripe.v1.payment_methods.retrieve(kept).to_dict() == before
    refused = requests.post(f"{box.url}/_control/sessions/{new_session().id}/pay", json={"save": True}, timeout=9)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "save")


def test_customer_is_made_when_always_wanted(box, new_session):
    session = new_session(customer_creation="always", **SAVING)
    assert (session.customer, session.customer_creation) == (None, "always")

    submit(session, **CARD, number="4000000000000002")
    submit(session, **CARD, number="4242424242424242", save="yes")

    paid = read(box, session)
    made = box.stripe.v1.customers.retrieve(paid.customer)
    assert (made.email, made.name) == ("ada@example.com", "Ada Lovelace")
    assert paid.payment_intent.customer == made.id
    assert len(methods_of(box, made)) == 1
    assert len(box.stripe.v1.customers.list().data) == 1
    guest = new_session(payment_intent_data={"setup_future_usage": "off_session"})
    box.control(f"sessions/{guest.id}/pay")
    assert read(box, guest).customer is None


def test_customer_learns_what_was_typed_if_the_shop_wants_it(box, new_session):
    customer = box.stripe.v1.customers.create({"name": "A."})
    update = {"name": "auto", "shipping": "auto", "address": "never"}
    session = new_session(
        customer=customer.id, customer_update=update, shipping_address_collection={"allowed_countries": ["DE"]}
    )

    submit(
        session,
        **CARD,
        number="4242424242424242",
        shipping_name="Ada Lovelace",
        line1="Hauptstr. 1",
        city="Köln",
        postal_code="50667",
        country="DE",
    )

    known = box.stripe.v1.customers.retrieve(customer.id)
    assert (known.name, known.email, known.address) == ("Ada Lovelace", "ada@example.com", None)
    assert (known.shipping.name, known.shipping.address.city) == ("Ada Lovelace", "Köln")
    assert [p for kind, p in events(box) if kind == "customer.updated"] == [
        {"email": None, "name": "A.", "shipping": None}
    ]
    filled = new_session(customer=customer.id, shipping_address_collection={"allowed_countries": ["US", "DE"]})
    page = requests.get(filled.url, timeout=5).text
    assert 'value="Köln"' in page
    assert '<option value="DE" selected>' in page


def test_deleted_customer_leaves_an_open_session_that_can_be_paid(box, new_session, customer):
    kept = keep(box, customer)
    session = new_session(customer=customer.id)
    box.stripe.v1.customers.delete(customer.id)

    assert kept.id not in requests.get(session.url, timeout=5).text
    assert submit(session, **CARD, number="4242424242424242").status_code == 303
    assert refusal(lambda: new_session(customer=customer.id)) == ("resource_missing", "customer")


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"customer_update": {"name": "auto"}}, "customer_update"),
        ({"saved_payment_method_options": {"payment_method_save": "enabled"}}, "saved_payment_method_options"),
        ({"customer": "", "customer_creation": "always"}, "customer_creation"),
        ({"customer": "", "customer_update": {"name": "maybe"}}, "customer_update[name]"),
        ({"customer": "", "customer_email": "a@b.c"}, "customer"),
    ],
)
def test_options_that_do_not_fit(box, new_session, customer, params, param):
    given = params | ({"customer": customer.id} if "customer" in params else {})

    assert refusal(lambda: new_session(**given))[1] == param


def test_reserved_amount_is_captured_later(box, new_session):
    session = new_session(payment_intent_data={"capture_method": "manual"})
    box.control(f"sessions/{session.id}/pay")
    held = read(box, session)
    assert (held.status, held.payment_status, held.payment_intent.status) == ("complete", "unpaid", "requires_capture")

    box.stripe.v1.payment_intents.capture(held.payment_intent.id)

    assert read(box, session).payment_status == "paid"
    other = new_session(payment_intent_data={"capture_method": "manual"})
    box.control(f"sessions/{other.id}/pay")
    box.stripe.v1.payment_intents.cancel(read(box, other).payment_intent.id)
    assert read(box, other).payment_status == "unpaid"


def test_declined_saved_card_leaves_the_choice_to_the_buyer(box, new_session, customer):
    kept = keep(box, customer, "pm_card_chargeCustomerFail")
    session = new_session(customer=customer.id)

    declined = submit(session, method=kept.id)

    assert "Your card was declined." in declined.text
    assert f'value="{kept.id}" id="method-{kept.id}" checked' in declined.text
    assert submit(session, **CARD, method="card", number="4242424242424242").status_code == 303
    with pytest.raises(stripe.InvalidRequestError):
        box.stripe.v1.payment_intents.cancel(read(box, session).payment_intent.id)
