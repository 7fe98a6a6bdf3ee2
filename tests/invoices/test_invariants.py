"""`verify` sees what is wrong with documents: each check with rows that break it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection

from apps.invoices.invariants import checks
from apps.invoices.models import Document, DocumentCounter
from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.orders.models import Order
from apps.payment.models import Refund
from tests.support.orders import make_order, make_refund

pytestmark = pytest.mark.django_db


def broken() -> list[str]:
    return [meaning for _, meaning, rows in checks() if rows.exists()]


@pytest.fixture(autouse=True)
def _books() -> None:
    """Two invoices; of the first a credit note that stands and one that was cancelled. The guard is off."""
    first = make_order(("Mug", 3, 1000))
    issue_invoice(first.pk)
    issue_invoice(make_order(("Pen", 1, 250), number="ORD-20260301-00002").pk)
    stands, failed = make_refund(first, 1000), make_refund(first, 2500)
    issue_for_refund(failed.pk)
    Refund.objects.filter(pk=failed.pk).update(status="failed")
    issue_for_refund(failed.pk)
    issue_for_refund(stands.pk)
    table = " ON invoices_document" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER invoices_document_is_final{table}")


def test_nothing_is_broken() -> None:
    assert (Document.objects.count(), broken()) == (5, [])


def raise_counter() -> None:
    DocumentCounter.objects.filter(series="INV").update(last=3)


def lose_a_number() -> None:
    Document.objects.filter(number__endswith="00002", kind="invoice").update(seq=3)
    DocumentCounter.objects.filter(series="INV").update(last=3)


def credit_too_much() -> None:
    Refund.objects.filter(status="succeeded").update(amount=3001)
    Document.objects.filter(kind="credit_note", corrections=None).update(total=3001)


def change_total() -> None:
    Document.objects.filter(number__endswith="00002", kind="invoice").update(total=251)


def change_currency() -> None:
    Order.objects.filter(number__endswith="00002").update(currency="EUR")


def change_refund() -> None:
    Refund.objects.filter(status="failed").update(amount=2499)


@pytest.mark.parametrize(
    ("damage", "meaning"),
    [
        (raise_counter, "numbers have no gap"),
        (lose_a_number, "numbers have no gap"),
        (credit_too_much, "standing credit notes stay within their invoice"),
        (change_total, "an invoice is over its order's total"),
        (change_currency, "an invoice is over its order's total"),
        (change_refund, "a credit note is over its refund's amount"),
    ],
)
def test_damage_is_seen(damage: Callable[[], None], meaning: str) -> None:
    damage()
    assert broken() == [meaning]
