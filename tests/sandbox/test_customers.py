"""Customers and the methods that they keep."""

from __future__ import annotations

import pytest
import requests
import stripe

from tests.sandbox.conftest import refusal


def events(box, *kinds):
    """Newest last: (type, previous_attributes)."""
    found = [e for e in box.look("events", limit=500)["data"] if e["type"] in kinds or not kinds]
    return [(e["type"], e["data"].get("previous_attributes")) for e in found[::-1]]


@pytest.fixture
def customer(box):
    return box.stripe.v1.customers.create({"email": "ada@example.com", "name": "Ada"})


def attach(box, customer, method="pm_card_visa"):
    return box.stripe.v1.payment_methods.attach(method, {"customer": customer.id})


def methods_of(box, customer, **params):
    return [m.id for m in box.stripe.v1.customers.payment_methods.list(customer.id, params).data]


def test_customer_is_made_changed_and_deleted(box):
    customers = box.stripe.v1.customers
    made = customers.create(
        {"email": "ada@example.com", "metadata": {"user": "7", "old": "x"}, "address": {"city": "Paris"}}
    )
    assert (made.email, made.livemode, made.address.city, made.shipping) == ("ada@example.com", False, "Paris", None)

    changed = customers.update(
        made.id,
        {
            "name": "Ada",
            "metadata": {"old": "", "new": "y"},
            "shipping": {"name": "Ada", "address": {"line1": "1 Main St", "country": "US"}},
        },
    )
    assert changed.metadata.to_dict() == {"user": "7", "new": "y"}
    assert changed.shipping.address.line1 == "1 Main St"

    assert customers.delete(made.id).to_dict() == {"id": made.id, "object": "customer", "deleted": True}
    assert customers.retrieve(made.id).to_dict() == {"id": made.id, "object": "customer", "deleted": True}
    assert customers.list().data == []
    assert refusal(customers.update, made.id, {"name": "Eve"}) == ("resource_missing", "id")
    assert events(box) == [
        ("customer.created", None),
        ("customer.updated", {"metadata": {"old": "x", "new": None}, "name": None, "shipping": None}),
        ("customer.deleted", None),
    ]


def test_lists_by_email_and_creation(box):
    customers = box.stripe.v1.customers
    ada = customers.create({"email": "ada@example.com"})
    eve = customers.create({"email": "eve@example.com"})
    nobody = customers.create()

    def found(**params):
        return [c.id for c in customers.list(params).data]

    assert found() == [nobody.id, eve.id, ada.id]
    assert found(email="ada@example.com") == [ada.id]
    assert found(email="*") == []
    assert found(created={"lt": ada.created}) == []
    assert found(limit=1, starting_after=eve.id) == [ada.id]


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"email": "ada"}, "email_invalid", "email"),
        ({"emial": "a@b.c"}, "parameter_unknown", "emial"),
        ({"name": "x" * 257}, None, "name"),
        ({"balance": 5}, "sandbox_unsupported", "balance"),
        ({"payment_method": "pm_none"}, "resource_missing", "payment_method"),
        ({"metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 41}]"),
    ],
)
def test_bad_customers(box, params, code, param):
    assert refusal(box.stripe.v1.customers.create, params) == (code, param)
    assert "customer" not in box.look("state")["objects"]


def test_shared_test_id_attaches_a_new_method_each_time(box, customer):
    first, second = attach(box, customer), attach(box, customer)

    assert first.id != second.id
    assert (first.customer, first.card.last4, first.allow_redisplay) == (customer.id, "4242", "unspecified")
    assert methods_of(box, customer) == [second.id, first.id]
    assert methods_of(box, customer, type="sepa_debit") == []
    assert methods_of(box, customer, allow_redisplay="always") == []
    listed = box.stripe.v1.payment_methods.list({"customer": customer.id, "type": "card", "limit": 1})
    assert ([m.id for m in listed.data], listed.has_more) == ([second.id], True)
    assert box.stripe.v1.customers.payment_methods.retrieve(customer.id, first.id).id == first.id
    assert [kind for kind, _ in events(box)] == [
        "customer.created",
        "payment_method.attached",
        "payment_method.attached",
    ]


@pytest.mark.parametrize(
    ("method", "decline_code"),
    [("pm_card_chargeDeclined", "generic_decline"), ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds")],
)
def test_card_that_declines_is_not_attached(box, customer, method, decline_code):
    with pytest.raises(stripe.CardError) as caught:
        attach(box, customer, method)

    assert (caught.value.http_status, caught.value.error.decline_code) == (402, decline_code)
    assert methods_of(box, customer) == []
    assert "payment_method" not in box.look("state")["objects"]


def test_card_that_attaches_and_declines_when_charged(box, customer):
    method = attach(box, customer, "pm_card_chargeCustomerFail")

    with pytest.raises(stripe.CardError):
        box.stripe.v1.payment_intents.create(
            {
                "amount": 500,
                "currency": "usd",
                "customer": customer.id,
                "payment_method": method.id,
                "confirm": True,
                "off_session": True,
            }
        )


def test_detached_method_is_spent(box, customer):
    method = attach(box, customer)

    detached = box.stripe.v1.payment_methods.detach(method.id)

    assert detached.customer is None
    assert methods_of(box, customer) == []
    assert events(box)[-1] == ("payment_method.detached", {"customer": customer.id})
    for call in (
        lambda: box.stripe.v1.payment_methods.detach(method.id),
        lambda: attach(box, customer, method.id),
        lambda: pay_with(box, method.id),
        lambda: pay_with(box, method.id, customer=customer.id),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            call()


def pay_with(box, method, **more):
    params = {"amount": 500, "currency": "usd", "payment_method": method, "confirm": True, **more}
    return box.stripe.v1.payment_intents.create(params)


def test_method_used_without_a_customer_is_spent(box, customer):
    method = box.stripe.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    pay_with(box, method.id)

    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        attach(box, customer, method.id)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        pay_with(box, method.id)


def test_method_belongs_to_one_customer(box, customer):
    method = attach(box, customer)
    other = box.stripe.v1.customers.create()

    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        attach(box, other, method.id)
    for more in ({}, {"customer": other.id}):
        with pytest.raises(stripe.InvalidRequestError, match="belongs to a Customer"):
            pay_with(box, method.id, **more)
    assert refusal(box.stripe.v1.customers.payment_methods.retrieve, other.id, method.id) == (
        "resource_missing",
        "payment_method",
    )
    assert attach(box, customer, method.id).customer == customer.id
    assert pay_with(box, method.id, customer=customer.id).status == "succeeded"


def test_deleting_a_customer_detaches_the_methods(box, customer):
    methods = {attach(box, customer).id, attach(box, customer, "pm_card_amex").id}

    box.stripe.v1.customers.delete(customer.id)

    assert {box.stripe.v1.payment_methods.retrieve(m).customer for m in methods} == {None}
    assert [kind for kind, _ in events(box)][-3:] == ["payment_method.detached"] * 2 + ["customer.deleted"]
    assert refusal(pay_with_customer, box, customer) == ("resource_missing", "customer")


def pay_with_customer(box, customer):
    return pay_with(box, "pm_card_visa", customer=customer.id)


def test_method_is_updated(box, customer):
    methods = box.stripe.v1.payment_methods
    method = attach(box, customer)
    methods.update(method.id, {"billing_details": {"name": "Ada", "address": {"city": "Paris"}}})

    changed = methods.update(
        method.id,
        {
            "allow_redisplay": "always",
            "metadata": {"a": "1"},
            "card": {"exp_month": 5, "exp_year": 2040},
            "billing_details": {"email": "ada@example.com"},
        },
    )

    assert (changed.allow_redisplay, changed.card.exp_month, changed.card.exp_year) == ("always", 5, 2040)
    details = changed.billing_details
    assert (details.name, details.email, details.address.city) == ("Ada", "ada@example.com", "Paris")
    assert events(box)[-1] == (
        "payment_method.updated",
        {
            "allow_redisplay": "unspecified",
            "billing_details": {"email": None},
            "card": {"exp_month": 12, "exp_year": 2034},
            "metadata": {"a": None},
        },
    )
    assert methods_of(box, customer, allow_redisplay="always") == [method.id]
    with pytest.raises(stripe.CardError, match="expiration year"):
        methods.update(method.id, {"card": {"exp_month": 5, "exp_year": 2001}})


def test_card_is_replaced_by_the_network(box, customer):
    method = attach(box, customer)

    box.control(f"payment_methods/{method.id}/replace", exp_month=3, exp_year=2041, last4="1234")

    card = box.stripe.v1.payment_methods.retrieve(method.id).card
    assert (card.exp_month, card.exp_year, card.last4) == (3, 2041, "1234")
    assert events(box)[-1] == (
        "payment_method.automatically_updated",
        {"card": {"exp_month": 12, "exp_year": 2034, "last4": "4242"}},
    )
    assert pay_with(box, method.id, customer=customer.id).status == "succeeded"
    box.control(f"payment_methods/{method.id}/replace")
    assert box.stripe.v1.payment_methods.retrieve(method.id).card.exp_year == 2045
    free = box.stripe.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    for target, body, status in (
        (free.id, {}, 409),
        ("pm_none", {}, 404),
        (method.id, {"exp_month": 13}, 402),
        (method.id, {"last4": "12"}, 400),
        (method.id, {"exp_year": "soon"}, 400),
    ):
        answer = requests.post(f"{box.url}/_control/payment_methods/{target}/replace", json=body, timeout=5)
        assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


def test_panel_shows_customers_and_steers_their_cards(box, customer):
    method = attach(box, customer)
    waiting = {"customer": customer.id, "payment_method": "pm_card_authenticationRequired", "confirm": True}
    intents = [box.stripe.v1.setup_intents.create(waiting).id for _ in range(2)]
    box.stripe.v1.customers.create({"name": "<b>Eve</b>"})

    page = requests.get(box.url, timeout=5).text
    for text in ("ada@example.com", method.id, *intents, "shown: unspecified", "&lt;b&gt;Eve"):
        assert text in page

    def press(action, **fields):
        return requests.post(f"{box.url}/panel/{action}", data=fields, timeout=9).text

    assert "The set-up is answered: succeeded." in press("check", setup_intent=intents[0], passed="yes")
    assert "The set-up is answered: requires payment method." in press("check", setup_intent=intents[1], passed="no")
    assert "new card: ·1881, 12/38" in press("replace", payment_method=method.id)
    assert "is detached" in press("detach", payment_method=method.id)
    assert "not attached" in press("detach", payment_method=method.id)


def test_customer_with_a_method_and_a_default(box):
    customers = box.stripe.v1.customers
    customer = customers.create({"payment_method": "pm_card_visa"})
    (method,) = methods_of(box, customer)

    default = {"invoice_settings": {"default_payment_method": method}}
    assert customers.update(customer.id, default).invoice_settings.default_payment_method == method
    assert refusal(customers.update, customer.id, {"invoice_settings": {"default_payment_method": "pm_card_visa"}}) == (
        "resource_missing",
        "invoice_settings[default_payment_method]",
    )
    box.stripe.v1.payment_methods.detach(method)
    assert customers.retrieve(customer.id).invoice_settings.default_payment_method is None
    assert events(box)[-1] == ("customer.updated", {"invoice_settings": {"default_payment_method": method}})
    again = attach(box, customer)
    customers.update(customer.id, {"invoice_settings": {"default_payment_method": again.id}})
    customers.delete(customer.id)
    assert customers.retrieve(customer.id).deleted


def test_expand(box, customer):
    method = attach(box, customer)
    intent = pay_with(box, method.id, customer=customer.id)

    found = box.stripe.v1.payment_intents.retrieve(
        intent.id, {"expand": ["customer", "payment_method.customer", "latest_charge.customer"]}
    )
    assert found.customer.email == found.payment_method.customer.email == found.latest_charge.customer.email
    box.stripe.v1.customers.delete(customer.id)
    gone = box.stripe.v1.payment_intents.retrieve(intent.id, {"expand": ["customer"]})
    assert gone.customer.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}


# Saving while paying


@pytest.mark.parametrize("usage", ["on_session", "off_session"])
def test_payment_keeps_the_method_for_future_use(box, customer, usage):
    intent = pay_with(box, "pm_card_visa", customer=customer.id, setup_future_usage=usage)

    assert methods_of(box, customer) == [intent.payment_method]
    assert [kind for kind, _ in events(box)][-3:] == [
        "charge.succeeded",
        "payment_method.attached",
        "payment_intent.succeeded",
    ]
    again = pay_with(box, intent.payment_method, customer=customer.id, off_session=True)
    assert (again.status, again.customer) == ("succeeded", customer.id)


def test_method_for_future_use_without_a_customer_is_attached_later(box, customer):
    intent = pay_with(box, "pm_card_visa", setup_future_usage="off_session")

    assert attach(box, customer, intent.payment_method).customer == customer.id


def test_declined_payment_keeps_nothing(box, customer):
    with pytest.raises(stripe.CardError):
        pay_with(box, "pm_card_chargeDeclined", customer=customer.id, setup_future_usage="off_session")

    assert methods_of(box, customer) == []


@pytest.mark.parametrize(
    ("card", "outcome"),
    [
        ("pm_card_visa", "succeeded"),
        ("pm_card_authenticationRequired", "authentication_required"),
        ("pm_card_authenticationRequiredOnSetup", "authentication_required"),
        ("pm_card_authenticationRequiredSetupForOffSession", "succeeded"),
    ],
)
def test_off_session_payment_with_a_card_that_was_only_attached(box, customer, card, outcome):
    method = attach(box, customer, card)

    assert pay_off_session(box, customer, method.id) == outcome


def pay_off_session(box, customer, method):
    """The intent's status, or the code of the refusal."""
    try:
        return pay_with(box, method, customer=customer.id, off_session=True).status
    except stripe.CardError as refused:
        return refused.code


def test_method_of_the_update_call_is_the_shared_one(box, customer):
    method = attach(box, customer)

    changed = box.stripe.v1.payment_methods.update("pm_card_visa", {"metadata": {"foo": "bar"}})

    assert changed.id != method.id
    assert events(box)[-1] == ("payment_method.updated", {"metadata": {"foo": None}})
