"""Lists of the admin: as many statements for many rows as for few, and never more than twenty."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from apps.catalog.models import ProductVariant
from apps.outbox.services import publish
from apps.payment.models import AttentionCase, Payment, Refund, StripeWebhookEvent
from apps.payment.webhooks import inbox
from tests.backoffice.rows import Books
from tests.support.staff import owner, statements

pytestmark = pytest.mark.django_db

BUDGET = 20


def fill(books: Books, orders: int) -> None:
    """Rows of every kind that grows with the orders."""
    known = StripeWebhookEvent.objects.count()
    for number in range(orders):
        payment = books.paid(books.order("USD", 1000, at=books.now), at=books.now)
        books.refund(payment, 100, at=books.now)
        books.dispute(payment, at=books.now)
        AttentionCase.objects.create(payment=payment, kind="late", object_id=payment.reference)
        publish("order.paid", str(payment.order_id), {"order_id": payment.order_id})
        event = {"id": f"evt_{known + number}", "type": "charge.succeeded", "livemode": False, "created": 1}
        inbox.store(event | {"data": {"object": {"id": f"ch_{number}"}}}, sha256="0" * 64)


def test_every_list_takes_the_same_statements_for_any_number_of_rows() -> None:
    books, client = Books(0, timezone.now()), owner()
    lists = {
        model._meta.label: reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    }

    def read() -> dict[str, int]:
        return {name: statements(client, path) for name, path in lists.items()}

    fill(books, 3)
    read()
    few = read()
    fill(books, 20)
    assert (Payment.objects.count(), Refund.objects.count(), AttentionCase.objects.count()) == (23, 23, 23)
    assert ProductVariant.objects.count() == 1
    assert read() == few
    assert {name: count for name, count in few.items() if count > BUDGET} == {}
