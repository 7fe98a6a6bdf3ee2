"""PaymentIntents for frontends with their own card form: opened, confirmed there, followed here, closed in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import requests
from django.db import connection
from django.utils import timezone

from apps.catalog.models import ProductVariant
from apps.common import tokens
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.payment.models import Payment, PaymentLog
from apps.payment.services.expiry import expire_due_orders
from tests.support.sandbox import SECRET_KEY
from tests.support.shop import Shop, Stripe, deliver, make_user, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

ADDRESS = {"name": "A. Buyer", "line1": "1 Main Street", "city": "Springfield", "postal_code": "12345", "country": "US"}


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1250, stock=5)


@pytest.fixture
def order(shop: Shop, mug: ProductVariant) -> dict[str, Any]:
    shop.add(mug, 2)
    answer = shop.post("/api/orders/", {"email": "guest@example.com", "shipping_address": ADDRESS})
    assert answer.status_code == 201, answer.content
    return answer.json()


def token(order: dict[str, Any]) -> dict[str, str]:
    return {"X-Order-Token": order["order_token"]}


def start(shop: Shop, order: dict[str, Any], **body: Any) -> Any:
    return shop.post("/api/payment/intents/", {"order_number": order["number"], **body}, **token(order))


def status(shop: Shop, order: dict[str, Any], payment_id: int) -> dict[str, Any]:
    Payment.objects.update(asked_at=None)
    answer = shop.get(f"/api/payment/payments/{payment_id}/status/", **token(order))
    assert answer.status_code == 200, answer.content
    return answer.json()


def fill_in_form(stripe_sandbox: Stripe, intent_id: str, payment_method: str) -> dict[str, Any]:
    """What Stripe.js asks of Stripe when the buyer presses the form's button; the answer, also a refusal."""
    answer = requests.post(
        f"{stripe_sandbox.sandbox.address}/v1/payment_intents/{intent_id}/confirm",
        data={"payment_method": payment_method, "return_url": "http://localhost:8000/"},
        headers={"Authorization": f"Bearer {SECRET_KEY}"},
        timeout=10,
    )
    return answer.json()


def at_stripe(stripe_sandbox: Stripe, intent_id: str) -> dict[str, Any]:
    return stripe_sandbox.sandbox.get(f"/v1/payment_intents/{intent_id}")


def test_guest_pays_in_the_frontends_own_form(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe, mug: ProductVariant
) -> None:
    answer = start(shop, order)
    assert answer.status_code == 201, answer.content
    opened = answer.json()
    intent = at_stripe(stripe_sandbox, opened["payment_intent_id"])
    payment = Payment.objects.get()
    assert opened == {
        "payment_id": payment.pk,
        "client_secret": intent["client_secret"],
        "payment_intent_id": payment.stripe_payment_intent_id,
        "amount": "25.00",
        "currency": "USD",
        "status": "pending",
        "stripe_status": "requires_payment_method",
    }
    assert answer["Cache-Control"] == "no-store"
    assert (intent["amount"], intent["currency"], intent["shipping"]["name"]) == (2500, "usd", "A. Buyer")
    assert intent["metadata"] == {
        "proshop_order": order["number"],
        "proshop_order_key": tokens.issue("stripe", payment.order.public_id),
        "proshop_payment": payment.reference,
        "proshop_lines_0": '[["MUG",2,1250]]',
        "proshop_language": "en",
    }

    fill_in_form(stripe_sandbox, intent["id"], "pm_card_visa")
    types = stripe_sandbox.digest()
    assert "payment_intent.succeeded" in types
    now = status(shop, order, payment.pk)
    assert (now["status"], now["stripe_status"]) == ("succeeded", "succeeded")
    assert (now["order_status"], now["payment_status"]) == ("confirmed", "paid")
    assert now["payment_method"] == {"type": "card", "brand": "visa", "last4": "4242"}
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (3, 0)
    assert list(Mail.objects.values_list("kind", "recipient")) == [("order_confirmation", "guest@example.com")]


def test_the_client_secret_is_stored_nowhere(shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe) -> None:
    secret = start(shop, order).json()["client_secret"]
    stripe_sandbox.digest()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names of our own tables
            assert secret not in repr(cursor.fetchall()), table


def test_the_amount_is_the_orders_and_never_the_bodys(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe
) -> None:
    opened = start(shop, order, amount="0.01", currency="EUR").json()
    assert (opened["amount"], opened["currency"]) == ("25.00", "USD")
    assert at_stripe(stripe_sandbox, opened["payment_intent_id"])["amount"] == 2500


def test_the_open_intent_is_given_again(shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe) -> None:
    first, second = start(shop, order).json(), start(shop, order).json()
    assert second == first
    assert len(stripe_sandbox.sandbox.objects("payment_intent")) == 1
    key = {"Idempotency-Key": "one", **token(order)}
    body = {"order_number": order["number"]}
    replies = [shop.post("/api/payment/intents/", body, **key) for _ in range(2)]
    assert [reply.json() for reply in replies] == [first, first]


def test_polling_settles_what_no_webhook_told(shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe) -> None:
    opened = start(shop, order).json()
    fill_in_form(stripe_sandbox, opened["payment_intent_id"], "pm_card_visa")
    assert status(shop, order, opened["payment_id"])["payment_status"] == "paid"
    stripe_sandbox.digest()
    assert PaymentLog.objects.filter(kind="succeeded").count() == 1


@pytest.mark.parametrize(
    ("card", "code", "sentence"),
    [
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds", "The card has insufficient funds."),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "The card has expired."),
        (
            "pm_card_visa_chargeDeclinedLostCard",
            "card_declined",
            "The card was declined. Try another one, or ask your bank.",
        ),
        (
            "pm_card_visa_chargeDeclinedStolenCard",
            "card_declined",
            "The card was declined. Try another one, or ask your bank.",
        ),
        ("pm_card_radarBlock", "card_declined", "The card was declined. Try another one, or ask your bank."),
    ],
)
def test_declines_then_success(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe, card: str, code: str, sentence: str
) -> None:
    opened = start(shop, order).json()
    assert fill_in_form(stripe_sandbox, opened["payment_intent_id"], card)["error"]["type"] == "card_error"
    stripe_sandbox.digest()
    now = status(shop, order, opened["payment_id"])
    assert (now["status"], now["order_status"], now["payment_status"]) == ("pending", "pending", "pending")
    assert now["failure"] == {"code": code, "message": sentence}
    public = shop.get(f"/api/orders/{order['number']}/", **token(order)).content.decode()
    assert "lost" not in public
    assert "stolen" not in public
    assert "fraud" not in public

    fill_in_form(stripe_sandbox, opened["payment_intent_id"], "pm_card_visa")
    stripe_sandbox.digest()
    now = status(shop, order, opened["payment_id"])
    assert (now["status"], now["payment_status"], now["failure"]) == ("succeeded", "paid", None)


def test_three_d_secure_waits_for_the_buyer(shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe) -> None:
    opened = start(shop, order).json()
    intent = fill_in_form(stripe_sandbox, opened["payment_intent_id"], "pm_card_threeDSecure2Required")
    assert intent["status"] == "requires_action"
    stripe_sandbox.digest()
    now = status(shop, order, opened["payment_id"])
    assert (now["status"], now["stripe_status"]) == ("requires_action", "requires_action")
    assert start(shop, order).json()["payment_intent_id"] == opened["payment_intent_id"], "the same attempt goes on"

    stripe_sandbox.sandbox.control(f"payment_intents/{opened['payment_intent_id']}/authenticate", passed=True)
    stripe_sandbox.digest()
    assert status(shop, order, opened["payment_id"])["payment_status"] == "paid"


def test_three_d_secure_that_fails_leaves_the_order_to_be_paid(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe
) -> None:
    opened = start(shop, order).json()
    fill_in_form(stripe_sandbox, opened["payment_intent_id"], "pm_card_threeDSecure2Required")
    stripe_sandbox.digest()
    stripe_sandbox.sandbox.control(f"payment_intents/{opened['payment_intent_id']}/authenticate", passed=False)
    stripe_sandbox.digest()
    now = status(shop, order, opened["payment_id"])
    assert (now["status"], now["stripe_status"]) == ("pending", "requires_payment_method")
    assert now["failure"] == {
        "code": "payment_intent_authentication_failure",
        "message": "The bank's confirmation failed. Try again, or use another card.",
    }
    assert Order.objects.get().status == "pending"


def test_what_cannot_be_paid_gets_no_intent(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe, mug: ProductVariant
) -> None:
    opened = start(shop, order).json()
    fill_in_form(stripe_sandbox, opened["payment_intent_id"], "pm_card_visa")
    stripe_sandbox.digest()
    paid = start(shop, order)
    assert (paid.status_code, paid.json()["code"]) == (409, "already_paid")

    other = Shop()
    other.add(mug)
    cancelled = other.post("/api/orders/", {"email": "b@example.com", "shipping_address": ADDRESS}).json()
    other.post(f"/api/orders/{cancelled['number']}/cancel/", **token(cancelled))
    refused = start(other, cancelled)
    assert (refused.status_code, refused.json()["code"]) == (409, "order_cancelled")

    mug.prices.update(amount=0)
    free = Shop()
    free.add(mug)
    nothing = free.post("/api/orders/", {"email": "c@example.com", "shipping_address": ADDRESS}).json()
    refused = start(free, nothing)
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_pay")
    assert len(stripe_sandbox.sandbox.objects("payment_intent")) == 1


@pytest.mark.parametrize("path", ["status/", "confirm/", "cancel/", ""])
def test_another_persons_payment_is_not_there(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe, path: str
) -> None:
    payment_id = start(shop, order).json()["payment_id"]
    stripe_sandbox.sandbox.faults("500", path="/v1/payment_intents", times=9)
    for stranger in (Shop(), Shop(make_user("stranger@example.com"))):
        call = stranger.get if path in ("status/", "") else stranger.post
        answer = call(f"/api/payment/payments/{payment_id}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "payment_not_found")
    refused = Shop(make_user("other@example.com")).post(
        "/api/payment/intents/", {"order_number": order["number"], "order_token": order["order_token"]}
    )
    assert (refused.status_code, refused.json()["code"]) == (404, "order_not_found")


def test_cancelled_attempt_leaves_the_order_waiting(shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe) -> None:
    opened = start(shop, order).json()
    path = f"/api/payment/payments/{opened['payment_id']}/cancel/"
    for _ in range(2):
        answer = shop.post(path, **token(order))
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert at_stripe(stripe_sandbox, opened["payment_intent_id"])["status"] == "canceled"
    stripe_sandbox.digest()
    assert (Order.objects.get().status, Order.objects.get().payment_status) == ("pending", "pending")
    anew = start(shop, order).json()
    assert anew["payment_intent_id"] != opened["payment_intent_id"]
    fill_in_form(stripe_sandbox, anew["payment_intent_id"], "pm_card_visa")
    stripe_sandbox.digest()
    late = shop.post(f"/api/payment/payments/{anew['payment_id']}/cancel/", **token(order))
    assert (late.status_code, late.json()["code"]) == (409, "already_paid")


def test_another_way_to_pay_closes_the_open_one_first(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe
) -> None:
    opened = start(shop, order).json()
    session = shop.post("/api/payment/checkout/", {"order_number": order["number"]}, **token(order)).json()
    assert at_stripe(stripe_sandbox, opened["payment_intent_id"])["status"] == "canceled"
    assert start(shop, order).status_code == 201
    found = stripe_sandbox.sandbox.get(f"/v1/checkout/sessions/{session['session_id']}")
    assert found["status"] == "expired"
    assert Payment.objects.filter(status__in=Payment.OPEN).count() == 1


def test_abandoned_intent_is_cancelled_when_its_order_expires(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe, mug: ProductVariant
) -> None:
    opened = start(shop, order).json()
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_due_orders() == 1
    assert at_stripe(stripe_sandbox, opened["payment_intent_id"])["status"] == "canceled"
    stripe_sandbox.digest()
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (5, 0)
    again = start(shop, order)
    assert again.status_code == 201, again.content
    mug.refresh_from_db()
    assert mug.held == 2, "an expired order may be paid after all while there is stock"


def test_money_that_is_there_when_the_order_should_expire_is_taken(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe
) -> None:
    opened = start(shop, order).json()
    fill_in_form(stripe_sandbox, opened["payment_intent_id"], "pm_card_visa")
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert expire_due_orders() == 0
    assert Order.objects.get().payment_status == "paid"


def test_lost_answer_to_the_creation_makes_no_second_intent(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe
) -> None:
    stripe_sandbox.sandbox.faults("reset_after", path="/v1/payment_intents", times=3)
    away = start(shop, order)
    assert (away.status_code, away.json()["code"]) == (503, "payment_provider_unavailable")
    assert Payment.objects.get().stripe_payment_intent_id is None
    opened = start(shop, order).json()
    assert [found["id"] for found in stripe_sandbox.sandbox.objects("payment_intent")] == [opened["payment_intent_id"]]


def test_bank_debit_from_the_own_form_is_on_its_way_then_fails(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant("EUR", price=1250, stock=5, currency="EUR")
    shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": "EUR"})
    shop.cart_token = shop.get("/api/cart/").json()["token"]
    order = shop.post("/api/orders/", {"email": "guest@example.com", "shipping_address": ADDRESS}).json()
    opened = start(shop, order).json()
    method = stripe_sandbox.sandbox.post(
        "/v1/payment_methods",
        **{"type": "sepa_debit", "sepa_debit[iban]": "AT861904300235473202", "billing_details[email]": "g@example.com"},
        **{"billing_details[name]": "G. Uest"},
    )
    sent = fill_in_form(stripe_sandbox, opened["payment_intent_id"], method["id"])
    assert sent.get("status") == "processing", sent
    stripe_sandbox.digest()
    current = Order.objects.get()
    assert (current.status, current.payment_status, current.expires_at) == ("pending", "processing", None)
    assert start(shop, order).json()["code"] == "already_paid"

    stripe_sandbox.sandbox.control("settle")
    stripe_sandbox.digest()
    current.refresh_from_db()
    assert (current.status, current.payment_status, current.ended) == ("cancelled", "failed", "payment_failed")
    assert at_stripe(stripe_sandbox, opened["payment_intent_id"])["status"] == "canceled", "takes no other card now"
    kinds = list(Mail.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["payment_on_its_way", "payment_failed"]
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (5, 0)
    assert start(shop, order).status_code == 201, "and may be tried again"


def test_decline_that_comes_after_the_success_changes_nothing(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe
) -> None:
    opened = start(shop, order).json()
    fill_in_form(stripe_sandbox, opened["payment_intent_id"], "pm_card_chargeDeclinedExpiredCard")
    fill_in_form(stripe_sandbox, opened["payment_intent_id"], "pm_card_visa")
    events = stripe_sandbox.new_events()
    failures_last = sorted(events, key=lambda event: "failed" in event["type"])
    for event in failures_last:
        assert deliver(event).status_code == 200
    work()
    payment = Payment.objects.get()
    assert (payment.status, payment.applied, payment.failure_code) == ("succeeded", True, "")
    assert Order.objects.get().payment_status == "paid"


def test_money_for_an_order_that_a_person_cancelled_meanwhile_is_not_kept_silently(
    shop: Shop, order: dict[str, Any], stripe_sandbox: Stripe, mug: ProductVariant, settings: Any
) -> None:
    """The card went through a moment before the cancellation reached Stripe: the shop believes Stripe."""
    opened = start(shop, order).json()
    fill_in_form(stripe_sandbox, opened["payment_intent_id"], "pm_card_visa")
    refused = shop.post(f"/api/orders/{order['number']}/cancel/", **token(order))
    assert (refused.status_code, refused.json()["code"]) == (409, "already_paid")
    assert Order.objects.get().payment_status == "paid"
