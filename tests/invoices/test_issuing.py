"""What documents say in numbers, how they are numbered, and that each is issued once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import transaction

from apps.invoices.models import Document, DocumentCounter
from apps.invoices.services.issuing import NotPaid, issue_for_refund, issue_invoice
from apps.invoices.services.numbering import take_place
from apps.invoices.services.tax import contained_tax
from apps.orders.models import Order
from apps.payment.models import Refund
from tests.support.orders import make_order, make_payment, make_refund
from tests.support.shop import make_user

pytestmark = pytest.mark.django_db

ISSUED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _seller(settings: Any) -> None:
    settings.SELLER_NAME = "Proshop GmbH"
    settings.SELLER_ADDRESS = "Hauptstr. 5\\n10115 Berlin"
    settings.SELLER_TAX_ID = "DE123456789"
    settings.INVOICE_TAX_RATE = Decimal("0.19")


def books() -> list[tuple[str, str, int, int]]:
    """Number, kind, total and tax of every document, oldest first."""
    return list(Document.objects.order_by("pk").values_list("number", "kind", "total", "tax"))


def fail(refund: Refund) -> None:
    Refund.objects.filter(pk=refund.pk).update(status="failed")
    issue_for_refund(refund.pk)


@time_machine.travel(ISSUED, tick=False)
def test_invoice_tells_the_order_as_it_was_bought() -> None:
    order = make_order(("Mug", 2, 1250), ("Pen", 1, 390), shipping=490, discount=100, currency="EUR")
    document = issue_invoice(order.pk)
    assert (document.number, document.kind, document.issued_at) == ("INV-2026-00001", "invoice", ISSUED)
    assert (document.total, document.tax, document.currency, document.language) == (3280, 524, "EUR", "en")
    assert document.facts == {
        "seller": ["Proshop GmbH", "Hauptstr. 5", "10115 Berlin", "Tax ID DE123456789"],
        "buyer": ["Ada Lovelace", "Hauptstr. 1", "50667 Köln", "Germany", "buyer@example.com"],
        "order": "ORD-20260301-00001",
        "currency": "EUR",
        "lines": [
            {"sku": "SKU-1", "name": "Mug", "quantity": 2, "unit_price": 1250, "amount": 2500},
            {"sku": "SKU-2", "name": "Pen", "quantity": 1, "unit_price": 390, "amount": 390},
        ],
        "charges": [["Discount", -100], ["Shipping", 490]],
        "total": 3280,
        "tax": 524,
        "tax_rate": "0.19",
    }
    assert document.page == {
        "language": "en",
        "title": "Invoice",
        "number": "INV-2026-00001",
        "seller": ["Proshop GmbH", "Hauptstr. 5", "10115 Berlin", "Tax ID DE123456789"],
        "buyer": ["Ada Lovelace", "Hauptstr. 1", "50667 Köln", "Germany", "buyer@example.com"],
        "facts": [
            ["Invoice number", "INV-2026-00001"],
            ["Invoice date", "March 2, 2026"],
            ["Order", "ORD-20260301-00001"],
            ["Ordered on", "March 1, 2026"],
            ["Paid on", "March 1, 2026"],
        ],
        "heads": ["Item", "Quantity", "Unit price", "Amount"],
        "rows": [["Mug (SKU-1)", "2", "€12.50", "€25.00"], ["Pen (SKU-2)", "1", "€3.90", "€3.90"]],
        "charges": [["Discount", "-€1.00"], ["Shipping", "€4.90"]],
        "total": ["Total", "€32.80"],
        "contained": [["Net amount", "€27.56"], ["Tax contained, 19%", "€5.24"]],
        "closing": ["This invoice has been paid. Nothing is due."],
        "page_label": "Page %(page)s of %(pages)s",
    }


def test_issued_once_and_untouched_by_what_changes_later(settings: Any) -> None:
    order = make_order(("Mug", 1, 1000))
    first = issue_invoice(order.pk)
    settings.SELLER_NAME, settings.INVOICE_TAX_RATE = "Somebody else", Decimal("0.07")
    Order.objects.update(email="", shipping_address=None, user=None)
    again = issue_invoice(order.pk)
    assert (again.pk, again.content) == (first.pk, first.content)
    assert Document.objects.count() == 1


def test_unpaid_order_has_no_invoice_and_takes_no_number() -> None:
    order = make_order(("Mug", 1, 1000), status="cancelled", payment_status="failed", paid_at=None)
    with pytest.raises(NotPaid):
        issue_invoice(order.pk)
    assert (Document.objects.count(), DocumentCounter.objects.count()) == (0, 0)


@pytest.mark.parametrize("status", ["partially_refunded", "refunded"])
def test_refunded_order_was_paid_all_the_same(status: str) -> None:
    order = make_order(("Mug", 1, 1000), payment_status=status)
    assert issue_invoice(order.pk).total == 1000


def test_free_order_has_an_invoice_over_nothing() -> None:
    document = issue_invoice(make_order(("Sample", 1, 0)).pk)
    assert (document.total, document.tax, document.page["total"]) == (0, 0, ["Total", "$0.00"])


def test_without_a_tax_rate_no_tax_is_printed(settings: Any) -> None:
    settings.INVOICE_TAX_RATE = Decimal("0")
    document = issue_invoice(make_order(("Mug", 1, 1000)).pk)
    assert (document.tax, document.page["contained"]) == (0, [])


@pytest.mark.parametrize(
    ("total", "rate", "currency", "tax"),
    [
        (11900, "0.19", "EUR", 1900),
        (1000, "0.19", "EUR", 160),  # 159.66
        (100, "0.077", "CHF", 7),  # 7.149
        (1, "0.19", "EUR", 0),
        (3, "0.2", "EUR", 1),  # 0.5, half up
        (1000, "0.1", "JPY", 91),  # whole yen
        (10000, "0.24", "ISK", 1900),  # 1935 hundredths are 19.35 krónur: whole ones only
        (18600, "0.05", "KWD", 890),  # 885.7 thousandths: steps of ten
        (99_999_999, "0.25", "USD", 20_000_000),
        (0, "0.19", "EUR", 0),
    ],
)
def test_tax_is_contained_and_rounded_to_what_the_currency_has(total: int, rate: str, currency: str, tax: int) -> None:
    assert contained_tax(total, Decimal(rate), currency) == tax


@pytest.mark.parametrize(
    ("currency", "price", "printed"),
    [
        ("JPY", 500, ["¥500", "¥500"]),
        ("KWD", 18600, ["KWD 18.600", "KWD 18.600"]),
        ("ISK", 500, ["ISK 5", "ISK 5"]),
        ("USD", 123456, ["$1,234.56", "$1,234.56"]),
    ],
)
def test_amounts_have_the_currencys_own_decimals(currency: str, price: int, printed: list[str]) -> None:
    document = issue_invoice(make_order(("Mug", 1, price), currency=currency).pk)
    assert [cell.replace("\xa0", " ") for cell in document.page["rows"][0][2:]] == printed


@pytest.mark.parametrize(
    ("language", "title", "amount", "day", "country"),
    [
        ("", "Invoice", "€25.00", "March 1, 2026", "Germany"),
        ("en", "Invoice", "€25.00", "March 1, 2026", "Germany"),
        ("de", "Rechnung", "25,00 €", "1. März 2026", "Deutschland"),
        ("fr", "Facture", "25,00 €", "1 mars 2026", "Allemagne"),
    ],
)
def test_invoice_is_in_the_buyers_language(language: str, title: str, amount: str, day: str, country: str) -> None:
    document = issue_invoice(make_order(("Mug", 2, 1250), currency="EUR", language=language).pk)
    page = document.page
    assert document.language == (language or "en")
    assert (page["title"], page["total"][1].replace("\xa0", " ")) == (title, amount)
    assert day in [value for _, value in page["facts"]]
    assert page["buyer"][3] == country


@pytest.mark.parametrize(
    ("address", "printed"),
    [
        (
            {"line1": "1 Main St", "city": "Springfield", "state": "IL", "postal_code": "62701", "country": "US"},
            ["1 Main St", "Springfield, IL 62701", "United States"],
        ),
        (
            {"line1": "10 High St", "line2": "Flat 2", "city": "London", "postal_code": "SW1A 1AA", "country": "GB"},
            ["10 High St", "Flat 2", "London", "SW1A 1AA", "United Kingdom"],
        ),
        (
            {"line1": "1 rue X", "city": "Paris", "postal_code": "75001", "country": "FR"},
            ["1 rue X", "75001 Paris", "France"],
        ),
        ({"line1": "X", "city": "Y", "country": "ZZ"}, ["X", "Y", "Unknown Region"]),
        ({"city": None, "country": None}, []),
    ],
)
def test_addresses_are_written_as_in_their_country(address: dict[str, Any], printed: list[str]) -> None:
    document = issue_invoice(make_order(("Mug", 1, 1000), shipping_address={"name": "Ada", **address}).pk)
    assert document.facts["buyer"] == ["Ada", *printed, "buyer@example.com"]


def test_buyer_of_digital_goods_is_named_by_the_account() -> None:
    user = make_user()
    user.name = "Grace Hopper"
    user.save()
    document = issue_invoice(make_order(("Course", 1, 49900), kind="digital", user=user).pk)
    assert document.facts["buyer"] == ["Grace Hopper", "buyer@example.com"]


# Money back


def test_each_succeeded_refund_has_its_credit_note_once() -> None:
    order = make_order(("Mug", 3, 1000), ("Pen", 1, 250))
    bill = issue_invoice(order.pk)
    mugs = order.items.get(sku="SKU-1")
    by_lines, by_amount = make_refund(order, 2000), make_refund(order, 333)
    by_lines.items.create(order_item=mugs, quantity=2)
    for _ in range(2):
        issue_for_refund(by_lines.pk)
        issue_for_refund(by_amount.pk)
    assert books() == [
        ("INV-2026-00001".replace("2026", str(bill.year)), "invoice", 3250, 519),
        (f"CN-{bill.year}-00001", "credit_note", 2000, 319),
        (f"CN-{bill.year}-00002", "credit_note", 333, 53),
    ]
    first, second = Document.objects.filter(kind="credit_note").order_by("pk")
    assert (first.corrects, first.refund) == (bill, by_lines)
    assert first.page["title"] == "Credit note"
    assert first.page["rows"] == [["Mug (SKU-1)", "2", "$10.00", "$20.00"]]
    assert ["For invoice", bill.number] in first.page["facts"]
    assert first.page["closing"] == ["We send this amount back to where it was paid from."]
    assert second.page["rows"] == [[f"Part of order {order.number}", "1", "$3.33", "$3.33"]]


def test_refund_of_everything_names_every_line_and_charge() -> None:
    order = make_order(("Mug", 3, 1000), shipping=490, discount=90)
    refund = make_refund(order, 3400)
    issue_for_refund(refund.pk)
    note = Document.objects.get(kind="credit_note")
    assert note.page["rows"] == [["Mug (SKU-1)", "3", "$10.00", "$30.00"]]
    assert note.page["charges"] == [["Discount", "-$0.90"], ["Shipping", "$4.90"]]
    assert note.page["total"] == ["Total", "$34.00"]


def test_lines_that_staff_assigned_to_another_amount_are_not_printed_as_its_sum() -> None:
    order = make_order(("Mug", 3, 1000))
    refund = make_refund(order, 700)
    refund.items.create(order_item=order.items.get(), quantity=1)
    issue_for_refund(refund.pk)
    note = Document.objects.get(kind="credit_note")
    assert note.page["rows"] == [[f"Part of order {order.number}", "1", "$7.00", "$7.00"]]


def test_refund_before_the_invoice_issues_both() -> None:
    order = make_order(("Mug", 1, 1000))
    issue_for_refund(make_refund(order, 1000).pk)
    assert [kind for _, kind, *_ in books()] == ["invoice", "credit_note"]


def test_pending_refund_has_no_document() -> None:
    order = make_order(("Mug", 1, 1000))
    issue_for_refund(make_refund(order, 1000, succeeded=False).pk)
    assert books() == []


def test_refund_that_never_succeeded_has_no_document_when_it_fails() -> None:
    order = make_order(("Mug", 1, 1000))
    fail(make_refund(order, 1000, succeeded=False))
    assert books() == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_refund_that_fails_later_has_its_credit_note_cancelled_once(status: str) -> None:
    order = make_order(("Mug", 3, 1000))
    refund = make_refund(order, 2000)
    refund.items.create(order_item=order.items.get(), quantity=2)
    issue_for_refund(refund.pk)
    note = Document.objects.get(kind="credit_note")
    Refund.objects.update(status=status)
    for _ in range(2):
        issue_for_refund(refund.pk)
    paper = Document.objects.get(kind="cancellation")
    assert (paper.number, paper.corrects, paper.refund) == (f"CX-{note.year}-00001", note, refund)
    assert (paper.total, paper.tax) == (note.total, note.tax)
    assert paper.page["rows"] == note.page["rows"]
    assert ["Cancels credit note", note.number] in paper.page["facts"]
    assert paper.page["closing"] == [
        f"The refund of credit note {note.number} did not go through, so that credit note is void."
    ]


def test_failure_that_is_heard_of_before_the_success_ends_the_same() -> None:
    order = make_order(("Mug", 1, 1000))
    fail(make_refund(order, 1000))
    assert [kind for _, kind, *_ in books()] == ["invoice", "credit_note", "cancellation"]


def test_money_that_was_never_applied_has_no_document() -> None:
    order = make_order(("Mug", 1, 1000))
    surplus = make_payment(order, applied=False, problem="surplus")
    refund = make_refund(order, 1000)
    Refund.objects.filter(pk=refund.pk).update(payment=surplus)
    issue_for_refund(refund.pk)
    assert books() == []


def test_tax_of_many_small_credit_notes_adds_up_to_the_invoices() -> None:
    """Each alone would round 1.5966 cents to 2: 20 cents of tax in an invoice that contains 16."""
    order = make_order(("Mug", 1, 100))
    bill = issue_invoice(order.pk)
    for _ in range(10):
        issue_for_refund(make_refund(order, 10).pk)
    notes = [document.tax for document in Document.objects.filter(kind="credit_note")]
    assert (bill.tax, sum(notes), len(notes)) == (16, 16, 10)
    assert set(notes) == {1, 2}


def test_cancelled_credit_note_gives_its_tax_back() -> None:
    order = make_order(("Mug", 1, 100))
    bill = issue_invoice(order.pk)
    first = make_refund(order, 40)
    issue_for_refund(first.pk)
    fail(first)
    issue_for_refund(make_refund(order, 100).pk)
    standing = Document.objects.filter(kind="credit_note", corrections=None)
    assert [(note.total, note.tax) for note in standing] == [(100, bill.tax)]


def test_credit_note_keeps_the_invoices_rate_language_and_buyer(settings: Any) -> None:
    order = make_order(("Mug", 1, 11900), currency="EUR", language="de")
    issue_invoice(order.pk)
    settings.INVOICE_TAX_RATE = Decimal("0.07")
    Order.objects.update(email="", shipping_address=None, language="fr")
    issue_for_refund(make_refund(order, 11900).pk)
    note = Document.objects.get(kind="credit_note")
    assert (note.tax, note.language, note.facts["tax_rate"]) == (1900, "de", "0.19")
    assert note.facts["buyer"] == ["Ada Lovelace", "Hauptstr. 1", "50667 Köln", "Deutschland", "buyer@example.com"]


# Numbers


def numbers() -> list[str]:
    return sorted(Document.objects.values_list("number", flat=True))


def test_numbers_count_per_series_and_year() -> None:
    with time_machine.travel(datetime(2026, 12, 31, 23, 59, tzinfo=UTC), tick=False):
        for place in (1, 2):
            issue_invoice(make_order(("Mug", 1, 100), number=f"ORD-20261231-{place:05d}").pk)
    with time_machine.travel(datetime(2027, 1, 1, 0, 0, tzinfo=UTC), tick=False):
        issue_invoice(make_order(("Mug", 1, 100), number="ORD-20270101-00003").pk)
    assert numbers() == ["INV-2026-00001", "INV-2026-00002", "INV-2027-00001"]


def test_year_is_that_of_the_moment_under_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The year turned while another transaction held the counter."""
    clock = iter([datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), *[datetime(2027, 1, 1, tzinfo=UTC)] * 2])
    monkeypatch.setattr("apps.invoices.services.numbering.timezone.now", lambda: next(clock))
    place = take_place("INV")
    assert (place.number, place.at.year) == ("INV-2027-00001", 2027)
    assert dict(DocumentCounter.objects.values_list("year", "last")) == {2026: 0, 2027: 1}


def test_rolled_back_document_leaves_no_gap() -> None:
    first, second = (make_order(("Mug", 1, 100), number=f"ORD-20260301-{place:05d}") for place in (1, 2))
    with transaction.atomic():
        assert issue_invoice(first.pk).seq == 1
        transaction.set_rollback(True)
    assert issue_invoice(second.pk).seq == 1
    assert issue_invoice(first.pk).seq == 2


def test_numbers_grow_beyond_five_digits() -> None:
    issued = issue_invoice(make_order(("Mug", 1, 100)).pk)
    DocumentCounter.objects.update(last=99_999)
    following = issue_invoice(make_order(("Mug", 1, 100), number="ORD-20260301-00002").pk)
    assert following.number == f"INV-{issued.year}-100000"
