"""Owners have people forgotten on a page: it looks first, asks why, and leaves the work to the worker."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Erasure, User
from apps.accounts.privacy import erasing
from apps.audit.models import AuditEntry
from apps.orders.models import Order
from tests.backoffice.test_roles import person
from tests.privacy.search import logs
from tests.support.orders import make_order, make_refund
from tests.support.shop import make_user
from tests.support.staff import CONFIRMED, owner, text_of, told

pytestmark = pytest.mark.django_db(transaction=True)

ADA = "ada@example.com"
LIST = "/admin/accounts/erasure/"
PAGE = f"{LIST}ask/"


@pytest.fixture
def order() -> Order:
    """Ada's account with one paid order."""
    return make_order(("Mug", 1, 1000), email=ADA, user=make_user(ADA))


def rows(page: Any) -> dict[str, int]:
    return {what: count for what, _, count in page.context_data["held"]}


def test_page_looks_first_and_then_has_the_person_forgotten(order: Order) -> None:
    client = owner()
    looked = client.post(PAGE, {"email": ADA.upper()})
    assert rows(looked) == {"account": 1, "orders": 1, "payments": 1}
    text = text_of(looked)
    assert "e-mail and shipping address, tracking number; amounts, lines and taxes stay" in text
    assert f"Order {order.number} is paid and was not sent; without its address it cannot be." in text
    assert (Erasure.objects.count(), User.objects.get(pk=order.user_id).is_active) == (0, True)

    done = client.post(PAGE, {"email": ADA, "again": ADA, "reason": "Request 17"})
    erasure = Erasure.objects.get()
    assert done.status_code == 302
    assert done.headers["Location"] == f"{LIST}{erasure.pk}/change/"
    assert told(done) == [f"{erasure.pseudonym} stands for this person from now on. The worker does the rest."]
    closed = User.objects.get(pk=order.user_id)
    assert (closed.is_active, closed.email) == (False, ADA), "closed at once, forgotten by the worker"
    entry = AuditEntry.objects.get(action="erased")
    assert (entry.actor_name, entry.reason, entry.source) == ("owner@example.com", "Request 17", "admin")
    assert ADA not in f"{entry.object_name}{entry.detail}{entry.before}{entry.after}"

    assert erasing.finish_erasures() == 1
    order.refresh_from_db()
    assert order.email == f"{erasure.pseudonym}@erased.invalid"
    page = text_of(client.get(f"{LIST}{erasure.pk}/change/"))
    assert "forgotten" in page
    assert "owner@example.com: Request 17" in page
    assert ADA not in page
    assert erasure.pseudonym in text_of(client.get(LIST))


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"again": "other@example.com", "reason": "Request 17"}, "This is another address."),
        ({"again": ADA, "reason": ""}, "This field is required."),
        ({"again": ADA, "reason": f"{ADA} asked"}, "it would outlive its person"),
        ({"again": "", "reason": "Request 17"}, "This field is required."),
    ],
)
def test_slip_forgets_nobody(order: Order, form: dict[str, str], words: str) -> None:
    answer = owner().post(PAGE, {"email": ADA, **form})
    assert words in text_of(answer)
    assert rows(answer)["orders"] == 1, "what is held is still shown"
    assert Erasure.objects.count() == AuditEntry.objects.count() == 0


def test_what_is_open_is_named_before_and_after_the_look(order: Order) -> None:
    client = owner()
    refund = make_refund(order, 500, succeeded=False)
    answers = [client.post(PAGE, {"email": ADA, **more}) for more in ({}, {"again": ADA, "reason": "Request 17"})]
    for answer in answers:
        assert f"A refund of {refund.money} of order {order.number} is on its way." in text_of(answer)
        assert "Nothing was changed." in text_of(answer)
    assert Erasure.objects.count() == 0


def test_nobody_staff_and_somebody_who_is_forgotten_already(order: Order) -> None:
    client = owner()
    assert "Nothing is held" in text_of(client.post(PAGE, {"email": "nobody@example.com"}))
    assert "member of staff" in text_of(client.post(PAGE, {"email": "owner@example.com"}))
    assert "Enter a valid email address." in text_of(client.post(PAGE, {"email": "nobody"}))
    confirmed = {"email": ADA, "again": ADA, "reason": "Request 17"}
    client.post(PAGE, confirmed)
    assert "Somebody is erasing this person" in text_of(client.post(PAGE, confirmed)), "sent twice, done once"
    assert erasing.finish_erasures() == 1
    assert "Nothing is held" in text_of(client.post(PAGE, confirmed))
    assert Erasure.objects.count() == 1


@pytest.mark.parametrize("role", ["viewer", "support", "finance", "catalogue"])
def test_others_neither_see_nor_start_one(role: str, order: Order) -> None:
    client = person(role)
    assert client.get(LIST).status_code == 403
    assert client.get(PAGE).status_code == 403
    confirmed = {"email": ADA, "again": ADA, "reason": "Request 17"}
    assert [client.post(PAGE, form).status_code for form in ({"email": ADA}, confirmed)] == [403, 403]
    assert Client().post(PAGE, confirmed).status_code == 302, "whoever is not signed in is sent to sign in"
    assert Erasure.objects.count() == 0


def test_owners_by_role_may_and_nobody_changes_a_record(order: Order) -> None:
    client = person("owner")
    client.post(PAGE, {"email": ADA, "again": ADA, "reason": "Request 17"})
    erasure = Erasure.objects.get()
    before = Erasure.objects.values().get()
    assert client.post(f"{LIST}{erasure.pk}/change/", {"reason": "x"}).status_code == 403
    assert client.post(f"{LIST}{erasure.pk}/delete/", CONFIRMED).status_code == 403
    assert client.get(f"{LIST}add/").status_code == 403
    assert Erasure.objects.values().get() == before


def test_address_is_in_no_log(order: Order) -> None:
    client = owner()
    with logs() as said:
        client.post(PAGE, {"email": ADA})
        client.post(PAGE, {"email": ADA, "again": ADA, "reason": "Request 17"})
        erasing.finish_erasures()
    assert "request_started" in said.getvalue()
    assert ADA not in said.getvalue()
