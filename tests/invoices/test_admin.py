"""Documents as staff sees them."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.invoices.models import Document
from apps.invoices.services.issuing import issue_invoice
from apps.invoices.services.printing import print_document
from tests.support.orders import make_order
from tests.support.staff import CONFIRMED, staff, text_of

pytestmark = pytest.mark.django_db

PAGE = "/admin/invoices/document/"


@pytest.fixture
def issued() -> Document:
    return issue_invoice(make_order(("Mug", 2, 1250), currency="KWD").pk)


def download(client: Client, document: Document) -> tuple[int, bytes]:
    answer = client.get(f"{PAGE}{document.pk}/download/")
    return answer.status_code, answer.content


def test_staff_with_the_permission_finds_and_downloads(issued: Document) -> None:
    person = staff("view_document")
    listed = text_of(person.get(f"{PAGE}?q={issued.number}"))
    assert f"{issued.number} invoice ORD-20260301-00001 2.500" in listed
    assert "0 documents" in text_of(person.get(f"{PAGE}?q=INV-1999")).replace("0 Documents", "0 documents")
    page = person.get(f"{PAGE}{issued.pk}/change/")
    assert page.status_code == 200
    assert f"{PAGE}{issued.pk}/download/" in page.content.decode()
    assert "Hauptstr" not in page.content.decode()
    assert download(person, issued) == (200, print_document(issued))


def test_nobody_changes_adds_or_deletes(issued: Document) -> None:
    person = staff("view_document", "change_document", "add_document", "delete_document")
    person.post(f"{PAGE}{issued.pk}/change/", {"number": "INV-1"})
    assert person.post(f"{PAGE}{issued.pk}/delete/", CONFIRMED).status_code == 403
    assert person.get(f"{PAGE}add/").status_code == 403
    assert Document.objects.get().number == issued.number


def test_reading_needs_its_own_permission(issued: Document) -> None:
    person = staff("change_order", "view_order")
    assert person.get(PAGE).status_code == 403
    assert download(person, issued)[0] == 403


@pytest.mark.parametrize("unknown", ["999999", "abc"])
def test_unknown_document_is_not_found(unknown: str) -> None:
    assert staff("view_document").get(f"{PAGE}{unknown}/download/").status_code == 404
