"""The shop and Stripe differ in every way they can: one run makes them agree, a second changes nothing.

Events are not delivered unless a test does it; what Stripe did and the shop was not told is the difference.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.inventory import services as inventory
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.orders.services.numbers import next_number
from apps.payment import gateway
from apps.payment.gateway import calls
from apps.payment.invariants import verify
from apps.payment.models import CheckRun, Dispute, Payment, PaymentMethod, Refund, StripeCustomer, StripeWebhookEvent
from apps.payment.services.carrying_out import carry_out
from apps.payment.services.customers import customer_for
from apps.payment.services.reconcile import (
    Report,
    attempts,
    default_since,
    events,
    money_back,
    reconcile,
    reconcile_if_due,
    running,
    unfinished,
)
from apps.payment.services.refunds import RefundWish, intend_refund
from apps.payment.webhooks.handlers import HANDLERS
from tests.payment.test_intents import ADDRESS, fill_in_form, start
from tests.support.backup import Tables, restore, tables
from tests.support.shop import Shop, Stripe, make_user, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

RUNS = "payment.CheckRun"


@pytest.fixture(autouse=True)
def nothing_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test left undone a moment ago is taken for what nobody will do any more."""
    for module in (attempts, events, money_back):
        monkeypatch.setattr(module, "IN_FLIGHT", timedelta(0))
    monkeypatch.setattr(unfinished, "IN_HAND", timedelta(0))


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1000, stock=10)


def found(report: Report) -> Counter[str]:
    return Counter(difference.kind for difference in report.differences)


def found_here(report: Report) -> Counter[str]:
    """But for the event of what the run itself did at Stripe: whether it still reads it is a matter of a second."""
    return Counter(difference.kind for difference in report.differences if difference.kind != "event")


def make_whole(stripe_sandbox: Stripe, **kinds: int) -> Report:
    """A dry run tells the differences and writes nothing, a run mends them all, a second one has nothing to do."""
    calm(stripe_sandbox)
    unheard = events_not_here(stripe_sandbox)
    before = tables()
    dry = reconcile(dry_run=True)
    assert tables() == before
    assert not dry.ok
    assert {each.outcome for each in dry.differences} == {"found"}

    report = reconcile()
    told = found(report)
    assert told.pop("event", 0) == len(unheard)
    assert told == kinds, report.differences
    assert {each.outcome for each in report.differences} == {"mended"}, report.differences
    assert report.ok
    assert found(dry) == found(report)
    assert set(unheard) & set(events_not_here(stripe_sandbox)) == set()
    settled(stripe_sandbox)
    return report


def events_not_here(stripe_sandbox: Stripe) -> list[str]:
    """What Stripe told that the shop would act on and has not stored."""
    here = set(StripeWebhookEvent.objects.values_list("stripe_id", flat=True))
    told = [event for event in stripe_sandbox.sandbox.events() if event["type"] in HANDLERS]
    return [event["id"] for event in told if event["id"] not in here]


def settled(stripe_sandbox: Stripe) -> None:
    """The shop and Stripe agree once the events of what the run itself did are here; looking again changes nothing."""
    calm(stripe_sandbox)
    reconcile()
    work()
    before = tables(but=(RUNS,))
    again = reconcile()
    assert again.differences == []
    assert again.ok
    assert tables(but=(RUNS,)) == before
    assert verify() == []


def calm(stripe_sandbox: Stripe) -> None:
    """Stripe has done what it does a few seconds after a payment."""
    stripe_sandbox.sandbox.control("advance", seconds=30)


def state() -> tuple[str, str, str]:
    order, payment = Order.objects.get(), Payment.objects.get()
    return order.status, order.payment_status, payment.status


def test_a_shop_that_agrees_is_left_alone(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox)
    settled(stripe_sandbox)
    run = CheckRun.objects.latest("pk")
    assert (run.kind, run.ok, run.summary["differences"]) == ("reconcile", True, [])
    assert run.summary["read"] == {"sessions": 1, "intents": 1, "refunds": 0, "disputes": 0, "events": 4}


# What Stripe did and nobody told


def test_session_that_was_paid(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug, 2)
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    assert state() == ("pending", "pending", "pending")
    report = make_whole(stripe_sandbox, payment=1)
    assert state() == ("confirmed", "paid", "succeeded")
    assert (Payment.objects.get().brand, Payment.objects.get().last4) == ("visa", "4242")
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (8, 0)
    told = report.differences[0]
    assert (told.order, told.detail) == (
        Order.objects.get().number,
        "the money is there: session complete, paid, 2000 USD at Stripe, pending, 2000 USD here",
    )
    assert list(Mail.objects.values_list("kind", flat=True)) == ["order_confirmation"]


def test_session_that_expired(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    session_id = shop.checkout().json()["session_id"]
    stripe_sandbox.sandbox.control(f"sessions/{session_id}/expire")
    make_whole(stripe_sandbox, payment=1)
    assert state() == ("cancelled", "failed", "cancelled")
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (10, 0)


def test_bank_debit_on_its_way_then_there(shop: Shop, stripe_sandbox: Stripe) -> None:
    session_id = buy_by_debit(shop, stripe_sandbox, "AT611904300234573201")
    make_whole(stripe_sandbox, payment=1)
    assert state() == ("pending", "processing", "processing")
    assert Order.objects.get().expires_at is None
    stripe_sandbox.sandbox.control("settle")
    assert stripe_sandbox.sandbox.get(f"/v1/checkout/sessions/{session_id}")["payment_status"] == "paid"
    make_whole(stripe_sandbox, payment=1)
    assert state() == ("confirmed", "paid", "succeeded")


def test_bank_debit_that_failed(shop: Shop, stripe_sandbox: Stripe) -> None:
    buy_by_debit(shop, stripe_sandbox, "AT861904300235473202")
    stripe_sandbox.digest()
    assert state() == ("pending", "processing", "processing")
    stripe_sandbox.sandbox.control("settle")
    make_whole(stripe_sandbox, payment=1)
    assert state() == ("cancelled", "failed", "failed")
    assert Order.objects.get().ended == "payment_failed"


def test_own_form_paid(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    intent_id = start_intent(shop, mug)
    fill_in_form(stripe_sandbox, intent_id, "pm_card_visa")
    make_whole(stripe_sandbox, payment=1)
    assert state() == ("confirmed", "paid", "succeeded")
    assert Payment.objects.get().last4 == "4242"


def test_own_form_waits_for_the_bank(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    intent_id = start_intent(shop, mug)
    fill_in_form(stripe_sandbox, intent_id, "pm_card_authenticationRequired")
    make_whole(stripe_sandbox, payment=1)
    assert state() == ("pending", "pending", "requires_action")


def test_own_form_cancelled_in_the_dashboard(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    intent_id = start_intent(shop, mug)
    stripe_sandbox.sandbox.post(f"/v1/payment_intents/{intent_id}/cancel")
    make_whole(stripe_sandbox, payment=1)
    assert state() == ("pending", "pending", "cancelled")


def test_refund_made_in_the_dashboard(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug, 2)
    shop.buy(stripe_sandbox)
    stripe_sandbox.sandbox.control("refund", payment_intent=intent_of_payment(), amount=500)
    make_whole(stripe_sandbox, refund=1)
    assert state() == ("confirmed", "partially_refunded", "partially_refunded")
    refund = Refund.objects.get()
    assert (refund.source, refund.amount, refund.status) == ("stripe", 500, "succeeded")


def test_refund_that_failed_later(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox, "pm_card_refundFail")
    stripe_sandbox.sandbox.control("refund", payment_intent=intent_of_payment())
    stripe_sandbox.digest()
    assert state() == ("confirmed", "refunded", "refunded")
    stripe_sandbox.sandbox.control("advance", seconds=4000)
    make_whole(stripe_sandbox, refund=1)
    assert state() == ("confirmed", "paid", "succeeded")
    assert Refund.objects.get().status == "failed"


def test_refund_that_failed_long_after_it_was_made(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    """No list of the time in question shows it; its event does."""
    shop.add(mug)
    shop.buy(stripe_sandbox)
    stripe_sandbox.sandbox.control("refund", payment_intent=intent_of_payment())
    stripe_sandbox.digest()
    refund_id = Refund.objects.get().stripe_refund_id
    tick()
    since = timezone.now()
    stripe_sandbox.sandbox.control(f"refunds/{refund_id}/set", status="failed", failure_reason="declined")
    report = reconcile(since=since)
    assert report.read["refunds"] == 0
    assert set(found(report)) == {"event"}
    assert Refund.objects.get().status == "failed"
    settled(stripe_sandbox)


def test_dispute_opened_then_won(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox)
    opened = stripe_sandbox.sandbox.control(f"charges/{intent_of_payment()}/dispute")
    make_whole(stripe_sandbox, dispute=1)
    assert (Dispute.objects.get().status, Order.objects.get().disputed) == ("needs_response", True)
    stripe_sandbox.sandbox.control(f"disputes/{opened['dispute']['id']}/decide", outcome="won")
    make_whole(stripe_sandbox, dispute=1)
    assert (Dispute.objects.get().status, Order.objects.get().disputed) == ("won", False)


def test_event_that_never_came(shop: Shop, stripe_sandbox: Stripe) -> None:
    """A card that was attached while the shop was not listening: no list but that of events tells of it."""
    customer_id = customer_of("ada@example.com")
    stripe_sandbox.sandbox.post("/v1/payment_methods/pm_card_visa/attach", customer=customer_id)
    make_whole(stripe_sandbox)
    assert PaymentMethod.objects.get().last4 == "4242"
    event = StripeWebhookEvent.objects.get()
    assert (event.type, event.state) == ("payment_method.attached", "done")


def test_events_of_a_minute_ago_are_left_to_their_delivery(
    shop: Shop, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "IN_FLIGHT", timedelta(minutes=1))
    customer_id = customer_of("ada@example.com")
    stripe_sandbox.sandbox.post("/v1/payment_methods/pm_card_visa/attach", customer=customer_id)
    assert reconcile().differences == []
    monkeypatch.setattr(events, "IN_FLIGHT", timedelta(0))
    make_whole(stripe_sandbox)


# What the shop began and nobody finished


def test_session_whose_answer_was_lost(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_after(monkeypatch, gateway, "create_checkout_session")
    shop.add(mug)
    with pytest.raises(Killed):
        shop.checkout()
    monkeypatch.undo()
    assert Payment.objects.get().stripe_session_id is None
    age(Payment)
    make_whole(stripe_sandbox, payment=1)
    assert Payment.objects.get().stripe_session_id == sessions(stripe_sandbox)[0]["id"]


def test_session_whose_answer_was_lost_and_that_was_paid(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_after(monkeypatch, gateway, "create_checkout_session")
    shop.add(mug)
    with pytest.raises(Killed):
        shop.checkout()
    monkeypatch.undo()
    stripe_sandbox.pay(sessions(stripe_sandbox)[0]["id"])
    age(Payment)
    report = reconcile()
    assert (found(report)["payment"], report.ok) == (1, True)
    assert state() == ("confirmed", "paid", "succeeded")
    settled(stripe_sandbox)


def test_attempt_that_never_reached_stripe(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("reset", times=20)
    shop.add(mug)
    assert shop.checkout().status_code == 503
    stripe_sandbox.sandbox.control("rules/clear")
    age(Payment)
    make_whole(stripe_sandbox, unfinished=1)
    assert Payment.objects.get().stripe_session_id == sessions(stripe_sandbox)[0]["id"]


def test_closing_that_was_cut_off(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.checkout()
    Payment.objects.update(closing=True)
    age(Payment)
    report = reconcile()
    assert (found_here(report), report.ok) == ({"unfinished": 1}, True)
    assert state() == ("pending", "pending", "cancelled")
    assert sessions(stripe_sandbox)[0]["status"] == "expired"
    settled(stripe_sandbox)


def test_session_that_stands_open_for_an_attempt_that_is_over(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    shop.add(mug)
    shop.checkout()
    session_id = Payment.objects.get().stripe_session_id
    Payment.objects.update(status="cancelled")
    report = reconcile()
    assert (found_here(report), report.ok) == ({"payment": 1}, True)
    assert [(session["id"], session["status"]) for session in sessions(stripe_sandbox)] == [(session_id, "expired")]
    settled(stripe_sandbox)


def test_order_whose_time_is_over(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.checkout()
    Order.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    report = reconcile()
    assert (found_here(report), report.ok) == ({"unfinished": 1}, True)
    assert state() == ("cancelled", "failed", "cancelled")
    settled(stripe_sandbox)


@pytest.mark.parametrize("answer", ["lost", "never asked"])
def test_refund_that_was_not_carried_out(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox)
    refund = intend_refund(payment=Payment.objects.get(), wish=RefundWish(amount=400), source=Refund.Source.STAFF)
    if answer == "lost":
        die_after(monkeypatch, gateway, "create_refund")
        with pytest.raises(Killed):
            carry_out(refund)
        monkeypatch.undo()
    age(Refund)
    report = reconcile()
    assert (found(report)["unfinished"], report.ok) == (1, True)
    assert Refund.objects.get().status == "succeeded"
    assert len(stripe_sandbox.sandbox.objects("refund")) == 1
    settled(stripe_sandbox)


# A backup an hour old


def take_backup(mug: ProductVariant, stripe_sandbox: Stripe) -> Tables:
    """The shop as it was while all agreed: one order was paid."""
    earlier = Shop()
    earlier.add(mug)
    earlier.buy(stripe_sandbox)
    settled(stripe_sandbox)
    stripe_sandbox.new_events()
    tick()
    return tables()


def test_backup_is_made_whole(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    pen = make_variant("PEN", price=250, stock=4)
    backup = take_backup(mug, stripe_sandbox)
    shop.add(mug, 2)
    shop.add(pen)
    bought = shop.buy(stripe_sandbox, email="guest@example.com")
    order = Order.objects.get(number=bought["order_number"])
    intent_id = order.payments.get().stripe_payment_intent_id
    stripe_sandbox.sandbox.control("refund", payment_intent=intent_id, amount=700)
    stripe_sandbox.sandbox.control(f"charges/{intent_id}/dispute", amount=300)
    stripe_sandbox.digest()
    before = facts_of(order)
    assert before["order"]["payment_status"] == "partially_refunded"

    restore(backup)
    assert Order.objects.count() == 1
    before_dry_run = tables()
    assert found(reconcile(dry_run=True)) == {"lost_order": 1}
    assert tables() == before_dry_run
    report = reconcile()
    told = found(report)
    assert (told["lost_order"], told["refund"], told["dispute"]) == (1, 1, 1)
    assert {each.outcome for each in report.differences} == {"mended"}, report.differences
    order = Order.objects.get(number=bought["order_number"])
    assert facts_of(order) == before
    opened = shop.get(f"/api/orders/{order.number}/", **{"X-Order-Token": bought["order_token"]})
    assert (opened.status_code, opened.json()["total"]) == (200, "22.50"), "the link that the buyer was mailed opens it"
    assert [(v.sku, v.stock, v.held) for v in ProductVariant.objects.order_by("sku")] == [("MUG", 7, 0), ("PEN", 3, 0)]
    assert next_number().endswith("-00003"), "numbers go on after those that were restored"
    settled(stripe_sandbox)


def test_order_of_a_person_comes_back_to_them(mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    """The person is in the backup; their customer and the card that they saved are not."""
    ada = make_user("ada@example.com")
    backup = take_backup(mug, stripe_sandbox)
    frontend = Shop(ada)
    frontend.add(mug)
    bought = frontend.buy(stripe_sandbox, save_payment_method=True)
    customer_id = StripeCustomer.objects.get().stripe_customer_id
    card = PaymentMethod.objects.values("stripe_payment_method_id", "last4").get()

    restore(backup)
    report = reconcile()
    assert (found(report)["lost_order"], report.ok) == (1, True), report.differences
    order = Order.objects.get(number=bought["order_number"])
    assert (order.user, order.email, order.payment_status) == (ada, "ada@example.com", "paid")
    assert StripeCustomer.objects.get().stripe_customer_id == customer_id
    assert PaymentMethod.objects.values("stripe_payment_method_id", "last4").get() == card
    settled(stripe_sandbox)


def test_number_of_a_person_alone_gives_nothing_to_anybody(mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    """The person signed up in the lost hour; somebody else has their number by now."""
    backup = take_backup(mug, stripe_sandbox)
    frontend = Shop(make_user("ada@example.com"))
    frontend.add(mug)
    bought = frontend.buy(stripe_sandbox)
    lost = Order.objects.get(number=bought["order_number"]).user_id
    restore(backup)
    User.objects.create_user("eve@example.com", "correct horse battery", pk=lost)
    report = reconcile()
    assert (found(report)["lost_order"], report.ok) == (1, True), report.differences
    order = Order.objects.get(number=bought["order_number"])
    assert (order.user, order.email, order.payment_status) == (None, "ada@example.com", "paid")
    assert StripeCustomer.objects.count() == 0
    settled(stripe_sandbox)


def test_open_session_of_a_lost_order_can_still_be_paid(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    backup = take_backup(mug, stripe_sandbox)
    shop.add(mug, 3)
    bought = shop.checkout().json()
    expires_at = Order.objects.get(number=bought["order_number"]).expires_at
    restore(backup)
    assert found(reconcile()) == {"lost_order": 1}
    order = Order.objects.get(number=bought["order_number"])
    assert (order.status, order.expires_at) == ("pending", expires_at.replace(microsecond=0))
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (9, 3)
    settled(stripe_sandbox)
    stripe_sandbox.pay(bought["session_id"])
    stripe_sandbox.digest()
    order.refresh_from_db()
    assert (order.payment_status, order.shipping_address["country"]) == ("paid", "US")
    settled(stripe_sandbox)


def test_address_that_the_shop_knew_comes_back(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    backup = take_backup(mug, stripe_sandbox)
    shop.add(mug)
    order = shop.post("/api/orders/", {"email": "guest@example.com", "shipping_address": ADDRESS}).json()
    stripe_sandbox.pay(
        shop.retry({"order_number": order["number"], "order_token": order["order_token"]}).json()["session_id"]
    )
    restore(backup)
    assert found(reconcile())["lost_order"] == 1
    assert Order.objects.get(number=order["number"]).shipping_address == {**ADDRESS, "line2": "", "state": ""}
    settled(stripe_sandbox)


def test_lost_order_of_the_frontends_own_form(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    backup = take_backup(mug, stripe_sandbox)
    intent_id = start_intent(shop, mug)
    number = newest_order().number
    fill_in_form(stripe_sandbox, intent_id, "pm_card_visa")
    restore(backup)
    report = reconcile()
    assert (found(report)["lost_order"], report.ok) == (1, True), report.differences
    order = Order.objects.get(number=number)
    assert (order.payment_status, order.email) == ("paid", "")
    assert order.shipping_address == {**ADDRESS, "line2": "", "state": ""}
    assert [(i.sku, i.quantity, i.unit_price) for i in order.items.all()] == [("MUG", 2, 1000)]
    assert report.differences[0].detail.endswith("Stripe does not know its e-mail address")
    settled(stripe_sandbox)


def test_unpaid_form_of_a_lost_order_is_cancelled(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    """Nobody knows whom it was for, and nobody has paid."""
    backup = take_backup(mug, stripe_sandbox)
    intent_id = start_intent(shop, mug)
    restore(backup)
    report = reconcile()
    assert [(d.kind, d.object_id, d.outcome) for d in report.differences] == [("unknown_session", intent_id, "mended")]
    assert stripe_sandbox.sandbox.get(f"/v1/payment_intents/{intent_id}")["status"] == "canceled"
    assert Order.objects.count() == 1
    settled(stripe_sandbox)


def test_second_attempt_of_a_known_order(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    first = shop.checkout().json()
    backup = tables()
    second = shop.retry(first).json()
    stripe_sandbox.pay(second["session_id"])
    restore(backup)
    report = reconcile()
    assert (found(report)["lost_attempt"], report.ok) == (1, True), report.differences
    assert list(Payment.objects.order_by("attempt").values_list("attempt", "stripe_session_id", "status")) == [
        (1, first["session_id"], "cancelled"),
        (2, second["session_id"], "succeeded"),
    ]
    assert Order.objects.get().payment_status == "paid"
    settled(stripe_sandbox)


def test_attempt_that_the_buyer_began_since_stays(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    order = shop.post("/api/orders/", {"email": "guest@example.com", "shipping_address": ADDRESS}).json()
    backup = tables()
    again = {"order_number": order["number"], "order_token": order["order_token"]}
    lost = shop.retry(again).json()
    restore(backup)
    tick()
    newer = shop.retry(again).json()
    report = reconcile()
    assert [(d.kind, d.object_id, d.outcome) for d in report.differences] == [
        ("lost_attempt", lost["session_id"], "mended")
    ]
    assert Payment.objects.get().stripe_session_id == newer["session_id"]
    assert {s["id"]: s["status"] for s in sessions(stripe_sandbox)} == {
        newer["session_id"]: "open",
        lost["session_id"]: "expired",
    }
    settled(stripe_sandbox)


def test_order_that_cannot_be_written_again_is_left_to_staff(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    """Its goods were sold to somebody else since. Once there are more, the next run writes it."""
    backup = take_backup(mug, stripe_sandbox)
    shop.add(mug, 3)
    bought = shop.checkout().json()
    stripe_sandbox.pay(bought["session_id"])
    restore(backup)
    inventory.adjust(variant_id=mug.pk, quantity=-8, reason="sold to somebody else")
    for _ in range(2):
        report = reconcile()
        assert [(d.kind, d.order, d.outcome) for d in report.differences] == [
            ("unknown_session", bought["order_number"], "left")
        ]
        assert report.differences[0].detail.endswith("out of stock: MUG (3 bought, 1 left)")
        assert Order.objects.count() == 1
    assert CheckRun.objects.order_by("pk").last().ok is False
    inventory.adjust(variant_id=mug.pk, quantity=2, reason="more came")
    report = reconcile()
    assert (found(report)["lost_order"], report.ok) == (1, True)
    settled(stripe_sandbox)


def test_refund_in_the_dashboard_settles_what_cannot_be_written_again(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    backup = take_backup(mug, stripe_sandbox)
    shop.add(mug)
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    restore(backup)
    ProductVariant.objects.filter(pk=mug.pk).update(sku="MUG-2")
    report = reconcile()
    assert [(d.outcome, d.detail.rpartition(": ")[2]) for d in report.differences] == [("left", "MUG")]
    stripe_sandbox.sandbox.control("refund", payment_intent=sessions(stripe_sandbox)[0]["payment_intent"])
    settled(stripe_sandbox)


def test_number_that_was_given_again(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    backup = take_backup(mug, stripe_sandbox)
    shop.add(mug)
    bought = shop.checkout().json()
    stripe_sandbox.pay(bought["session_id"])
    restore(backup)
    somebody = Shop()
    somebody.add(mug)
    assert somebody.checkout().json()["order_number"] == bought["order_number"]
    report = reconcile()
    assert [(d.kind, d.outcome) for d in report.differences] == [("unknown_session", "left")]
    assert report.differences[0].detail.endswith(f"another order has the number {bought['order_number']} now")


def test_open_session_that_cannot_be_written_again_is_closed(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    backup = take_backup(mug, stripe_sandbox)
    shop.add(mug)
    bought = shop.checkout().json()
    restore(backup)
    ProductVariant.objects.update(sku="GONE")
    report = reconcile()
    assert [(d.kind, d.object_id, d.outcome) for d in report.differences] == [
        ("unknown_session", bought["session_id"], "mended")
    ]
    assert sessions(stripe_sandbox)[0]["status"] == "expired"
    settled(stripe_sandbox)


def test_another_shop_on_the_same_account_is_left_alone(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, settings: Any
) -> None:
    backup = take_backup(mug, stripe_sandbox)
    shop.add(mug)
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    other = Shop()
    other.add(mug)
    other.checkout()
    restore(backup)
    settings.SECRET_KEY = "another shop's key, which signed nothing that is here"
    report = reconcile()
    assert (report.differences, report.ok, report.read["foreign"]) == ([], True, 2)
    assert Order.objects.count() == 1
    assert [session["status"] for session in sessions(stripe_sandbox)] == ["open", "complete", "complete"]


# When it cannot be done


def test_stripe_goes_away_in_the_middle(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    for _ in range(3):
        buyer = Shop()
        buyer.add(mug)
        stripe_sandbox.pay(buyer.checkout().json()["session_id"])
    stripe_sandbox.sandbox.faults("500", path="/v1/payment_intents", times=20)
    report = reconcile()
    assert (report.ok, report.cut_off) == (False, "Stripe could not be reached.")
    run = CheckRun.objects.get()
    assert (run.ok, run.summary["complete"]) == (False, False)
    assert verify() == []
    stripe_sandbox.sandbox.control("rules/clear")
    report = reconcile()
    assert (found(report)["payment"], report.ok) == (3, True)
    settled(stripe_sandbox)


def test_one_that_cannot_be_mended_does_not_keep_the_others(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought = []
    for _ in range(3):
        buyer = Shop()
        buyer.add(mug)
        bought.append(buyer.checkout().json())
        stripe_sandbox.pay(bought[-1]["session_id"])
    real = attempts.absorb_session

    def fails_for_one(session: Any) -> Any:
        if session.id == bought[1]["session_id"]:
            raise KeyError("a fault")
        return real(session)

    monkeypatch.setattr(attempts, "absorb_session", fails_for_one)
    monkeypatch.setattr(attempts, "absorb_intent", lambda intent: None)
    monkeypatch.setattr(events.inbox, "store", lambda *a, **k: None)
    monkeypatch.setattr(events.inbox, "process", lambda *a, **k: None)
    report = reconcile()
    outcomes = {d.object_id: d.outcome for d in report.differences if d.kind == "payment"}
    assert [outcomes[each["session_id"]] for each in bought] == ["mended", "left", "mended"]
    assert not report.ok


def test_what_stripe_does_not_have_is_left(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    bought = shop.buy(stripe_sandbox)
    intend_refund(payment=Payment.objects.get(), wish=RefundWish(amount=100), source=Refund.Source.STAFF)
    carry_out(Refund.objects.get())
    stripe_sandbox.sandbox.control("reset")
    report = reconcile()
    assert [(d.kind, d.object_id, d.outcome) for d in report.differences] == [
        ("not_at_stripe", bought["session_id"], "left"),
        ("not_at_stripe", Refund.objects.get().stripe_refund_id, "left"),
    ]


@pytest.mark.parametrize(
    ("column", "value", "word"), [("amount_captured", 999, "amount"), ("currency", "EUR", "currency")]
)
def test_money_that_differs_is_left(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, column: str, value: Any, word: str
) -> None:
    shop.add(mug)
    shop.buy(stripe_sandbox)
    settled(stripe_sandbox)
    before = Payment.objects.values(column).get()
    Payment.objects.update(**{column: value})
    report = reconcile()
    assert {(d.kind, d.outcome) for d in report.differences} == {("payment", "left")}
    assert report.differences[0].detail.startswith(f"the {word}: session complete, paid, 1000 USD at Stripe")
    Payment.objects.update(**before)


# From when on


def test_a_run_goes_on_where_the_last_one_began(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    def ago() -> timedelta:
        """To the minute."""
        return timedelta(minutes=round((timezone.now() - default_since()).total_seconds() / 60))

    assert ago() == timedelta(hours=1), "a new shop has nothing that could differ"
    shop.add(mug)
    shop.buy(stripe_sandbox)
    Payment.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert ago() == timedelta(days=3, hours=1)
    Payment.objects.update(created_at=timezone.now() - timedelta(days=90))
    assert ago() == timedelta(days=30)

    reconcile(dry_run=True)
    reconcile(since=timezone.now())
    stripe_sandbox.sandbox.faults("500", path="/v1/disputes", times=3)
    assert reconcile().cut_off
    assert ago() == timedelta(days=30), "nothing of this was a look at all that there is"
    stripe_sandbox.sandbox.control("rules/clear")
    reconcile()
    assert default_since() == CheckRun.objects.latest("pk").started_at - timedelta(hours=1)


def test_what_a_run_left_is_asked_about_by_the_next_however_old_it_is(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    backup = take_backup(mug, stripe_sandbox)
    shop.add(mug, 3)
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    restore(backup)
    inventory.adjust(variant_id=mug.pk, quantity=-8, reason="sold to somebody else")
    Payment.objects.update(amount_captured=999)
    first = reconcile()
    assert {(d.kind, d.outcome) for d in first.differences} == {("unknown_session", "left"), ("payment", "left")}
    Payment.objects.update(created_at=timezone.now() - timedelta(days=90))
    later = timezone.now() + timedelta(days=2)
    second = reconcile(since=later)
    assert second.read["sessions"] == 0
    assert sorted(d.object_id for d in second.differences) == sorted(
        {d.object_id for d in first.differences if d.object_id.startswith("cs_")}
    )
    inventory.adjust(variant_id=mug.pk, quantity=2, reason="more came")
    Payment.objects.update(amount_captured=1000)
    third = reconcile(since=later)
    assert (found(third), third.ok) == ({"lost_order": 1}, True)
    settled(stripe_sandbox)


def test_hourly_run_that_takes_too_long_says_what_to_do(
    shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "LONGEST", timedelta(0))
    reconcile_if_due()
    run = CheckRun.objects.get()
    assert (run.ok, run.summary["whole"]) == (False, False)
    assert run.summary["cut_off"].endswith("`manage.py reconcile` reads it all.")


def test_what_is_open_is_asked_about_however_old_it_is(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    bought = shop.checkout().json()
    stripe_sandbox.pay(bought["session_id"])
    Payment.objects.update(created_at=timezone.now() - timedelta(days=90))
    report = reconcile(since=timezone.now() + timedelta(days=2))
    assert report.read["sessions"] == 0
    assert (found(report), report.ok) == ({"payment": 1}, True)
    assert state() == ("confirmed", "paid", "succeeded")


# Stripe's own address is not asked faster than it likes


def test_calls_wait_for_their_turn_at_stripe_alone(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(calls.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(calls.time, "sleep", sleep)

    def seconds_for(count: int) -> float:
        start = clock[0]
        for _ in range(count):
            calls.call_stripe(lambda client: None)
        return clock[0] - start

    settings.STRIPE_API_BASE = ""
    assert seconds_for(81) == 0
    with gateway.unhurried():
        assert seconds_for(81) == pytest.approx(10)
    assert seconds_for(81) == 0
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    with gateway.unhurried():
        assert seconds_for(81) == 0


# Helpers


class Killed(BaseException):
    pass


def die_after(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    real = getattr(module, name)

    def dies(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(module, name, dies)


def age(model: Any) -> None:
    model.objects.update(created_at=timezone.now() - timedelta(minutes=3))


def tick() -> None:
    """Let Stripe's clock, which counts whole seconds, go on."""
    time.sleep(1.1)


def sessions(stripe_sandbox: Stripe) -> list[dict[str, Any]]:
    """Newest first."""
    return stripe_sandbox.sandbox.get("/v1/checkout/sessions", limit=100)["data"]


def intent_of_payment() -> str:
    return Payment.objects.get().stripe_payment_intent_id or ""


def newest_order() -> Order:
    return Order.objects.order_by("-pk")[0]


def buy_by_debit(shop: Shop, stripe_sandbox: Stripe, iban: str) -> str:
    book = make_variant("BOOK", price=2000, stock=None, kind="digital", currency="EUR")
    shop.cart_token = shop.post("/api/cart/add/", {"variant_id": book.pk, "currency": "EUR"}).json()["token"]
    session_id = shop.checkout().json()["session_id"]
    stripe_sandbox.pay(session_id, iban)
    return session_id


def start_intent(shop: Shop, variant: ProductVariant) -> str:
    """Two of a variant, ordered by a guest, to be paid in the frontend's own form."""
    shop.add(variant, 2)
    order = shop.post("/api/orders/", {"email": "guest@example.com", "shipping_address": ADDRESS}).json()
    return start(shop, order).json()["payment_intent_id"]


def customer_of(email: str) -> str:
    return customer_for(make_user(email)).stripe_customer_id or ""


def facts_of(order: Order) -> dict[str, Any]:
    """All that a restored order has to have in common with the lost one."""
    payment = order.payments.get()
    return {
        "order": Order.objects.values(
            "number",
            "public_id",
            "status",
            "payment_status",
            "disputed",
            "currency",
            "subtotal",
            "total",
            "email",
            "shipping_address",
        ).get(pk=order.pk),
        "items": list(order.items.values("sku", "name", "kind", "quantity", "unit_price", "refunded_quantity")),
        "payment": Payment.objects.values(
            "reference",
            "status",
            "applied",
            "amount",
            "amount_captured",
            "amount_refunded",
            "stripe_session_id",
            "stripe_payment_intent_id",
            "stripe_charge_id",
            "brand",
            "last4",
            "receipt_url",
            "disputed",
        ).get(pk=payment.pk),
        "refunds": list(payment.refunds.values("stripe_refund_id", "amount", "status", "source")),
        "disputes": list(payment.disputes.values("stripe_dispute_id", "amount", "status")),
    }
