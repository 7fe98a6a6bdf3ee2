"""Payment's pages in the admin that only tell, cases that people solve, and reserved amounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.orders.models import Order
from apps.payment.admin.cases import ADVICE
from apps.payment.invariants import verify
from apps.payment.models import AttentionCase, Dispute, Payment, PaymentLog, PaymentMethod, Refund, StripeCustomer
from apps.payment.services.cases import open_case
from tests.support.shop import Shop, Stripe, make_user, make_variant, work
from tests.support.staff import CONFIRMED, history, owner, staff, statements, text_of, told

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

ROOT = "/admin/payment"
PAGES = sorted(
    model._meta.model_name for model in apps.get_app_config("payment").get_models() if admin.site.is_registered(model)
)


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1000, stock=30)


@pytest.fixture
def payment(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> Payment:
    shop.add(mug, 2)
    shop.buy(stripe_sandbox)
    return Payment.objects.get()


def card_of(email: str, **fields: Any) -> PaymentMethod:
    user = make_user(email)
    number = user.pk
    customer = StripeCustomer.objects.create(
        user=user,
        livemode=False,
        stripe_customer_id=f"cus_{number}",
        idempotency_key=f"cus-key-{number}",
        request_params='{"name": "Ada Byron"}',
    )
    card = {"type": "card", "brand": "visa", "last4": "4242", "exp_month": 7, "exp_year": 2031, **fields}
    return PaymentMethod.objects.create(
        customer=customer, user=user, stripe_payment_method_id=f"pm_{number}", told_at=timezone.now(), **card
    )


# Nothing by hand


def test_pages_of_this_app() -> None:
    known = {
        "attentioncase",
        "dispute",
        "payment",
        "paymentmethod",
        "refund",
        "stripecustomer",
        "stripewebhookevent",
        "stripewebhooksecret",
    }
    assert known <= set(PAGES)


@pytest.fixture
def rows(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    """A row for every page."""
    shop.add(mug, 2)
    shop.buy(stripe_sandbox, "pm_card_createDisputeInquiry")
    stripe_sandbox.sandbox.control("refund", payment_intent=Payment.objects.get().stripe_payment_intent_id, amount=100)
    stripe_sandbox.digest()
    card_of("ada@example.com")


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_added_changed_or_deleted_by_hand(rows: None, name: str) -> None:
    client, model = owner(), apps.get_model("payment", name)
    before = list(model.objects.order_by("pk").values())
    row = model.objects.order_by("pk").first()
    assert client.get(f"{ROOT}/{name}/add/").status_code == 403
    assert client.post(f"{ROOT}/{name}/add/", {}).status_code == 403
    assert client.get(f"{ROOT}/{name}/").status_code == 200
    client.post(
        f"{ROOT}/{name}/",
        {"action": "delete_selected", "_selected_action": ["1"], **CONFIRMED},
    )
    if row is not None:
        assert client.get(f"{ROOT}/{name}/{row.pk}/change/").status_code == 200
        fields = {field.name: "9" for field in model._meta.concrete_fields}
        assert client.post(f"{ROOT}/{name}/{row.pk}/change/", fields).status_code == 403
        assert client.post(f"{ROOT}/{name}/{row.pk}/delete/", CONFIRMED).status_code == 403
    assert list(model.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("name", [*PAGES])
def test_without_the_right_to_see_them_pages_stay_shut(rows: None, name: str) -> None:
    client = staff()
    User.objects.get(email="staff@example.com").user_permissions.clear()
    row = apps.get_model("payment", name).objects.order_by("pk").first()
    assert client.get(f"{ROOT}/{name}/").status_code == 403
    if row is not None:
        assert client.get(f"{ROOT}/{name}/{row.pk}/change/").status_code == 403
    assert Client().get(f"{ROOT}/{name}/").status_code == 302


def test_payment_shows_its_money_and_what_became_of_it(rows: None) -> None:
    payment, refund, dispute = Payment.objects.get(), Refund.objects.get(), Dispute.objects.get()
    page = owner().get(f"{ROOT}/payment/{payment.pk}/change/")
    text = text_of(page)
    for part in ("Total 20.00", "Captured 20.00", "Refunded 1.00", "Lost 0.00", "Left to refund 19.00"):
        assert part in text
    body = page.content.decode()
    for row in (refund, dispute):
        assert f"{ROOT}/{row._meta.model_name}/{row.pk}/change/" in body
    assert "request_params" not in body
    assert payment.idempotency_key not in body


def test_refunds_are_found_by_state_source_reason_currency_and_day(rows: None) -> None:
    client = owner()
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    for query in (
        {"status__exact": "succeeded"},
        {"source__exact": "stripe"},
        {"reason": "other"},
        {"currency": "USD"},
        {"created_at__gte": f"{today}", "created_at__lt": f"{today + timedelta(days=1)}"},
        {"q": Order.objects.get().number},
        {"q": Refund.objects.get().stripe_refund_id},
    ):
        assert "1.00 USD succeeded Stripe's Dashboard other" in text_of(client.get(f"{ROOT}/refund/", query)), query
    for query in ({"status__exact": "failed"}, {"source__exact": "staff"}, {"currency": "EUR"}, {"q": "ORD-1999"}):
        assert "1.00 USD" not in text_of(client.get(f"{ROOT}/refund/", query)), query


def test_payments_and_refunds_are_found_by_what_people_have_at_hand(rows: None) -> None:
    payment, refund, client = Payment.objects.get(), Refund.objects.get(), owner()
    number = payment.order.number
    shared = [number, number.lower(), number[:12], "BUYER@ex", payment.stripe_payment_intent_id]
    for term in [*shared, payment.stripe_session_id, payment.stripe_charge_id, payment.reference, payment.last4]:
        assert f"{number} succeeded 20.00" in text_of(client.get(f"{ROOT}/payment/", {"q": term})).replace(
            "partially refunded", "succeeded"
        ), term
    for term in [*shared, payment.stripe_charge_id, refund.stripe_refund_id, f" {refund.stripe_refund_id} "]:
        assert f"{number} 1.00 USD succeeded" in text_of(client.get(f"{ROOT}/refund/", {"q": term})), term
    for term in ("ORD-1", "cs_no", "pi_", "re_x", "9999", "x\ny", "%", "²" * 300, "'; --"):
        for name in ("payment", "refund"):
            assert number not in text_of(client.get(f"{ROOT}/{name}/", {"q": term})), term


def test_long_lists_are_counted_to_a_bound(mug: ProductVariant, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        card_of(f"buyer{number}@example.com")
    client, page = owner(), f"{ROOT}/paymentmethod/"
    assert "3 payment methods" in text_of(client.get(page))
    monkeypatch.setattr("apps.common.admin.COUNTED", 2)
    assert "2+ payment methods" in text_of(client.get(page))
    assert "1 payment method" in text_of(client.get(page, {"q": "buyer1@"}))


# Customers and what they saved


def test_saved_cards_are_read_and_show_no_more_than_they_may(db: None) -> None:
    card = card_of("ada@example.com", is_default=True)
    card_of("bob@example.com", state="removed", brand="mastercard", last4="4444", exp_month=None, exp_year=None)
    client = staff()
    text = text_of(client.get(f"{ROOT}/paymentmethod/"))
    assert "ada@example.com card visa 4242 07/2031" in text
    assert "bob@example.com card mastercard 4444 close_small removed" in text, "no expiry is told of this one"
    page = client.get(f"{ROOT}/paymentmethod/{card.pk}/change/")
    for part in ("Expiry 07/2031", "State saved", "Brand visa", "Last4 4242"):
        assert part in text_of(page)
    customer = client.get(f"{ROOT}/stripecustomer/{card.customer_id}/change/")
    assert f"cus_{card.user_id}" in text_of(customer)
    assert "Ada Byron" not in customer.content.decode()
    assert "ada@example.com" not in text_of(client.get(f"{ROOT}/paymentmethod/", {"q": "bob@"}))


# Cases


def stray(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> AttentionCase:
    """Another amount than the order's came in."""
    shop.add(mug)
    session = shop.checkout().json()["session_id"]
    Order.objects.update(subtotal=900, total=900)
    Payment.objects.update(amount=900)
    stripe_sandbox.pay(session)
    stripe_sandbox.digest()
    Order.objects.update(subtotal=1000, total=1000)
    Payment.objects.update(amount=1000)
    return AttentionCase.objects.get()


def test_case_says_what_it_is_about_and_what_can_be_done(rows: None, stripe_sandbox: Stripe) -> None:
    payment, dispute, client = Payment.objects.get(), Dispute.objects.get(), owner()
    case = AttentionCase.objects.get(kind="inquiry")
    page = client.get(f"{ROOT}/attentioncase/{case.pk}/change/")
    assert "No money has moved yet. Answer it before its deadline" in text_of(page)
    assert f"{ROOT}/dispute/{dispute.pk}/change/" in page.content.decode()
    open_case(payment, kind="refund_failed", detail="no", object_id=Refund.objects.get().reference or "")
    open_case(payment, kind="answer_refused", detail="no", object_id="pd_1")
    open_case(payment, kind="long_on_its_way", detail="no")
    open_case(payment, kind="something_new", detail="no")
    links = {
        "refund_failed": f"{ROOT}/refund/{Refund.objects.get().pk}/change/",
        "answer_refused": f"{ROOT}/dispute/{dispute.pk}/change/",
        "long_on_its_way": f"{ROOT}/payment/{payment.pk}/change/",
        "something_new": f"{ROOT}/payment/{payment.pk}/change/",
    }
    for kind, link in links.items():
        opened = AttentionCase.objects.get(kind=kind)
        shown = client.get(f"{ROOT}/attentioncase/{opened.pk}/change/")
        advice = ADVICE.get(kind, "Look at the payment, do what is needed and note it here.")
        assert advice in text_of(shown), kind
        assert f'href="{link}"' in shown.content.decode(), kind


def test_case_is_solved_with_a_note_by_somebody(payment: Payment) -> None:
    open_case(payment, kind="long_on_its_way", detail="It has been on its way for over 14 days.")
    case, client = AttentionCase.objects.get(), staff("change_attentioncase")
    page = f"{ROOT}/attentioncase/{case.pk}/solve/"
    assert page in client.get(f"{ROOT}/attentioncase/{case.pk}/change/").content.decode()
    assert "This field is required." in text_of(client.post(page, {"note": "  "}))
    case.refresh_from_db()
    assert case.solved_at is None
    answer = client.post(page, {"note": "The bank found it."})
    assert told(answer) == ["The case is solved."]
    case.refresh_from_db()
    assert case.solved_at is not None
    assert (case.note, case.solved_by.email) == ("The bank found it.", "staff@example.com")  # type: ignore[union-attr]
    assert history() == [("staff@example.com", "attentioncase", "Solved: The bank found it.")]
    log = PaymentLog.objects.get(kind="case_solved")
    assert (log.object_id, log.detail) == (f"case/{case.pk}", f"long_on_its_way, by user {case.solved_by_id}")

    again = client.post(page, {"note": "Again."})
    assert told(again)[-1] == "This case is solved already."
    case.refresh_from_db()
    assert case.note == "The bank found it."
    assert page not in client.get(f"{ROOT}/attentioncase/{case.pk}/change/").content.decode()


def test_cases_are_taken_from_the_list(payment: Payment) -> None:
    for kind in ("long_on_its_way", "lost_twice", "surplus"):
        open_case(payment, kind=kind, detail="look")
    taken, solved, _ = AttentionCase.objects.order_by("pk")
    AttentionCase.objects.filter(pk=solved.pk).update(solved_at=timezone.now(), note="done")
    page = f"{ROOT}/attentioncase/"
    form = {"action": "take", "_selected_action": [taken.pk, solved.pk]}
    assert staff("issue_refund", email="clerk@example.com").post(page, form).status_code == 403
    answer = staff("change_attentioncase").post(page, form)
    assert told(answer) == ["Taken: 1. Cases that were solved stay as they are."]
    found = dict(AttentionCase.objects.values_list("kind", "taken_by__email"))
    assert found == {"long_on_its_way": "staff@example.com", "lost_twice": None, "surplus": None}
    assert history() == [("staff@example.com", "attentioncase", "Taken.")]


def test_solving_needs_the_permission(payment: Payment) -> None:
    open_case(payment, kind="long_on_its_way", detail="slow")
    case, client = AttentionCase.objects.get(), staff("issue_refund")
    page = f"{ROOT}/attentioncase/{case.pk}/solve/"
    assert page not in client.get(f"{ROOT}/attentioncase/{case.pk}/change/").content.decode()
    assert client.get(page).status_code == 403
    assert client.post(page, {"note": "x"}).status_code == 403
    assert AttentionCase.objects.get().solved_at is None


def test_money_that_paid_for_nothing_stays_a_case_until_it_is_on_its_way_back(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    case, client = stray(shop, mug, stripe_sandbox), owner()
    page = f"{ROOT}/attentioncase/{case.pk}/solve/"
    refused = client.post(page, {"note": "Never mind."})
    assert "This money paid for nothing. Give it back or apply it: the case then closes by itself." in text_of(refused)
    assert AttentionCase.objects.get().solved_at is None
    assert verify() == []
    stripe_sandbox.sandbox.control("refund", payment_intent=Payment.objects.get().stripe_payment_intent_id)
    stripe_sandbox.digest()
    assert AttentionCase.objects.get().note == "Refunded in full."
    assert told(client.post(page, {"note": "x"})) == ["This case is solved already."]


# How much the lists ask


@pytest.mark.parametrize(
    "name", ["payment", "refund", "attentioncase", "stripecustomer", "paymentmethod", "stripewebhookevent"]
)
def test_lists_take_as_many_statements_for_many_rows_as_for_one(
    mug: ProductVariant, stripe_sandbox: Stripe, name: str
) -> None:
    def one_more(number: int) -> None:
        buyer = Shop()
        buyer.add(mug)
        buyer.buy(stripe_sandbox)
        payment = Payment.objects.latest("pk")
        open_case(payment, kind="long_on_its_way", detail="slow")
        stripe_sandbox.sandbox.control("refund", payment_intent=payment.stripe_payment_intent_id, amount=100)
        stripe_sandbox.digest()
        card_of(f"buyer{number}@example.com")

    client, address = owner(), f"{ROOT}/{name}/"
    one_more(0)
    statements(client, address)
    one = statements(client, address)
    for number in range(1, 5):
        one_more(number)
    assert apps.get_model("payment", name).objects.count() >= 5
    assert statements(client, address) == one


# Reserved amounts


@pytest.fixture
def reserved(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, settings: Any) -> Payment:
    settings.CAPTURE_METHOD = "manual"
    shop.add(mug, 2)
    shop.buy(stripe_sandbox)
    payment = Payment.objects.get()
    assert (payment.status, payment.intent_status) == ("processing", "requires_capture")
    return payment


def decide(payment: Payment, how: str) -> str:
    return f"{ROOT}/payment/{payment.pk}/{how}/"


@pytest.mark.parametrize(
    ("how", "question", "noted", "state", "order"),
    [
        ("capture", "Stripe takes the whole amount from the card.", "Take 20.00 USD: succeeded.", "succeeded", "paid"),
        ("release", "the bank frees the amount", "Give up 20.00 USD: cancelled.", "cancelled", "failed"),
    ],
)
def test_reserved_amount_is_taken_or_given_up(
    reserved: Payment, stripe_sandbox: Stripe, how: str, question: str, noted: str, state: str, order: str
) -> None:
    client = staff("capture_payment")
    shown = client.get(f"{ROOT}/payment/{reserved.pk}/change/").content.decode()
    assert decide(reserved, "capture") in shown
    assert decide(reserved, "release") in shown
    assert question in text_of(client.get(decide(reserved, how)))
    reserved.refresh_from_db()
    assert reserved.capture_decision == "", "nothing is decided before it is confirmed"

    answer = client.post(decide(reserved, how))
    assert told(answer) == [f"The payment's status is now: {state}."]
    stripe_sandbox.digest()
    reserved.refresh_from_db()
    assert (reserved.status, reserved.capture_decided_by.email) == (state, "staff@example.com")  # type: ignore[union-attr]
    assert Order.objects.get().payment_status == order
    assert history() == [("staff@example.com", "payment", noted)]
    again = client.post(decide(reserved, how))
    assert told(again)[-1] == "No amount is reserved for this payment."
    assert len(history()) == 1
    assert decide(reserved, how) not in client.get(f"{ROOT}/payment/{reserved.pk}/change/").content.decode()


def test_stripe_away_keeps_the_decision_and_work_goes_on(
    reserved: Payment, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.payment.gateway.calls.time.sleep", lambda seconds: None)
    stripe_sandbox.sandbox.faults("reset", path="/v1/payment_intents", times=3)
    client = owner()
    answer = client.post(decide(reserved, "capture"))
    assert told(answer) == ["Take 20.00 USD: Stripe has not answered yet. The shop goes on by itself."]
    opposite = client.post(decide(reserved, "release"))
    assert told(opposite)[-1] == "The opposite was decided already."
    assert len(history()) == 1
    Payment.objects.update(capture_due_at=None)
    work()
    reserved.refresh_from_db()
    assert reserved.status == "succeeded"


def test_reserved_amounts_need_their_own_permission(reserved: Payment, stripe_sandbox: Stripe) -> None:
    client = staff("issue_refund", "change_payment")
    shown = client.get(f"{ROOT}/payment/{reserved.pk}/change/").content.decode()
    for how in ("capture", "release"):
        assert decide(reserved, how) not in shown
        assert client.get(decide(reserved, how)).status_code == 403
        assert client.post(decide(reserved, how)).status_code == 403
    reserved.refresh_from_db()
    assert reserved.capture_decision == ""


def test_payment_without_a_reservation_has_nothing_to_take(payment: Payment) -> None:
    client = owner()
    assert decide(payment, "capture") not in client.get(f"{ROOT}/payment/{payment.pk}/change/").content.decode()
    for how in ("capture", "release"):
        assert told(client.post(decide(payment, how)))[-1] == "No amount is reserved for this payment."
