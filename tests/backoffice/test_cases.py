"""A case is taken, noted and solved, and all of it stays in the trail."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.payment.models import AttentionCase, PaymentLog
from tests.backoffice.rows import Books
from tests.support.staff import signed_in, text_of, told

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def case() -> AttentionCase:
    books = Books(0, timezone.now())
    payment = books.paid(books.order("USD", 1000, at=books.now), at=books.now)
    return AttentionCase.objects.create(payment=payment, kind="long_on_its_way", detail="A fortnight now.")


def person(role: str, email: str = "") -> Client:
    user = User.objects.create_user(email or f"{role}@example.com", "correct horse battery", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return signed_in(user)


def story() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("pk").values_list("actor_name", "action", "detail"))


def test_case_is_taken_noted_and_solved_and_tells_so(case: AttentionCase) -> None:
    client = person("support")
    page = f"/admin/payment/attentioncase/{case.pk}/"
    assert "Nothing yet. Take the case" in text_of(client.get(f"{page}change/"))
    assert client.get(f"{page}take/").status_code == 200
    assert told(client.post(f"{page}take/", {"note": ""})) == ["You look after this case now."]
    client.post(f"{page}note/", {"note": "Wrote to the buyer."})
    client.post(f"{page}solve/", {"note": "The bank says it is fine."})
    case.refresh_from_db()
    assert str(case.taken_by) == "support@example.com"
    assert case.solved_at is not None
    assert story() == [
        ("support@example.com", "take_it", "Taken."),
        ("support@example.com", "add_note", "Noted: Wrote to the buyer."),
        ("support@example.com", "solve", "Solved: The bank says it is fine."),
    ]
    assert AuditEntry.objects.order_by("pk")[1].reason == "Wrote to the buyer."
    taken = AuditEntry.objects.order_by("pk")[0]
    assert (taken.before["taken_by_id"], taken.after["taken_by_id"]) == (None, case.taken_by_id)
    shown = text_of(client.get(f"{page}change/"))
    for said in ("Taken.", "Noted: Wrote to the buyer.", "Solved: The bank says it is fine."):
        assert said in shown
    assert list(PaymentLog.objects.values_list("kind", flat=True)) == ["case_taken", "case_solved"]


def test_case_passes_from_one_to_another(case: AttentionCase) -> None:
    first, second = person("support"), person("finance")
    page = f"/admin/payment/attentioncase/{case.pk}/take/"
    first.post(page, {})
    assert "support@example.com has it now." in text_of(second.get(page))
    second.post(page, {"note": "I know the bank."})
    case.refresh_from_db()
    assert str(case.taken_by) == "finance@example.com"
    assert story()[-1][2] == "Taken. I know the bank."


def test_solved_case_is_not_taken(case: AttentionCase) -> None:
    AttentionCase.objects.update(solved_at=timezone.now())
    client = person("support")
    assert told(client.post(f"/admin/payment/attentioncase/{case.pk}/take/", {})) == ["This case is solved already."]
    case.refresh_from_db()
    assert case.taken_by is None
    assert story() == []


def test_empty_note_is_refused_and_viewers_write_none(case: AttentionCase) -> None:
    page = f"/admin/payment/attentioncase/{case.pk}/note/"
    assert person("support").post(page, {"note": "  "}).status_code == 200
    assert person("viewer").post(page, {"note": "me too"}).status_code == 403
    assert story() == []
