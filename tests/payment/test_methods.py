"""Stripe customers and saved payment methods: one customer per person, and nobody's card for anybody else."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from django.db import connection

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.orders.models import Order
from apps.payment.models import Payment, PaymentMethod, StripeCustomer
from apps.payment.services import customers
from tests.payment.test_intents import ADDRESS
from tests.support.sandbox import SECRET_KEY
from tests.support.shop import Shop, Stripe, in_parallel, make_user, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

METHODS = "/api/payment/methods/"


@pytest.fixture
def ada(db: None) -> User:
    return make_user("ada@example.com")


@pytest.fixture
def frontend(ada: User) -> Shop:
    return Shop(ada)


def at_stripe(stripe_sandbox: Stripe, path: str, **form: str) -> dict[str, Any]:
    """What Stripe.js asks of Stripe; the answer, also a refusal."""
    answer = requests.post(
        stripe_sandbox.sandbox.address + path,
        data=form,
        headers={"Authorization": f"Bearer {SECRET_KEY}"},
        timeout=10,
    )
    return answer.json()


def save_card(frontend: Shop, stripe_sandbox: Stripe, card: str = "pm_card_visa") -> Any:
    """Add a card as a frontend does: a SetupIntent, Stripe's form, and the intent's id back to the shop."""
    setup = frontend.post(f"{METHODS}setup/")
    assert setup.status_code == 201, setup.content
    setup_id = setup.json()["setup_intent_id"]
    done = at_stripe(
        stripe_sandbox, f"/v1/setup_intents/{setup_id}/confirm", payment_method=card, return_url="http://localhost/"
    )
    if done.get("status") == "requires_action":
        stripe_sandbox.sandbox.control(f"setup_intents/{setup_id}/authenticate")
    return frontend.post(METHODS, {"setup_intent": setup_id})


def cards_at_stripe(stripe_sandbox: Stripe, customer_id: str) -> list[str]:
    found = stripe_sandbox.sandbox.get(f"/v1/customers/{customer_id}/payment_methods")
    return [method["id"] for method in found["data"]]


def calls_to_stripe(stripe_sandbox: Stripe) -> int:
    return int(requests.get(f"{stripe_sandbox.sandbox.address}/_control/state", timeout=5).json()["requests"])


def test_card_is_added_listed_and_shows_no_more_than_it_may(frontend: Shop, ada: User, stripe_sandbox: Stripe) -> None:
    added = save_card(frontend, stripe_sandbox)
    assert added.status_code == 201, added.content
    method = PaymentMethod.objects.get()
    assert added.json() == {
        "id": method.pk,
        "type": "card",
        "brand": "visa",
        "last4": "4242",
        "exp_month": method.exp_month,
        "exp_year": method.exp_year,
        "is_default": True,
    }
    assert frontend.get(METHODS).json() == [added.json()]
    stripe_sandbox.digest()
    assert frontend.get(METHODS).json() == [added.json()], "the events tell what is known"
    customer = StripeCustomer.objects.get()
    told = stripe_sandbox.sandbox.get(f"/v1/customers/{customer.stripe_customer_id}")
    assert (told["email"], told["metadata"]) == ("ada@example.com", {"proshop_user": str(ada.pk)})
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names of our own tables
            assert "4242424242424242" not in repr(cursor.fetchall()), table


def test_card_that_asks_for_3ds_is_kept_once_it_is_confirmed(frontend: Shop, stripe_sandbox: Stripe) -> None:
    setup_id = frontend.post(f"{METHODS}setup/").json()["setup_intent_id"]
    done = at_stripe(
        stripe_sandbox,
        f"/v1/setup_intents/{setup_id}/confirm",
        payment_method="pm_card_authenticationRequired",
        return_url="http://localhost/",
    )
    assert done["status"] == "requires_action"
    early = frontend.post(METHODS, {"setup_intent": setup_id})
    assert (early.status_code, early.json()["code"]) == (409, "setup_not_complete")
    stripe_sandbox.sandbox.control(f"setup_intents/{setup_id}/authenticate")
    assert frontend.post(METHODS, {"setup_intent": setup_id}).status_code == 201
    assert frontend.post(METHODS, {"setup_intent": setup_id}).status_code == 201, "the same again is the same"
    assert PaymentMethod.objects.count() == 1


def test_events_alone_keep_a_card_whose_frontend_went_away(frontend: Shop, stripe_sandbox: Stripe) -> None:
    setup_id = frontend.post(f"{METHODS}setup/").json()["setup_intent_id"]
    at_stripe(stripe_sandbox, f"/v1/setup_intents/{setup_id}/confirm", payment_method="pm_card_visa")
    assert frontend.get(METHODS).json() == []
    stripe_sandbox.digest()
    assert [method["last4"] for method in frontend.get(METHODS).json()] == ["4242"]


def test_default_moves_and_the_newest_steps_in(frontend: Shop, stripe_sandbox: Stripe) -> None:
    visa, mastercard, amex = (
        save_card(frontend, stripe_sandbox, card).json()["id"]
        for card in ("pm_card_visa", "pm_card_mastercard", "pm_card_amex")
    )
    assert [(m["id"], m["is_default"]) for m in frontend.get(METHODS).json()] == [
        (visa, True),
        (amex, False),
        (mastercard, False),
    ]
    assert frontend.post(f"{METHODS}{mastercard}/default/").json()["is_default"] is True
    assert frontend.client.delete(f"{METHODS}{mastercard}/").status_code == 204
    assert [(m["id"], m["is_default"]) for m in frontend.get(METHODS).json()] == [(amex, True), (visa, False)]


def test_removed_card_is_detached_also_when_stripe_was_away(frontend: Shop, stripe_sandbox: Stripe) -> None:
    method_id = save_card(frontend, stripe_sandbox).json()["id"]
    customer_id = StripeCustomer.objects.get().stripe_customer_id or ""
    stripe_sandbox.sandbox.faults("500", path="/v1/payment_methods", times=3)
    assert frontend.client.delete(f"{METHODS}{method_id}/").status_code == 204
    assert frontend.get(METHODS).json() == []
    assert PaymentMethod.objects.get().state == "removing"
    assert len(cards_at_stripe(stripe_sandbox, customer_id)) == 1
    again = frontend.client.delete(f"{METHODS}{method_id}/")
    assert (again.status_code, again.json()["code"]) == (404, "method_not_found")

    stripe_sandbox.digest()
    assert PaymentMethod.objects.get().state == "removed"
    assert cards_at_stripe(stripe_sandbox, customer_id) == []
    assert frontend.get(METHODS).json() == [], "the late word that it was attached does not bring it back"


def test_card_detached_in_the_dashboard_goes_here_too(frontend: Shop, stripe_sandbox: Stripe) -> None:
    save_card(frontend, stripe_sandbox)
    stripe_sandbox.digest()
    method = PaymentMethod.objects.get()
    at_stripe(stripe_sandbox, f"/v1/payment_methods/{method.stripe_payment_method_id}/detach")
    stripe_sandbox.digest()
    assert frontend.get(METHODS).json() == []


def test_card_that_the_network_replaced_shows_its_new_numbers(frontend: Shop, stripe_sandbox: Stripe) -> None:
    save_card(frontend, stripe_sandbox)
    stripe_sandbox.digest()
    method = PaymentMethod.objects.get()
    stripe_sandbox.sandbox.control(f"payment_methods/{method.stripe_payment_method_id}/replace")
    stripe_sandbox.digest()
    told = stripe_sandbox.sandbox.get(f"/v1/payment_methods/{method.stripe_payment_method_id}")["card"]
    shown = frontend.get(METHODS).json()[0]
    assert (shown["last4"], shown["exp_year"]) == (told["last4"], told["exp_year"])
    assert (method.last4, method.exp_year) != (told["last4"], told["exp_year"])


def test_another_persons_card_is_not_there_and_stripe_is_not_asked(
    frontend: Shop, stripe_sandbox: Stripe, mug: ProductVariant
) -> None:
    theirs = save_card(frontend, stripe_sandbox).json()["id"]
    setup_id = frontend.post(f"{METHODS}setup/").json()["setup_intent_id"]
    at_stripe(stripe_sandbox, f"/v1/setup_intents/{setup_id}/confirm", payment_method="pm_card_mastercard")
    stripe_id = PaymentMethod.objects.get().stripe_payment_method_id
    eve = Shop(make_user("eve@example.com"))
    eve.add(mug)
    order = eve.post("/api/orders/", {"shipping_address": ADDRESS}).json()

    stripe_sandbox.sandbox.faults("500", path="/v1/", times=100)
    for answer in (
        eve.post(f"{METHODS}{theirs}/default/"),
        eve.client.delete(f"{METHODS}{theirs}/"),
        eve.post("/api/payment/intents/", {"order_number": order["number"], "payment_method": theirs}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "method_not_found")
    stripe_sandbox.sandbox.control("rules/clear")
    # These two name objects at Stripe, which has to be asked whose they are.
    for body in ({"setup_intent": setup_id}, {"payment_method": stripe_id}):
        answer = eve.post(METHODS, body)
        assert (answer.status_code, answer.json()["code"]) == (404, "method_not_found")
    assert [m["id"] for m in frontend.get(METHODS).json()] == [theirs]


def test_guest_has_no_cards(shop: Shop, stripe_sandbox: Stripe, mug: ProductVariant) -> None:
    for answer in (shop.get(METHODS), shop.post(f"{METHODS}setup/"), shop.post(METHODS, {"payment_method": "pm_x"})):
        assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_required")
    shop.add(mug)
    refused = shop.checkout(save_payment_method=True)
    assert (refused.status_code, refused.json()["code"]) == (400, "sign_in_to_save")


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1250, stock=5)


def test_card_is_saved_during_a_payment_when_the_buyer_says_so(
    frontend: Shop, stripe_sandbox: Stripe, mug: ProductVariant
) -> None:
    frontend.add(mug)
    frontend.buy(stripe_sandbox, save_payment_method=False)
    assert frontend.get(METHODS).json() == []
    frontend.add(mug)
    bought = frontend.checkout(save_payment_method=True).json()
    session = stripe_sandbox.sandbox.get(f"/v1/checkout/sessions/{bought['session_id']}")
    assert session["customer"] == StripeCustomer.objects.get().stripe_customer_id
    stripe_sandbox.sandbox.control(
        f"sessions/{bought['session_id']}/pay", payment_method="pm_card_visa", email="ada@example.com"
    )
    stripe_sandbox.digest()
    assert [method["last4"] for method in frontend.get(METHODS).json()] == ["4242"]


def pay_with(frontend: Shop, mug: ProductVariant, method_id: int, **body: Any) -> tuple[dict[str, Any], Any]:
    frontend.add(mug)
    order = frontend.post("/api/orders/", {"shipping_address": ADDRESS}).json()
    opened = frontend.post(
        "/api/payment/intents/", {"order_number": order["number"], "payment_method": method_id, **body}
    )
    assert opened.status_code == 201, opened.content
    assert opened.json()["stripe_status"] == "requires_confirmation"
    return opened.json(), frontend.post(f"/api/payment/payments/{opened.json()['payment_id']}/confirm/")


def test_saved_card_pays_without_a_form(frontend: Shop, stripe_sandbox: Stripe, mug: ProductVariant) -> None:
    method_id = save_card(frontend, stripe_sandbox, "pm_card_mastercard").json()["id"]
    opened, paid = pay_with(frontend, mug, method_id)
    assert paid.status_code == 200, paid.content
    assert (paid.json()["status"], paid.json()["payment_status"]) == ("succeeded", "paid")
    assert paid.json()["payment_method"] == {"type": "card", "brand": "mastercard", "last4": "4444"}
    again = frontend.post(f"/api/payment/payments/{opened['payment_id']}/confirm/")
    assert (again.status_code, again.json()["status"]) == (200, "succeeded")
    stripe_sandbox.digest()
    assert Payment.objects.get().amount_captured == 1250
    assert len(stripe_sandbox.sandbox.objects("charge")) == 1


def test_saved_card_that_is_declined_answers_402_and_another_one_pays(
    frontend: Shop, stripe_sandbox: Stripe, mug: ProductVariant
) -> None:
    bad = save_card(frontend, stripe_sandbox, "pm_card_chargeCustomerFail").json()["id"]
    good = save_card(frontend, stripe_sandbox).json()["id"]
    opened, declined = pay_with(frontend, mug, bad)
    assert (declined.status_code, declined.json()["code"]) == (402, "card_declined")
    assert declined.json()["error"] == "The card was declined. Try another one, or ask your bank."
    order = Order.objects.get()
    assert (order.status, order.payment_status) == ("pending", "pending")
    stripe_sandbox.digest()

    body = {"order_number": order.number, "payment_method": good}
    anew = frontend.post("/api/payment/intents/", body).json()
    assert anew["payment_id"] != opened["payment_id"]
    paid = frontend.post(f"/api/payment/payments/{anew['payment_id']}/confirm/")
    assert (paid.status_code, paid.json()["payment_status"]) == (200, "paid")
    stripe_sandbox.digest()
    assert sorted(Payment.objects.values_list("status", flat=True)) == ["cancelled", "succeeded"]


def test_saved_card_whose_bank_wants_to_be_asked(frontend: Shop, stripe_sandbox: Stripe, mug: ProductVariant) -> None:
    method_id = save_card(frontend, stripe_sandbox, "pm_card_authenticationRequired").json()["id"]
    opened, waits = pay_with(frontend, mug, method_id)
    assert (waits.status_code, waits.json()["status"]) == (200, "requires_action")
    stripe_sandbox.sandbox.control(f"payment_intents/{opened['payment_intent_id']}/authenticate")
    stripe_sandbox.digest()
    assert Order.objects.get().payment_status == "paid"


def test_lost_answer_to_a_confirmation_charges_once(
    frontend: Shop, stripe_sandbox: Stripe, mug: ProductVariant
) -> None:
    method_id = save_card(frontend, stripe_sandbox).json()["id"]
    stripe_sandbox.sandbox.faults("reset_after", path="/confirm", times=3)
    opened, away = pay_with(frontend, mug, method_id)
    assert away.status_code in (200, 503), away.content
    stripe_sandbox.sandbox.control("rules/clear")
    answer = frontend.post(f"/api/payment/payments/{opened['payment_id']}/confirm/")
    assert (answer.status_code, answer.json()["payment_status"]) == (200, "paid")
    assert len(stripe_sandbox.sandbox.objects("charge")) == 1


def test_card_that_is_gone_at_stripe_is_told_and_leaves_the_order_to_be_paid(
    frontend: Shop, stripe_sandbox: Stripe, mug: ProductVariant
) -> None:
    method_id = save_card(frontend, stripe_sandbox).json()["id"]
    at_stripe(stripe_sandbox, f"/v1/payment_methods/{PaymentMethod.objects.get().stripe_payment_method_id}/detach")
    _, gone = pay_with(frontend, mug, method_id)
    assert (gone.status_code, gone.json()["code"]) == (409, "method_gone")
    assert frontend.get(METHODS).json() == [], "and is offered no more"
    order = Order.objects.get()
    assert order.status == "pending"
    assert frontend.post("/api/payment/intents/", {"order_number": order.number}).status_code == 201


def test_card_that_stripe_gave_to_somebody_else_is_told_too(
    frontend: Shop, stripe_sandbox: Stripe, mug: ProductVariant
) -> None:
    """Stripe refuses the intent itself."""
    method_id = save_card(frontend, stripe_sandbox).json()["id"]
    eve = Shop(make_user("eve@example.com"))
    save_card(eve, stripe_sandbox)
    theirs = PaymentMethod.objects.get(user__email="eve@example.com").stripe_payment_method_id
    PaymentMethod.objects.filter(user__email="eve@example.com").update(stripe_payment_method_id="pm_gone")
    PaymentMethod.objects.filter(pk=method_id).update(stripe_payment_method_id=theirs)
    frontend.add(mug)
    order = frontend.post("/api/orders/", {"shipping_address": ADDRESS}).json()
    gone = frontend.post("/api/payment/intents/", {"order_number": order["number"], "payment_method": method_id})
    assert (gone.status_code, gone.json()["code"]) == (409, "method_gone")
    assert frontend.get(METHODS).json() == []
    assert Order.objects.get().status == "pending"


def test_customer_that_stripe_lost_is_made_again(frontend: Shop, stripe_sandbox: Stripe, mug: ProductVariant) -> None:
    save_card(frontend, stripe_sandbox)
    first = StripeCustomer.objects.get().stripe_customer_id
    requests.delete(
        f"{stripe_sandbox.sandbox.address}/v1/customers/{first}",
        headers={"Authorization": f"Bearer {SECRET_KEY}"},
        timeout=5,
    ).raise_for_status()
    frontend.add(mug)
    bought = frontend.checkout(save_payment_method=True)
    assert bought.status_code == 201, bought.content
    customer = StripeCustomer.objects.get()
    assert customer.stripe_customer_id != first
    assert customer.generation == 2
    assert frontend.get(METHODS).json() == [], "its cards went with it"
    stripe_sandbox.digest()
    assert StripeCustomer.objects.get().stripe_customer_id == customer.stripe_customer_id
    assert save_card(frontend, stripe_sandbox).status_code == 201


def test_customer_deleted_in_the_dashboard_is_forgotten(frontend: Shop, stripe_sandbox: Stripe) -> None:
    save_card(frontend, stripe_sandbox)
    stripe_sandbox.digest()
    gone = StripeCustomer.objects.get().stripe_customer_id
    requests.delete(
        f"{stripe_sandbox.sandbox.address}/v1/customers/{gone}",
        headers={"Authorization": f"Bearer {SECRET_KEY}"},
        timeout=5,
    ).raise_for_status()
    stripe_sandbox.digest()
    assert StripeCustomer.objects.get().stripe_customer_id is None
    assert frontend.get(METHODS).json() == []


@pytest.mark.race
def test_customer_is_made_once_under_parallel_calls(ada: User, stripe_sandbox: Stripe) -> None:
    answers = in_parallel([lambda: Shop(ada).post(f"{METHODS}setup/").status_code for _ in range(12)], threads=6)
    assert set(answers) <= {201, 503}
    assert 201 in answers
    assert len(stripe_sandbox.sandbox.objects("customer")) == 1
    assert StripeCustomer.objects.count() == 1


def test_lost_answer_makes_no_second_customer(ada: User, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("reset_after", path="/v1/customers", times=3)
    assert Shop(ada).post(f"{METHODS}setup/").status_code == 503
    assert Shop(ada).post(f"{METHODS}setup/").status_code == 201
    assert len(stripe_sandbox.sandbox.objects("customer")) == 1


def test_new_name_and_address_reach_stripe(frontend: Shop, ada: User, stripe_sandbox: Stripe) -> None:
    save_card(frontend, stripe_sandbox)
    customer_id = StripeCustomer.objects.get().stripe_customer_id
    assert frontend.call("PATCH", "/api/auth/me/", {"name": "Ada L."}).status_code == 200
    work()
    assert stripe_sandbox.sandbox.get(f"/v1/customers/{customer_id}")["name"] == "Ada L."

    boss = User.objects.create_superuser("boss@example.com", "correct horse battery")
    form = {"email": "lovelace@example.com", "name": "Ada L.", "is_active": "on"}
    answer = Shop(boss).client.post(f"/admin/accounts/user/{ada.pk}/change/", form)
    assert answer.status_code == 302, answer.content
    stripe_sandbox.sandbox.faults("500", path="/v1/customers", times=3)
    work()
    assert StripeCustomer.objects.get().stale
    work()
    assert stripe_sandbox.sandbox.get(f"/v1/customers/{customer_id}")["email"] == "lovelace@example.com"


def test_change_while_the_customer_is_being_made_is_told_afterwards(ada: User, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("500", path="/v1/customers", times=3)
    assert Shop(ada).post(f"{METHODS}setup/").status_code == 503
    assert Shop(ada).call("PATCH", "/api/auth/me/", {"name": "Ada L."}).status_code == 200
    work()
    assert Shop(ada).post(f"{METHODS}setup/").status_code == 201
    assert customers.tell_changes() == 1
    customer_id = StripeCustomer.objects.get().stripe_customer_id
    assert stripe_sandbox.sandbox.get(f"/v1/customers/{customer_id}")["name"] == "Ada L."
