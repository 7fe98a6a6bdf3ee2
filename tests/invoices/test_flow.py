"""From paying to paper: whatever crashes, repeats or comes in another order."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from apps.invoices.models import Document, DocumentCounter
from apps.invoices.services import issuing
from apps.orders.models import Order
from apps.outbox.models import Delivery
from apps.outbox.services import deliver_due
from apps.payment.models import Payment, Refund
from tests.payment.test_refunds import give_back, make_staff
from tests.support.orders import ADDRESS
from tests.support.shop import Shop, Stripe, deliver, make_user, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]


def kinds() -> list[str]:
    return list(Document.objects.order_by("pk").values_list("kind", flat=True))


def test_bought_refunded_and_failed(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG", price=1000, stock=10), 3)
    shop.buy(stripe_sandbox, "pm_card_refundFail")
    assert kinds() == ["invoice"]
    line = Order.objects.get().items.get()
    give_back(Shop(make_staff()), items=[{"order_item_id": line.pk, "quantity": 2}])
    work()
    assert kinds() == ["invoice", "credit_note"]
    stripe_sandbox.settle_later_work()
    work()
    assert kinds() == ["invoice", "credit_note", "cancellation"]
    assert [document.page["rows"] for document in Document.objects.order_by("pk")] == [
        [["Product MUG (MUG)", "3", "$10.00", "$30.00"]],
        [["Product MUG (MUG)", "2", "$10.00", "$20.00"]],
        [["Product MUG (MUG)", "2", "$10.00", "$20.00"]],
    ]


def test_every_delivery_repeated_issues_nothing_more(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG", price=1000, stock=10))
    shop.buy(stripe_sandbox)
    give_back(Shop(make_staff()), amount="4.00")
    work()
    before = list(Document.objects.values())
    for _ in range(3):
        Delivery.objects.filter(subscriber="invoices").update(state="due", due_at=timezone.now(), lease_until=None)
        assert deliver_due() >= 2
    assert list(Document.objects.values()) == before
    assert [kind for kind, *_ in Document.objects.order_by("pk").values_list("kind")] == ["invoice", "credit_note"]


def test_crash_between_number_and_document_leaves_neither(
    shop: Shop, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(issuing.composing, "invoice", crash)
    shop.add(make_variant("MUG", price=1000, stock=10))
    shop.buy(stripe_sandbox)
    failed = Delivery.objects.get(kind="order.paid", subscriber="invoices")
    assert (failed.state, "MemoryError" in failed.last_error) == ("due", True)
    assert (kinds(), DocumentCounter.objects.count()) == ([], 0)
    monkeypatch.undo()
    Delivery.objects.update(due_at=timezone.now())
    work()
    assert Document.objects.get().seq == 1


def test_guest_whose_address_only_the_page_asks_for_is_on_the_invoice(shop: Shop, stripe_sandbox: Stripe) -> None:
    """The intent's event comes first and knows neither e-mail nor address."""
    shop.add(make_variant("MUG", price=1000, stock=10))
    bought = shop.checkout().json()
    stripe_sandbox.sandbox.control(
        f"sessions/{bought['session_id']}/pay",
        payment_method="pm_card_visa",
        email="guest@example.com",
        shipping={"name": "Ada Lovelace", "address": {name: ADDRESS[name] for name in ADDRESS if name != "name"}},
    )
    events = {event["type"]: event for event in stripe_sandbox.new_events()}
    deliver(events["payment_intent.succeeded"])
    work()
    assert Order.objects.get().payment_status == "paid"
    assert kinds() == []
    waiting = Delivery.objects.get(kind="order.paid", subscriber="invoices")
    assert (waiting.state, waiting.attempts, waiting.last_error) == ("due", 0, "")
    deliver(events["checkout.session.completed"])
    work()
    assert Document.objects.get().facts["buyer"] == [
        "Ada Lovelace",
        "Hauptstr. 1",
        "50667 Köln",
        "Germany",
        "guest@example.com",
    ]
    Delivery.objects.update(due_at=timezone.now())
    work()
    assert (kinds(), Delivery.objects.filter(state="due").count()) == (["invoice"], 0)


def test_order_paid_with_an_intent_has_its_invoice_at_once(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG", price=1000, stock=10))
    placed = shop.post("/api/orders/", {"email": "ada@example.com", "shipping_address": ADDRESS})
    assert placed.status_code == 201, placed.content
    number, token = placed.json()["number"], {"X-Order-Token": placed.json()["order_token"]}
    intent = shop.post("/api/payment/intents/", {"order_number": number}, **token).json()
    stripe_sandbox.sandbox.post(
        f"/v1/payment_intents/{intent['payment_intent_id']}/confirm", payment_method="pm_card_visa"
    )
    stripe_sandbox.digest()
    assert Document.objects.get().facts["buyer"][0] == "Ada Lovelace"


def test_surplus_payment_that_goes_back_has_no_credit_note(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG", price=1000))
    first = shop.checkout().json()
    Payment.objects.update(status="failed", closing=False)
    second = shop.retry(first).json()
    stripe_sandbox.pay(first["session_id"])
    stripe_sandbox.pay(second["session_id"])
    stripe_sandbox.digest()
    work()
    assert (Refund.objects.get().status, kinds()) == ("succeeded", ["invoice"])


def test_signed_in_buyer_of_a_course(stripe_sandbox: Stripe) -> None:
    user = make_user()
    user.name = "Grace Hopper"
    user.save()
    shop = Shop(user)
    shop.add(make_variant("COURSE", price=49900, kind="digital", stock=None))
    shop.buy(stripe_sandbox)
    assert Document.objects.get().facts["buyer"] == ["Grace Hopper", "buyer@example.com"]
