"""What buyers and staff are told of refunds and disputes, each once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail as outbox
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.orders.services import lifecycle
from apps.outbox.models import Delivery
from apps.payment import gateway
from apps.payment.models import Dispute, Payment, Refund
from apps.payment.services import refund_requests
from apps.payment.services.carrying_out import carry_out
from apps.payment.services.ledger import apply_dispute
from apps.payment.services.refunds import HEAD_START, ExceedsRemaining
from tests.payment.test_refunds import give_back, make_staff
from tests.support.shop import Shop, Stripe, deliver, make_user, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

OWNER, BUYER = "owner@example.com", "buyer@example.com"


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_superuser(OWNER, "correct horse battery")


def buy(shop: Shop, stripe: Stripe, method: str = "pm_card_visa") -> dict[str, Any]:
    """Three mugs at 10.00; the confirmation has gone out."""
    shop.add(make_variant("MUG", price=1000, stock=10), 3)
    bought = shop.buy(stripe, method)
    work()
    return bought


def told() -> list[tuple[str, str]]:
    """Who was told what since the last look, without the order's number."""
    work()
    found = [(message.to[0], message.subject.replace(Order.objects.first().number, "…")) for message in outbox.outbox]
    outbox.outbox.clear()
    return found


def last_body() -> str:
    body: str = outbox.outbox[-1].body
    return body


def ask(shop: Shop, bought: dict[str, Any], **body: Any) -> None:
    wish = {"payment_id": Payment.objects.get().pk, **body}
    asked = shop.post("/api/payment/refunds/", wish, **{"X-Order-Token": bought["order_token"]})
    assert asked.status_code == 202, asked.content


def test_request_is_confirmed_to_the_buyer_and_shown_to_who_decides(
    shop: Shop, stripe_sandbox: Stripe, owner: User
) -> None:
    decider, issuer = make_staff("decide_refund"), make_user("issuer@example.com")
    bought = buy(shop, stripe_sandbox)
    told()
    line = Order.objects.get().items.get()
    ask(shop, bought, items=[{"order_item_id": line.pk, "quantity": 2}], description="chipped\n<b>both</b>")
    work()
    buyer, *staff = outbox.outbox
    link = f"http://localhost:8000/orders/{bought['order_number']}#token={bought['order_token']}"
    assert (
        buyer.body
        == f"""\
We have your refund request

You asked for $20.00 of order {bought["order_number"]} back.

We look at it and write to you when it is decided. There is nothing more for you to do.

2 × Product MUG: $20.00

What you wrote:
> chipped
> <b>both</b>

See your order: {link}

Proshop
http://localhost:8000

"""
    )
    assert "&lt;b&gt;both&lt;/b&gt;" in buyer.alternatives[0][0]
    page = f"http://localhost:8000/admin/payment/refund/{Refund.objects.get().pk}/change/"
    assert [(message.to, f"See the request: {page}" in message.body) for message in staff] == [
        ([OWNER], True),
        ([decider.email], True),
    ]
    assert "asks for 20.00 USD of payment" in staff[0].body
    assert "> chipped" in staff[0].body
    assert issuer.email not in str(Mail.objects.values())
    assert told() == [
        (BUYER, "Your refund request for order …"),
        (OWNER, "A refund request waits: order …"),
        (decider.email, "A refund request waits: order …"),
    ]


def test_rejected_request_is_told_with_staffs_note(shop: Shop, stripe_sandbox: Stripe) -> None:
    person = make_staff("decide_refund")
    ask(shop, buy(shop, stripe_sandbox), amount="5.00")
    told()
    refund_requests.reject(Refund.objects.get(), by=person, note="Worn & washed.")
    work()
    assert "You asked for $5.00 of order" in last_body()
    assert "Why:\n> Worn & washed.\n" in last_body()
    assert told() == [(BUYER, "Your refund request for order … was declined")]


def test_approved_request_is_told_when_the_money_is_under_way(shop: Shop, stripe_sandbox: Stripe) -> None:
    person = make_staff("decide_refund")
    ask(shop, buy(shop, stripe_sandbox), amount="5.00")
    told()
    approved = refund_requests.approve(Refund.objects.get(), by=person)
    with time_machine.travel(timezone.now() + HEAD_START):
        assert told() == [(BUYER, "Your refund for order …")], "work carries it out"
    carry_out(approved)
    stripe_sandbox.digest()
    assert told() == []


def test_refund_by_staff_names_lines_amount_and_where_it_goes(shop: Shop, stripe_sandbox: Stripe) -> None:
    staff = Shop(make_staff())
    bought = buy(shop, stripe_sandbox)
    told()
    line = Order.objects.get().items.get()
    give_back(staff, items=[{"order_item_id": line.pk, "quantity": 1}])
    work()
    assert last_body().startswith(
        f"""\
Your money is on its way back

We sent $10.00 of order {bought["order_number"]} back to you.

It goes to the card or account ending in 4242 that you paid with. It can take 5 to 10 days until you see it.

The credit note CN-{timezone.now().year}-00001 is attached.

1 × Product MUG: $10.00

Refunded: $10.00

See your order: http"""
    )
    stripe_sandbox.digest()
    assert told() == [(BUYER, "Your refund for order …")]
    give_back(staff)
    assert told() == [(BUYER, "Your refund for order …")], "another refund is another e-mail"


def test_pending_refund_is_told_when_it_succeeds(shop: Shop, stripe_sandbox: Stripe) -> None:
    staff = Shop(make_staff())
    buy(shop, stripe_sandbox, "pm_card_pendingRefund")
    told()
    give_back(staff)
    assert told() == []
    stripe_sandbox.settle_later_work()
    assert told() == [(BUYER, "Your refund for order …")]


def test_refund_that_fails_later_is_told_to_staff_and_in_plain_words_to_the_buyer(
    shop: Shop, stripe_sandbox: Stripe, owner: User
) -> None:
    staff = Shop(make_staff())
    buy(shop, stripe_sandbox, "pm_card_refundFail")
    told()
    give_back(staff)
    assert told() == [(BUYER, "Your refund for order …")]
    stripe_sandbox.settle_later_work()
    work()
    assert "came back to us: your bank could not pay it out." in outbox.outbox[-2].body + outbox.outbox[-1].body
    assert sorted(told()) == [
        (BUYER, "Your refund for order … did not go through"),
        (OWNER, "A payment needs attention: order …"),
    ]


def test_refund_that_stripe_refuses_is_told_to_a_buyer_who_asked_for_it_alone(
    shop: Shop, stripe_sandbox: Stripe, owner: User
) -> None:
    person = make_staff("decide_refund", "issue_refund")
    ask(shop, buy(shop, stripe_sandbox), amount="5.00")
    told()
    stripe_sandbox.sandbox.control("refund", payment_intent=Payment.objects.get().stripe_payment_intent_id)
    approved = refund_requests.approve(Refund.objects.get(), by=person)
    with pytest.raises(ExceedsRemaining):
        carry_out(approved)
    work()
    assert any("could not be paid out." in message.body for message in outbox.outbox)
    assert sorted(told()) == [
        (BUYER, "Your refund for order …"),  # the Dashboard's, which is why
        (BUYER, "Your refund for order … did not go through"),
        (OWNER, "A payment needs attention: order …"),
    ]


def test_refund_by_staff_that_stripe_refuses_is_staffs_business_alone(
    shop: Shop, stripe_sandbox: Stripe, owner: User
) -> None:
    staff = Shop(make_staff())
    buy(shop, stripe_sandbox)
    told()
    stripe_sandbox.sandbox.control("refund", payment_intent=Payment.objects.get().stripe_payment_intent_id)
    assert give_back(staff, amount="1.00").status_code == 400
    assert sorted(told()) == [(BUYER, "Your refund for order …"), (OWNER, "A payment needs attention: order …")]


def test_money_that_came_twice_says_so(shop: Shop, stripe_sandbox: Stripe, owner: User) -> None:
    shop.add(make_variant("MUG", price=1000))
    first = shop.checkout().json()
    Payment.objects.update(status="failed", closing=False)
    second = shop.retry(first).json()
    stripe_sandbox.pay(first["session_id"])
    stripe_sandbox.pay(second["session_id"])
    stripe_sandbox.digest()
    work()
    [refunded] = [message for message in outbox.outbox if message.subject.startswith("Your refund")]
    assert (
        f"Order {first['order_number']} was paid already when another payment of yours arrived. "
        "We sent the second payment of $10.00 back to you." in refunded.body
    )
    assert sorted(told()) == [
        (BUYER, "Your order …"),
        (BUYER, "Your refund for order …"),
        (OWNER, "A payment needs attention: order …"),
    ]


@pytest.mark.parametrize("ended", ["by_person", "expired", "payment_failed"])
def test_money_that_came_late_says_so_to_a_guest_whose_address_only_the_page_asked_for(
    shop: Shop, stripe_sandbox: Stripe, owner: User, ended: str
) -> None:
    mug = make_variant("MUG", price=1000, stock=1)
    shop.add(mug)
    bought = shop.checkout().json()
    order = Order.objects.get()
    with transaction.atomic():
        lifecycle.end_order(lifecycle.lock_order(order.pk), ended=ended, reason="over")
    other = Shop()
    other.add(mug)
    assert other.checkout().status_code == 201
    stripe_sandbox.pay(bought["session_id"])
    stripe_sandbox.digest()
    work()
    payment = Payment.objects.get(order=order)
    assert (payment.problem, payment.status) == ("late", "refunded")
    [refunded] = [message for message in outbox.outbox if message.subject.startswith("Your refund")]
    assert refunded.body.startswith(
        f"""\
Your money is on its way back

Your payment for order {order.number} came after the order had ended, so we could not take it. \
We sent the $10.00 back to you. There is nothing for you to do.
"""
    )
    told_of = [(message.to[0], message.subject.replace(order.number, "…")) for message in outbox.outbox]
    failed = [(BUYER, "The payment of your order … failed")] if ended == "payment_failed" else []
    assert sorted(told_of) == [
        *failed,
        (BUYER, "Your refund for order …"),
        (OWNER, "A payment needs attention: order …"),
    ]


def test_address_that_comes_after_the_refund_still_gets_its_mail(shop: Shop, stripe_sandbox: Stripe) -> None:
    staff = Shop(make_staff())
    buy(shop, stripe_sandbox)
    Order.objects.update(email="")
    Delivery.objects.filter(kind="order.contact_learned").delete()
    give_back(staff, amount="5.00")
    told()
    with transaction.atomic():
        lifecycle.learn_contact(lifecycle.lock_order(Order.objects.get().pk), email="late@example.com", address=None)
    assert told() == [("late@example.com", "Your refund for order …")]


@pytest.mark.parametrize("amount", [500, 3000])
def test_confirmation_is_sent_also_where_the_address_comes_after_a_refund(
    shop: Shop, stripe_sandbox: Stripe, amount: int
) -> None:
    """The money is told of by the intent, then a refund from the Dashboard, and only then the page that knows whom."""
    shop.add(make_variant("MUG", price=1000, stock=10), 3)
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    events = {event["type"]: event for event in stripe_sandbox.new_events()}
    intent = events["payment_intent.succeeded"]
    deliver(intent)
    assert told() == []
    stripe_sandbox.sandbox.control("refund", payment_intent=intent["data"]["object"]["id"], amount=amount)
    stripe_sandbox.digest()
    assert Order.objects.get().payment_status == ("partially_refunded" if amount < 3000 else "refunded")
    assert told() == []
    deliver(events["checkout.session.completed"])
    assert told() == [(BUYER, "Your order …"), (BUYER, "Your refund for order …")]


def dispute(stripe: Stripe, **body: Any) -> None:
    stripe.sandbox.control(f"charges/{Payment.objects.get().stripe_payment_intent_id}/dispute", **body)
    stripe.digest()


def test_dispute_is_told_to_who_answers_it_with_its_deadline(shop: Shop, stripe_sandbox: Stripe, owner: User) -> None:
    answerer = make_staff("answer_dispute")
    bought = buy(shop, stripe_sandbox)
    told()
    dispute(stripe_sandbox, reason="product_not_received")
    opened = Dispute.objects.get()
    assert opened.due_by is not None
    work()
    desk = f"http://localhost:8000/admin/payment/dispute/{opened.pk}/change/"
    assert (
        last_body()
        == f"""\
A payment is disputed

The buyer's bank takes 30.00 USD of order {bought["order_number"]} back unless the shop proves its case.

Reason: product not received.

Answer by {opened.due_by:%Y-%m-%d %H:%M} UTC. What is not answered in time is lost.

See the dispute: {desk}

Proshop
http://localhost:8000

"""
    )
    stripe_sandbox.digest()
    assert told() == [
        (OWNER, "A payment is disputed: order …"),
        (answerer.email, "A payment is disputed: order …"),
    ]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("won", "The bank decided for the shop. The money is back."),
        ("lost", "The bank decided for the buyer. The money is gone."),
    ],
)
def test_outcome_of_a_dispute_is_told(
    shop: Shop, stripe_sandbox: Stripe, owner: User, outcome: str, words: str
) -> None:
    buy(shop, stripe_sandbox)
    dispute(stripe_sandbox)
    told()
    stripe_sandbox.sandbox.control(f"disputes/{Dispute.objects.get().stripe_dispute_id}/decide", outcome=outcome)
    stripe_sandbox.digest()
    work()
    assert words in last_body()
    assert told() == [(OWNER, f"Dispute {outcome}: order …")]


def test_appeal_after_the_outcome_is_told_with_its_deadline(shop: Shop, stripe_sandbox: Stripe, owner: User) -> None:
    buy(shop, stripe_sandbox)
    dispute(stripe_sandbox)
    lost = Dispute.objects.get()
    stripe_sandbox.sandbox.control(f"disputes/{lost.stripe_dispute_id}/decide", outcome="lost")
    stripe_sandbox.digest()
    told()
    facts = gateway.retrieve_dispute(lost.stripe_dispute_id)
    appealed = replace(facts, status="appeal_needs_response", due_by=timezone.now() + timedelta(days=9))
    for _ in range(2):
        with transaction.atomic():
            apply_dispute(appealed, asked_at=timezone.now())
    work()
    until = Dispute.objects.get().due_by
    assert until is not None
    assert "The dispute about 30.00 USD of order" in last_body()
    assert f"Answer by {until:%Y-%m-%d %H:%M} UTC." in last_body()
    assert told() == [(OWNER, "A decided dispute goes on: order …")]


def test_inquiry_is_told_apart_from_a_dispute(shop: Shop, stripe_sandbox: Stripe, owner: User) -> None:
    buy(shop, stripe_sandbox, "pm_card_createDisputeInquiry")
    work()
    assert any("No money was taken so far." in message.body for message in outbox.outbox)
    assert told() == [(BUYER, "Your order …"), (OWNER, "A bank asks about a payment: order …")]
