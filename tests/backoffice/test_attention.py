"""What waits for a person comes first, with the page on which it is solved, and only to whoever may see it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.backoffice.selectors.attention import CASES_SHOWN, attention
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.outbox.models import Delivery
from apps.payment.models import AttentionCase, CheckRun, Payment, Refund, StripeWebhookEvent
from tests.backoffice.rows import Books
from tests.support.shop import make_variant
from tests.support.staff import owner, signed_in, text_of

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss@example.com", "correct horse battery")


@pytest.fixture
def books() -> Books:
    return Books(0, NOW)


@pytest.fixture
def payment(books: Books) -> Payment:
    payment = books.paid(books.order("USD", 1000, at=NOW), at=NOW)
    Order.objects.update(status="delivered")
    return payment


def titles(user: User) -> list[str]:
    return [item.title for item in attention(user)]


def person(role: str) -> Client:
    user = User.objects.create_user(f"{role}@example.com", "correct horse battery", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return signed_in(user)


def dead_event(number: int = 1) -> StripeWebhookEvent:
    return StripeWebhookEvent.objects.create(
        stripe_id=f"evt_{number}",
        type="charge.failed",
        livemode=False,
        created=NOW,
        received_at=NOW,
        waiting_since=NOW,
        due_at=NOW,
        payload="{}",
        sha256="",
        state="dead",
        reason="its handler failed every time",
    )


def dead_delivery() -> None:
    Delivery.objects.create(
        kind="order.paid", key="1", subscriber="mail", payload="{}", state="dead", due_at=NOW, created_at=NOW
    )


def failed_mail() -> None:
    Mail.objects.create(
        kind="enrolled", key="1", recipient="a@example.com", context="{}", state="failed", due_at=NOW, created_at=NOW
    )


def not_asked(books: Books, payment: Payment, *, minutes: int, **columns: Any) -> None:
    """A refund that was written so long ago and that Stripe has not heard of."""
    refund = books.refund(payment, 10, at=NOW, status="pending")
    long_ago = timezone.now() - timedelta(minutes=minutes)
    Refund.objects.filter(pk=refund.pk).update(
        **{"created_at": long_ago, "succeeded_at": None, "stripe_refund_id": None, **columns}
    )


def test_quiet_shop_says_what_would_be_here(boss: User) -> None:
    assert titles(boss) == []
    assert "Nothing waits for you." in text_of(signed_in(boss).get("/admin/"))


def test_everything_that_waits_is_there_with_its_page(boss: User, books: Books, payment: Payment) -> None:
    order = payment.order
    AttentionCase.objects.create(payment=payment, kind="amount_mismatch", detail="expected 1, got 2")
    dead_event()
    dead_delivery()
    failed_mail()
    books.refund(payment, 10, at=NOW, status="requested")
    not_asked(books, payment, minutes=11)
    books.paid(books.order("USD", 500, at=NOW), at=NOW)
    make_variant("RARE-1", stock=2)
    reserved = books.order("USD", 700, at=NOW)
    Payment.objects.create(
        order=reserved,
        attempt=1,
        reference="pp_reserved",
        idempotency_key="pp_reserved-1",
        request_params="{}",
        status="processing",
        intent_status="requires_capture",
        amount=700,
        currency="USD",
        livemode=False,
    )
    found = titles(boss)
    assert set(found[:4]) == {
        "1 refund has not reached Stripe",
        f"Amount mismatch: order {order.number}",
        "1 of Stripe's events could not be worked off",
        "1 delivery inside the shop was given up",
    }
    assert set(found[4:]) == {
        "1 buyer asks for their money",
        "1 amount is reserved and not taken",
        "1 order is paid and not fulfilled",
        "1 e-mail could not be sent",
        "Stock is low",
    }
    client = signed_in(boss)
    for item in attention(boss):
        page = client.get(item.link)
        assert page.status_code == 200, item.link
        assert "0 results" not in text_of(page)


def test_refunds_on_their_way_are_nobodys_business_yet(boss: User, books: Books, payment: Payment) -> None:
    not_asked(books, payment, minutes=9)
    not_asked(books, payment, minutes=3000, stripe_refund_id="re_slow")
    not_asked(books, payment, minutes=3000, decided_at=timezone.now())
    assert titles(boss) == []
    for _ in range(2):
        not_asked(books, payment, minutes=11)
        books.refund(payment, 10, at=NOW, status="requested")
    assert titles(boss) == ["2 refunds have not reached Stripe", "2 buyers ask for their money"]


def test_deadline_of_a_dispute_puts_its_case_first(boss: User, books: Books, payment: Payment) -> None:
    soon = books.dispute(payment, at=NOW - timedelta(days=5))
    late = books.dispute(payment, at=NOW)
    over = books.dispute(payment, at=NOW - timedelta(days=9), status="won")
    for kind, about in [("late", ""), ("dispute", late.stripe_dispute_id), ("dispute", soon.stripe_dispute_id)]:
        AttentionCase.objects.create(payment=payment, kind=kind, object_id=about, detail=about)
    AttentionCase.objects.create(payment=payment, kind="lost_twice", object_id=over.stripe_dispute_id, detail="over")
    found = [(item.detail, item.deadline) for item in attention(boss) if item.urgent]
    assert found[:2] == [(soon.stripe_dispute_id, soon.due_by), (late.stripe_dispute_id, late.due_by)]
    assert [deadline for _, deadline in found[2:]] == [None, None]


def test_many_cases_are_counted_beyond_those_shown(boss: User, payment: Payment) -> None:
    for number in range(CASES_SHOWN + 3):
        AttentionCase.objects.create(payment=payment, kind="late", object_id=str(number), detail="")
    AttentionCase.objects.create(payment=payment, kind="late", object_id="solved", detail="", solved_at=NOW)
    found = titles(boss)
    assert len(found) == CASES_SHOWN + 1
    assert "3 more cases" in found


def test_many_rows_take_as_many_statements_as_one(boss: User, books: Books, payment: Payment) -> None:
    def statements() -> int:
        user = User.objects.get(pk=boss.pk)
        with CaptureQueriesContext(connection) as found:
            attention(user)
        return len(found)

    AttentionCase.objects.create(payment=payment, kind="late", object_id="1", detail="")
    dead_event()
    make_variant("RARE-0", stock=1)
    one = statements()
    for number in range(2, 30):
        AttentionCase.objects.create(payment=payment, kind="late", object_id=str(number), detail="")
        dead_event(number)
        make_variant(f"RARE-{number}", stock=1)
    assert statements() == one


def test_stock_that_is_held_does_not_count_as_left(boss: User, settings: Any) -> None:
    settings.LOW_STOCK = 3
    plenty, scarce, uncounted, gone = (
        make_variant("PLENTY", stock=20),
        make_variant("SCARCE", stock=20),
        make_variant("DIGITAL", stock=None),
        make_variant("GONE", stock=0),
    )
    type(scarce).objects.filter(pk=scarce.pk).update(held=17)
    type(plenty).objects.filter(pk=plenty.pk).update(held=16)
    type(gone).objects.filter(pk=gone.pk).update(active=False)
    [item] = attention(boss)
    assert item.detail == "SCARCE: 3"
    page = text_of(signed_in(boss).get(item.link))
    assert "SCARCE" in page
    assert {sku for sku in ("PLENTY", "DIGITAL", "GONE") if sku in page} == set()
    assert uncounted.available is None


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        ("viewer", {"Late", "1 of Stripe's", "1 order", "Stock"}),
        ("support", {"Late", "1 of Stripe's", "1 order", "1 e-mail", "Stock"}),
        ("finance", {"Late", "1 of Stripe's", "1 order", "Stock"}),
        ("catalogue", {"Stock"}),
        ("owner", {"Late", "1 of Stripe's", "1 delivery", "1 order", "1 e-mail", "Stock"}),
    ],
)
def test_roles_see_what_they_may(role: str, shown: set[str], books: Books, payment: Payment) -> None:
    AttentionCase.objects.create(payment=payment, kind="late", detail="")
    dead_event()
    dead_delivery()
    failed_mail()
    books.paid(books.order("USD", 500, at=NOW), at=NOW)
    make_variant("RARE-1", stock=1)
    page = text_of(person(role).get("/admin/"))
    everything = {"Late", "1 of Stripe's", "1 delivery", "1 order", "1 e-mail", "Stock"}
    queue = page.partition("Needs attention")[2].partition("Sales in")[0]
    assert {title for title in everything if title in queue} == shown
    assert ("Sales in USD" in page) == (role != "catalogue")
    assert ("never run" in page) == (role != "catalogue")


def test_case_that_is_taken_names_who_has_it(boss: User, payment: Payment) -> None:
    AttentionCase.objects.create(payment=payment, kind="late", detail="", taken_by=boss, taken_at=NOW)
    assert [item.taken_by for item in attention(boss)] == ["boss@example.com"]


def test_last_checks_are_shown_with_what_they_found() -> None:
    client = owner()
    page = text_of(client.get("/admin/checks/"))
    assert page.count("never run") == 4
    assert "It has not run yet." in page
    CheckRun.objects.create(
        kind="endpoint",
        started_at=NOW,
        alive_at=NOW,
        finished_at=NOW,
        ok=False,
        summary={"drift": [{"code": "endpoint_disabled", "message": "we_1 is disabled."}]},
    )
    CheckRun.objects.create(
        kind="reconcile", started_at=NOW, alive_at=NOW, finished_at=NOW, ok=True, summary={"differences": []}
    )
    CheckRun.objects.create(kind="reconcile", started_at=NOW, alive_at=NOW)
    page = text_of(client.get("/admin/checks/"))
    assert "we_1 is disabled." in page
    assert page.count("never run") == 2
    assert "Nothing was found." in page
    assert "not ok" in text_of(client.get("/admin/"))
    assert person("catalogue").get("/admin/checks/").status_code == 403


def test_purge_is_shown_with_what_stays_and_waits_for_nobody() -> None:
    """It begins once a day, so that a day and an hour is no standstill."""
    at = timezone.now() - timedelta(hours=25)
    summary = {"orders": 3, "rows": {}, "stays": {"a case is open": 2}, "whole": True}
    run = CheckRun.objects.create(kind="purge", started_at=at, alive_at=at, finished_at=at, ok=True, summary=summary)
    client = owner()
    page = text_of(client.get("/admin/checks/"))
    assert "Keeping of records ok" in page
    assert "why a case is open orders 2" in page
    assert client.get("/admin/").context["attention"] == []
    at -= timedelta(days=1)
    CheckRun.objects.filter(pk=run.pk).update(started_at=at)
    assert [item.title for item in client.get("/admin/").context["attention"]] == [
        "Keeping of records: not looked at for a day"
    ]
    failed = {**summary, "whole": False, "cut_off": "It failed: IntegrityError."}
    CheckRun.objects.filter(pk=run.pk).update(ok=False, summary=failed)
    assert [item.title for item in client.get("/admin/").context["attention"]] == [
        "Keeping of records: It failed: IntegrityError."
    ]


def test_checks_that_found_something_or_stand_still_wait_for_somebody() -> None:
    now = timezone.now()
    drift = [{"code": "endpoint_disabled", "message": "we_1 is disabled."}]
    runs = {"verify": (now, True, {}), "endpoint": (now, False, {"drift": drift})}
    runs["reconcile"] = (now - timedelta(days=2), True, {})
    for kind, (at, ok, summary) in runs.items():
        CheckRun.objects.create(kind=kind, started_at=at, alive_at=at, finished_at=at, ok=ok, summary=summary)
    page = owner().get("/admin/")
    queue = [(item.title, item.urgent) for item in page.context["attention"]]
    assert queue == [("Webhook endpoint: 1 found", True), ("Agreement with Stripe: not looked at for a day", False)]
    assert 'href="/admin/checks/#endpoint"' in page.content.decode()
