"""Who may download what, and what a download is."""

from __future__ import annotations

from typing import Any

import pypdfium2
import pytest
from django.contrib.auth.models import Permission

from apps.accounts.models import User
from apps.invoices.models import Document
from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.invoices.services.printing import print_document
from apps.orders.models import Order
from apps.payment.models import Refund
from tests.support.orders import make_order, make_refund
from tests.support.shop import Shop, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def order() -> Order:
    return make_order(("Mug", 2, 1250), user=make_user())


def path(order: Order, what: str = "invoice") -> str:
    return f"/api/orders/{order.number}/{what}/"


def token(order: Order) -> dict[str, str]:
    return {"X-Order-Token": order.token}


def staff(permission: str) -> Shop:
    person = User.objects.create_user("staff@example.com", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename=permission))
    return Shop(person)


def words_of(content: bytes) -> str:
    pdf = pypdfium2.PdfDocument(content)
    return "\n".join(page.get_textpage().get_text_range() for page in pdf)


def test_owner_token_holder_and_staff_download_the_same_file(order: Order) -> None:
    answers = [
        Shop(order.user).get(path(order)),
        Shop().get(path(order), **token(order)),
        staff("view_document").get(path(order)),
    ]
    document = Document.objects.get()
    for answer in answers:
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/pdf"
        assert answer["Content-Disposition"] == f'attachment; filename="{document.number}.pdf"'
        assert answer["Cache-Control"] == "no-store"
        assert answer.content == print_document(document)
    assert "2 $12.50 $25.00" in words_of(answers[0].content)


@pytest.mark.parametrize("what", ["invoice", "documents"])
def test_others_see_what_they_would_see_of_no_order_at_all(order: Order, what: str) -> None:
    unknown = Shop().get(f"/api/orders/ORD-20260301-99999/{what}/")
    other = make_order(("Pen", 1, 250), number="ORD-20260301-00002")
    refused = [
        Shop().get(path(order, what)),
        Shop(make_user("other@example.com")).get(path(order, what)),
        Shop().get(path(order, what), **token(other)),
        Shop().get(path(order, what), **{"X-Order-Token": "x" * 72}),
        staff("change_order").get(path(order, what)),
    ]
    assert {(answer.status_code, answer.content) for answer in refused} == {(404, unknown.content)}
    assert unknown.json()["code"] == "order_not_found"
    assert Document.objects.count() == 0


@pytest.mark.parametrize(("status", "payment_status"), [("pending", "processing"), ("cancelled", "failed")])
def test_no_invoice_before_it_is_paid(status: str, payment_status: str) -> None:
    order = make_order(("Mug", 1, 1000), status=status, payment_status=payment_status, paid_at=None)
    answer = Shop().get(path(order), **token(order))
    assert (answer.status_code, answer.json()["code"]) == (404, "invoice_not_found")
    listed = Shop().get(path(order, "documents"), **token(order))
    assert (listed.status_code, listed.json()) == (200, [])
    assert Document.objects.count() == 0


def test_whoever_asks_before_the_outbox_does_not_wait_and_makes_no_second_one(order: Order) -> None:
    first, second = (Shop(order.user).get(path(order)).content for _ in range(2))
    assert first == second
    assert issue_invoice(order.pk).seq == 1
    assert Document.objects.count() == 1


@pytest.mark.parametrize("accept", ["application/pdf", "text/html", "image/png", "*/*", "nonsense"])
def test_any_accept_header_is_fine(order: Order, accept: str) -> None:
    answer = Shop(order.user).get(path(order), Accept=accept)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    missing = Shop().get(path(order), Accept=accept)
    assert (missing.status_code, missing["Content-Type"]) == (404, "application/json")


def test_credit_note_and_cancellation_are_listed_and_downloaded(order: Order) -> None:
    refund = make_refund(order, 500)
    issue_for_refund(refund.pk)
    Refund.objects.update(status="failed")
    issue_for_refund(refund.pk)
    buyer = Shop(order.user)
    listed = buyer.get(path(order, "documents"))
    bill, note, paper = Document.objects.order_by("pk")
    shown: list[dict[str, Any]] = [
        {"number": bill.number, "kind": "invoice", "total": "25.00", "currency": "USD", "corrects": None},
        {"number": note.number, "kind": "credit_note", "total": "5.00", "currency": "USD", "corrects": bill.number},
        {"number": paper.number, "kind": "cancellation", "total": "5.00", "currency": "USD", "corrects": note.number},
    ]
    for row, document in zip(shown, (bill, note, paper), strict=True):
        row["issued_at"] = document.issued_at.isoformat().replace("+00:00", "Z")
        answer = buyer.get(f"{path(order)}?document={document.number}")
        assert answer.content == print_document(document)
        assert document.number in answer["Content-Disposition"]
    assert (listed.json(), listed["Cache-Control"]) == (shown, "no-store")


@pytest.mark.parametrize(
    "wanted", ["CN-2026-99999", "", "%00", "%ff", "CN-2026-00001%0a", "'", "INV-2026-1", "9" * 5000, "CN-²026-00001"]
)
def test_unknown_document_is_not_found(order: Order, wanted: str) -> None:
    answer = Shop(order.user).get(f"{path(order)}?document={wanted}")
    assert (answer.status_code, answer.json()["code"]) == (404, "document_not_found")


def test_document_of_another_order_is_not_found(order: Order) -> None:
    other = issue_invoice(make_order(("Pen", 1, 250), number="ORD-20260301-00002").pk)
    answer = Shop(order.user).get(f"{path(order)}?document={other.number}")
    assert (answer.status_code, answer.json()["code"]) == (404, "document_not_found")


@pytest.mark.parametrize("number", ["%00", "x", "ORD-20260301-00001%00", "%ff"])
def test_odd_order_numbers_are_not_found(order: Order, number: str) -> None:
    answer = staff("view_document").get(f"/api/orders/{number}/invoice/")
    assert (answer.status_code, answer.json()["code"]) == (404, "order_not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_documents_are_read_only(order: Order, method: str) -> None:
    for what in ("invoice", "documents"):
        assert Shop().call(method, path(order, what), **token(order)).status_code == 405
    assert Document.objects.count() == 0
