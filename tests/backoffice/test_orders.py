"""An order is found by what people have in hand, tells its whole story on one page, and is cancelled on it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.backoffice.selectors.timeline import timeline
from apps.catalog.models import ProductVariant
from apps.orders.models import Order
from apps.payment.models import Payment, Refund
from apps.payment.services.giving_back import give_back, new_page
from apps.payment.services.refunds import RefundWish
from tests.backoffice.rows import Books
from tests.support.shop import Shop, Stripe, make_variant, work
from tests.support.staff import owner, signed_in, text_of, told

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = "/admin/orders/order/"


def person(role: str) -> Client:
    user = User.objects.create_user(f"{role}@example.com", "correct horse battery", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return signed_in(user)


def found(client: Client, text: str) -> set[str]:
    page = client.get(ORDERS, {"q": text})
    assert page.status_code == 200
    return set(re.findall(r"ORD-\d{8}-\d{5,}", page.content.decode()))


def test_order_is_found_by_whatever_it_is_called() -> None:
    books = Books(0, timezone.now())
    orders = [books.order("USD", 1000 + n, at=books.now) for n in range(6)]
    wanted, others = orders[2], {order.number for order in orders} - {orders[2].number}
    payments = [books.paid(order, at=books.now) for order in orders]
    payment = payments[2]
    Payment.objects.filter(pk=payment.pk).update(last4="4242")
    Payment.objects.exclude(pk=payment.pk).update(last4="1111")
    refund, dispute = books.refund(payment, 10, at=books.now), books.dispute(payment, at=books.now)
    Order.objects.filter(pk=wanted.pk).update(email="Ada.Lovelace@Example.com")
    client = owner()
    calls = [
        wanted.number,
        wanted.number.lower(),
        wanted.number.removeprefix("ORD-"),
        "ada.lovelace@example.com",
        "ADA.LOVE",
        "ada.lovelace@",
        "4242",
        payment.stripe_session_id,
        payment.stripe_payment_intent_id,
        payment.stripe_charge_id,
        refund.stripe_refund_id,
        dispute.stripe_dispute_id,
        f"  {wanted.number} ",
    ]
    assert {call: found(client, str(call)) for call in calls} == {call: {wanted.number} for call in calls}
    assert found(client, "1111") == others
    assert found(client, "") == {order.number for order in orders}
    for nothing in ("cs_test_unknown", "pi_x", "9999", "nobody@example.com", "ORD-19990101", "\x00", "%", "'", "٤٢٤٢"):
        assert found(client, nothing) == (set() if nothing.strip("\x00") else {order.number for order in orders}), (
            nothing
        )


def test_search_reads_as_many_statements_for_many_orders_as_for_few() -> None:
    client = owner()
    books = Books(0, timezone.now())

    def statements(text: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(ORDERS, {"q": text})
        return len(queries)

    def fill(count: int) -> None:
        for _ in range(count):
            books.paid(books.order("USD", 1000, at=books.now), at=books.now)
        Payment.objects.update(last4="4242")

    fill(2)
    statements("4242")
    few = {text: statements(text) for text in ("4242", "buyer", "ORD-2026")}
    fill(20)
    assert {text: statements(text) for text in few} == few


def test_whole_story_of_an_order_is_on_one_page(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG-1", price=2000, stock=5))
    bought = shop.checkout().json()
    stripe_sandbox.pay(bought["session_id"], "pm_card_visa")
    stripe_sandbox.digest()
    client = owner()
    boss = User.objects.get(email="owner@example.com")
    order = Order.objects.get()
    client.post(f"{ORDERS}{order.pk}/ship/", {"tracking_number": "TR-1", "_form_submitted": "True"})
    give_back([(Payment.objects.get(), RefundWish(amount=500, reason="other"))], page=new_page(), by=boss)
    stripe_sandbox.digest()
    work()
    page = client.get(f"{ORDERS}{order.pk}/timeline/")
    assert page.status_code == 200
    text = text_of(page)
    wanted = [
        "Order placed",
        "Attempt 1 to collect 20.00 USD",
        "1 of Product MUG-1 held",
        "Attempt 1: succeeded",
        "Order confirmed, payment paid",
        "-1 of Product MUG-1: sale",
        "Stripe told: checkout.session.completed",
        "Invoice INV-",
        "E-mail: order confirmation",
        "owner@example.com: ship order",
        "status confirmed → shipped",
        "E-mail: order shipped",
        "Refund of 5.00 USD begun",
        "Refund of 5.00 USD went out",
        "Payment partially refunded",
        "Credit note CN-",
        "E-mail: refund succeeded",
    ]
    assert [line for line in wanted if line not in text] == []
    assert "Total 20.00 USD Paid 20.00 USD Refunded 5.00 USD" in text
    moments = timeline(order, boss)
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    assert moments[0].title == "Order placed"
    pages = {moment.link for moment in moments if moment.link}
    assert {client.get(link).status_code for link in pages} == {200}
    assert len(pages) > 8


def test_books_that_a_person_may_not_read_are_left_out(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG-1"))
    shop.buy(stripe_sandbox)
    work()
    order = Order.objects.get()
    books = {
        role: {moment.book for moment in timeline(order, signed_person(role))}
        for role in ("viewer", "support", "owner")
    }
    assert books["owner"] == {"order", "payment", "event", "mail", "document", "stock"}
    assert books["support"] == books["owner"]
    assert books["viewer"] == books["owner"] - {"mail", "document"}
    assert person("catalogue").get(f"{ORDERS}{order.pk}/timeline/").status_code == 403


def signed_person(role: str) -> User:
    user = User.objects.create_user(f"{role}@example.com", "correct horse battery", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def test_story_takes_as_many_statements_for_a_long_one_as_for_a_short_one() -> None:
    boss = User.objects.create_superuser("boss@example.com", "correct horse battery")
    books = Books(0, timezone.now())
    order = books.order("USD", 100000, at=books.now)
    payment = books.paid(order, at=books.now)
    books.refund(payment, 1, at=books.now)
    books.dispute(payment, at=books.now)

    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            timeline(Order.objects.get(pk=order.pk), boss)
        return len(queries)

    short = statements()
    for _ in range(30):
        books.refund(payment, 1, at=books.now)
        books.dispute(payment, at=books.now)
    assert statements() == short == 14


def test_open_order_is_cancelled_with_its_reason(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant("MUG-1", stock=5)
    shop.add(mug, 2)
    bought = shop.checkout().json()
    order = Order.objects.get()
    page = f"{ORDERS}{order.pk}/cancel/"
    client = person("support")
    assert client.get(page).status_code == 200
    assert client.post(page, {"note": ""}).status_code == 200
    assert Order.objects.get().status == "pending"
    assert told(client.post(page, {"note": "The buyer rang."})) == [f"{order.number} is cancelled."]
    order.refresh_from_db()
    assert (order.status, order.payment_status, order.ended) == ("cancelled", "failed", "by_person")
    assert ProductVariant.objects.values_list("stock", "held").get(pk=mug.pk) == (5, 0)
    session = stripe_sandbox.sandbox.get(f"/v1/checkout/sessions/{bought['session_id']}")
    assert session["status"] == "expired"
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason, entry.detail) == ("cancel", "The buyer rang.", "Cancelled: The buyer rang.")
    assert (entry.before["status"], entry.after["status"]) == ("pending", "cancelled")


def test_paid_order_is_not_cancelled(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG-1"))
    shop.buy(stripe_sandbox)
    order = Order.objects.get()
    client = person("support")
    answer = client.post(f"{ORDERS}{order.pk}/cancel/", {"note": "too late"})
    assert answer.status_code == 200
    assert "alert" in answer.content.decode()
    assert Order.objects.get().status == "confirmed"
    assert AuditEntry.objects.count() == 0
    assert Refund.objects.count() == 0


@pytest.mark.parametrize(("role", "offered"), [("viewer", set()), ("support", {"cancel"}), ("finance", set())])
def test_pages_are_offered_to_whoever_may_use_them(role: str, offered: set[str]) -> None:
    books = Books(0, timezone.now())
    order = books.order("USD", 100, at=books.now)
    client = person(role)
    shown: Any = client.get(f"{ORDERS}{order.pk}/change/").content.decode()
    assert f"{ORDERS}{order.pk}/timeline/" in shown
    assert (f"{ORDERS}{order.pk}/cancel/" in shown) == ("cancel" in offered)
    status = client.post(f"{ORDERS}{order.pk}/cancel/", {"note": ""}).status_code
    assert status == (200 if "cancel" in offered else 403)


def test_order_that_is_not_there_has_no_story() -> None:
    client = owner()
    assert client.get(f"{ORDERS}999/timeline/").status_code == 404
    assert client.get(f"{ORDERS}x/cancel/").status_code == 404


def test_address_is_read_line_by_line_and_an_orders_history_is_its_timeline() -> None:
    books = Books(0, timezone.now())
    order = books.order("USD", 1000, at=books.now)
    address = {"name": "Ada <b>L</b>", "line1": "1 Main St", "postal_code": "75001", "city": "Paris", "country": "FR"}
    Order.objects.filter(pk=order.pk).update(shipping_address=address)
    client = owner()
    shown = client.get(f"{ORDERS}{order.pk}/change/").content.decode()
    assert "Ada &lt;b&gt;L&lt;/b&gt;<br>1 Main St<br>75001<br>Paris<br>FR" in shown
    assert client.get(f"{ORDERS}no/such/order/history/", follow=True).status_code == 404
    answer = client.get(f"{ORDERS}{order.pk}/history/")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{ORDERS}{order.pk}/timeline/")


def test_mail_that_cannot_be_is_not_sent_again() -> None:
    order, client = Books(0, timezone.now()).order("USD", 1000, at=timezone.now()), owner()
    for chosen in ("", "x", "9" * 30, "9" * 5000):
        assert client.post(f"{ORDERS}{order.pk}/papers/", {"mail": chosen}).status_code == 302
