"""Shipped and delivered: which steps there are, who may take them, and that the buyer is told once."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core import mail as outbox
from django.test import Client
from django.utils import timezone

from apps.orders.models import Order, OrderItem, OrderTransition
from apps.orders.services import state
from apps.orders.services.fulfilment import NotDeliverable, NotShippable, deliver_order, ship_order
from apps.outbox.models import Delivery
from tests.support.shop import make_user, make_variant, work

pytestmark = pytest.mark.django_db(transaction=True)


def make_order(*kinds: str, **columns: Any) -> Order:
    """A paid order with one line per kind."""
    fields = {"status": "confirmed", "payment_status": "paid", "paid_at": timezone.now(), **columns}
    order = Order.objects.create(
        number="ORD-20260101-00001",
        email="buyer@example.com",
        currency="USD",
        subtotal=1000 * len(kinds),
        total=1000 * len(kinds),
        transitions=1,
        **fields,
    )
    for number, kind in enumerate(kinds):
        variant = make_variant(f"THING-{number}", kind=kind)
        OrderItem.objects.create(
            order=order,
            variant=variant,
            sku=variant.sku,
            name=f"Thing {number}",
            kind=kind,
            quantity=1,
            unit_price=1000,
            line_total=1000,
        )
    state.open_log(order, reason="paid")
    return order


def test_goods_are_shipped_then_delivered_and_the_buyer_is_told_once() -> None:
    order = make_order("physical", "digital")
    shipped = ship_order(order.pk, tracking_number="1Z 999")
    assert (shipped.status, shipped.payment_status, shipped.tracking_number) == ("shipped", "paid", "1Z 999")
    with pytest.raises(NotShippable):
        ship_order(order.pk, tracking_number="another")
    assert deliver_order(order.pk).status == "delivered"
    with pytest.raises(NotDeliverable):
        deliver_order(order.pk)
    order.refresh_from_db()
    assert (order.status, order.tracking_number) == ("delivered", "1Z 999")
    assert list(OrderTransition.objects.values_list("seq", "to_status", "reason")) == [
        (1, "confirmed", "paid"),
        (2, "shipped", "shipped"),
        (3, "delivered", "delivered"),
    ]
    work()
    assert [message.subject for message in outbox.outbox] == ["Your order ORD-20260101-00001 is on its way"]


def test_digital_goods_are_delivered_and_never_shipped() -> None:
    order = make_order("digital")
    with pytest.raises(NotShippable):
        ship_order(order.pk)
    assert deliver_order(order.pk).status == "delivered"
    assert Delivery.objects.count() == 0


def test_goods_cannot_be_delivered_before_they_are_shipped() -> None:
    order = make_order("physical", "digital")
    with pytest.raises(NotDeliverable):
        deliver_order(order.pk)
    assert OrderTransition.objects.count() == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "pending", "payment_status": "pending", "paid_at": None, "expires_at": timezone.now()},
        {"status": "pending", "payment_status": "processing", "paid_at": None},
        {"status": "cancelled", "payment_status": "failed", "paid_at": None},
        {"status": "confirmed", "payment_status": "refunded"},
        {"status": "delivered", "payment_status": "paid"},
    ],
    ids=lambda columns: "/".join(str(columns[name]) for name in ("status", "payment_status")),
)
def test_what_is_not_paid_or_all_given_back_stays_in_the_house(columns: dict[str, Any]) -> None:
    order = make_order("physical", **columns)
    with pytest.raises(NotShippable) as refusal:
        ship_order(order.pk, tracking_number="1Z")
    assert refusal.value.body()["code"] == "not_shippable"
    order.refresh_from_db()
    assert (order.status, order.tracking_number, order.transitions) == (columns["status"], "", 1)
    assert Delivery.objects.count() == 0


def test_partly_refunded_order_still_ships() -> None:
    assert ship_order(make_order("physical", payment_status="partially_refunded").pk).status == "shipped"


def page(order: Order, step: str = "") -> str:
    return f"/admin/orders/order/{order.pk}/{step or 'change'}/"


def staff(*permissions: str) -> Client:
    user = make_user("staff@example.com")
    user.is_staff = True
    user.save()
    user.user_permissions.add(*Permission.objects.filter(codename__in=("view_order", *permissions)))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def steps(person: Client, order: Order) -> list[str]:
    """What the order's page offers."""
    shown = person.get(page(order)).content.decode()
    return [step for step in ("ship", "deliver") if page(order, step) in shown]


def test_staff_ships_from_the_orders_page() -> None:
    order = make_order("physical")
    person = staff("fulfil_order")
    assert steps(person, order) == ["ship"]
    assert "Tracking number" in person.get(page(order, "ship"), headers={"HX-Request": "true"}).content.decode()
    alone = person.get(page(order, "ship"))
    assert (alone.status_code, alone["Location"]) == (302, page(order)), "a dialog is no page"
    order.refresh_from_db()
    assert order.status == "confirmed"  # asking for the dialog ships nothing
    answer = person.post(page(order, "ship"), {"tracking_number": "1Z 999", "_form_submitted": "True"})
    assert (answer.status_code, answer["HX-Redirect"]) == (200, page(order))
    order.refresh_from_db()
    assert (order.status, order.tracking_number) == ("shipped", "1Z 999")
    assert "was shipped." in person.get(page(order)).content.decode()
    assert steps(person, order) == ["deliver"]
    assert person.post(page(order, "deliver"), {"_form_submitted": "True"}).status_code == 200
    order.refresh_from_db()
    assert order.status == "delivered"
    assert steps(person, order) == []
    person.post(page(order, "ship"), {"_form_submitted": "True"})
    assert "Only a paid order with goods to send" in person.get(page(order)).content.decode()


def test_shipping_needs_its_permission_and_an_order() -> None:
    order = make_order("physical")
    person = staff("change_order")
    assert steps(person, order) == []
    assert person.post(page(order, "ship"), {"_form_submitted": "True"}).status_code == 403
    order.refresh_from_db()
    assert order.status == "confirmed"
    owner = Client()
    boss = make_user("owner@example.com")
    boss.is_staff = boss.is_superuser = True
    boss.save()
    owner.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    for unknown in ("999999", "abc", "9" * 30):
        answer = owner.post(f"/admin/orders/order/{unknown}/ship/", {"_form_submitted": "True"})
        assert answer.status_code == 404, unknown
