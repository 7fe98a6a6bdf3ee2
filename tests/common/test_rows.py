"""Statements whose text is made once do what the ORM's do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.transaction import TransactionManagementError
from django.forms import model_to_dict

from apps.common import rows
from apps.orders.models import Order, OrderTransition
from apps.outbox.models import Delivery
from tests.support.orders import make_order

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def delivery(key: str, **columns: Any) -> Delivery:
    return Delivery(kind="order.paid", key=key, subscriber="mail", payload="{}", due_at=NOW, created_at=NOW, **columns)


def test_locked_row_is_the_one_that_the_orm_reads() -> None:
    order = make_order(("Mug", 1, 1250))
    Order.objects.filter(pk=order.pk).update(shipping_address={"name": "Ada", "line1": "Straße 1"}, paid_at=NOW)
    with transaction.atomic():
        found = rows.locked(Order, "number", order.number)
        assert rows.locked(Order, "number", "nobody's") is None
    assert found is not None
    wanted = Order.objects.get()
    names = [field.attname for field in Order._meta.concrete_fields]
    assert {name: getattr(found, name) for name in names} == {name: getattr(wanted, name) for name in names}
    assert found.shipping_address == {"name": "Ada", "line1": "Straße 1"}
    assert (found.paid_at, found._state.adding, found) == (NOW, False, wanted)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_locked_outside_of_a_transaction() -> None:
    with pytest.raises(TransactionManagementError):
        rows.locked(Order, "number", "any")


def test_rows_are_inserted_with_their_defaults(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        rows.insert([delivery("1"), delivery("2", last_error="50 % off")])
    Delivery.objects.create(kind="order.paid", key="3", subscriber="mail", payload="{}", due_at=NOW, created_at=NOW)
    one, two, three = Delivery.objects.order_by("key")
    assert two.last_error == "50 % off"
    apart = {"id", "key", "last_error"}
    assert [{n: v for n, v in model_to_dict(row).items() if n not in apart} for row in (one, two)] == [
        {n: v for n, v in model_to_dict(three).items() if n not in apart}
    ] * 2


def test_what_is_known_is_left_out_and_nothing_else() -> None:
    rows.insert_unless_known([delivery("1")])
    rows.insert_unless_known([delivery("1", last_error="again"), delivery("2")])
    rows.insert_unless_known([])
    assert sorted(Delivery.objects.values_list("key", "last_error")) == [("1", ""), ("2", "")]
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert([delivery("1")])
    broken = OrderTransition(order_id=None, seq=1, to_status="pending", to_payment_status="pending", at=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert_unless_known([broken])


def test_only_rows_that_look_as_expected_are_changed() -> None:
    rows.insert([delivery("1"), delivery("2"), delivery("3", lease_until=NOW)])
    free = {"kind": "order.paid", "lease_until": None}
    assert rows.change(Delivery, free, {"lease_until": NOW, "attempts": 1}) == 2
    assert rows.change(Delivery, free, {"attempts": 9}) == 0
    assert rows.change(Delivery, {"lease_until": NOW, "attempts": 0}, {"lease_until": None}) == 1
    assert sorted(Delivery.objects.values_list("key", "lease_until", "attempts")) == [
        ("1", NOW, 1),
        ("2", NOW, 1),
        ("3", None, 0),
    ]


def test_json_is_kept_as_the_orm_keeps_it() -> None:
    order = make_order(("Mug", 1, 1250))
    address = {"name": "Ada", "line1": '"quoted" % 1'}
    assert rows.change(Order, {"id": order.pk}, {"shipping_address": address}) == 1
    assert Order.objects.get(shipping_address__name="Ada").shipping_address == address
    assert rows.change(Order, {"id": order.pk}, {"shipping_address": None}) == 1
    assert Order.objects.filter(shipping_address__isnull=True).count() == 1


def test_a_value_of_another_type_is_made_what_the_column_takes() -> None:
    """What the ORM would convert is converted here too: a column's own kind of value alone is taken as it is."""
    odd = Delivery(
        kind=Order.Status.PENDING, key="1", subscriber="mail", payload="{}", due_at="2026-03-02T09:30Z", created_at=NOW
    )
    odd.attempts = "3"  # type: ignore[assignment]
    rows.insert([odd])
    kept = Delivery.objects.get()
    assert (kept.kind, kept.due_at, kept.attempts) == ("pending", NOW, 3)
    assert rows.change(Delivery, {"attempts": "3", "due_at": NOW}, {"due_at": "2026-03-02T09:31Z"}) == 1
    assert Delivery.objects.get().due_at == NOW.replace(minute=31)


def test_one_inserted_row_has_its_key_and_is_the_one_that_the_orm_reads() -> None:
    row = delivery("1")
    rows.insert_one(row)
    assert (row._state.adding, row._state.db) == (False, "default")
    assert Delivery.objects.get(pk=row.pk) == row
    again = delivery("2")
    rows.insert_one(again)
    assert again.pk > row.pk
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert_one(delivery("1"))
