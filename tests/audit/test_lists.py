"""The trail's list asks an index, however long the trail is; and what the API and the command line did is in it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.audit.selectors import values_of
from apps.audit.services import record
from apps.catalog.models import Category
from apps.payment.models import Payment, Refund
from apps.payment.services.refunds import ExceedsRemaining
from tests.support.shop import Shop, Stripe, make_user, make_variant
from tests.support.staff import hidden_fields, signed_in, text_of

LIST = "/admin/audit/auditentry/"
calls_stripe = pytest.mark.django_db(transaction=True)


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss@example.com", "correct horse battery")


@pytest.fixture
def entries(boss: User) -> list[AuditEntry]:
    other = make_user("other@example.com")
    cups = Category.objects.create(slug="cups", name="Cups")
    return [
        record(boss, "changed", cups),
        record(other, "deleted", cups),
        record(boss, "exported", other, detail="x"),
    ]


def found(client: Client, **query: str) -> set[int]:
    page = client.get(LIST, query)
    assert page.status_code == 200
    return {entry.pk for entry in page.context["cl"].result_list}


def test_filters_offer_what_is_there_and_find_it(boss: User, entries: list[AuditEntry]) -> None:
    changed, deleted, exported = (entry.pk for entry in entries)
    client = signed_in(boss)
    assert values_of("action") == ["changed", "deleted", "exported"]
    assert values_of("object_type") == ["accounts.user", "catalog.category"]
    page = text_of(client.get(LIST))
    for value in ("changed", "deleted", "exported", "accounts.user", "catalog.category"):
        assert value in page
    assert found(client, action="deleted") == {deleted}
    assert found(client, object_type="catalog.category") == {changed, deleted}
    assert found(client, action="none") == set()
    assert found(client) == {changed, deleted, exported}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("boss@example.com", {0, 2}),
        ("Other@Example.com", {1}),
        ("other@example.com", {1, 2}),
        ("Cups", {0, 1}),
        ("nobody@example.com", set()),
        ("cup", set()),
        ("\x00", {0, 1, 2}),
    ],
)
def test_search_finds_actors_and_objects(boss: User, entries: list[AuditEntry], text: str, wanted: set[int]) -> None:
    assert found(signed_in(boss), q=text) == {entries[number].pk for number in wanted}


def test_object_is_found_by_its_id(boss: User, entries: list[AuditEntry]) -> None:
    cups = Category.objects.get()
    assert entries[0].pk in found(signed_in(boss), q=str(cups.pk))
    assert found(signed_in(boss), q="99999999") == set()


@pytest.mark.parametrize("query", [{}, {"action": "changed"}, {"q": "Cups"}, {"q": "17"}, {"q": "boss@example.com"}])
def test_list_never_reads_the_whole_trail(boss: User, entries: list[AuditEntry], query: dict[str, str]) -> None:
    """The plans of all statements that name the trail: each searches an index, or walks along the primary key."""
    for number in range(120):  # more than a page
        record(boss, "changed", entries[number % 3].actor or boss)
    client = signed_in(boss)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(LIST, query).status_code == 200
    statements = [each["sql"] for each in captured if "audit_auditentry" in each["sql"]]
    assert statements
    if connection.vendor != "sqlite":
        pytest.skip("the planner of a small table scans it all the same")
    for statement in statements:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {statement}".replace("%", "%%"))
                plan = [str(row[-1]) for row in cursor.fetchall()]
            scans = [step for step in plan if step.startswith("SCAN audit_auditentry") and "INDEX" not in step]
            assert not scans or "LIMIT" in statement, (statement, plan)


@calls_stripe
def test_refund_by_the_api_is_in_the_trail_with_its_reason(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG-1", price=1250))
    shop.buy(stripe_sandbox)
    boss = User.objects.create_superuser("boss@example.com", "correct horse battery")
    body: dict[str, Any] = {"payment_id": Payment.objects.get().pk, "amount": "2.50", "reason": "duplicate"}
    client = signed_in(boss)
    refused = client.post("/api/payment/refunds/", {**body, "amount": "99.00"}, content_type="application/json")
    assert refused.json()["code"] == ExceedsRemaining.code
    assert AuditEntry.objects.count() == 0
    body["description"] = "paid twice"
    assert client.post("/api/payment/refunds/", body, content_type="application/json").status_code == 201
    entry, refund = AuditEntry.objects.get(), Refund.objects.get()
    assert (entry.actor, entry.source, entry.action) == (boss, "api", "refund")
    assert (entry.object_type, entry.object_id) == ("payment.refund", str(refund.pk))
    assert (entry.before, entry.after["amount"], entry.reason) == ({}, 250, "duplicate paid twice")


@calls_stripe
def test_order_cancelled_by_staff_is_in_the_trail_and_by_its_buyer_is_not(shop: Shop, stripe_sandbox: Stripe) -> None:
    boss = User.objects.create_superuser("boss@example.com", "correct horse battery")
    for cancels in (shop.client, signed_in(boss)):
        buyer = shop if cancels is shop.client else Shop()
        buyer.add(make_variant(f"MUG-{id(cancels)}"))
        bought = buyer.checkout().json()
        headers = {"X-Order-Token": bought["order_token"]} if cancels is shop.client else {}
        for _ in range(2):
            answer = cancels.post(f"/api/orders/{bought['order_number']}/cancel/", headers=headers)
            assert answer.status_code == 200
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.source, entry.action) == (boss, "api", "cancel")
    assert (entry.object_name, entry.after["status"]) == (bought["order_number"], "cancelled")


@calls_stripe
def test_refund_by_the_command_is_in_the_trail(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG-1", price=1250))
    shop.buy(stripe_sandbox)
    number = Payment.objects.get().pk
    call_command("stripe_refund", payment_id=number, amount="1.00", dry_run=True)
    assert AuditEntry.objects.count() == 0
    call_command("stripe_refund", payment_id=number, amount="1.00")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.source, entry.action) == (None, "command", "refund")
    assert entry.detail.startswith("stripe_refund, by ")
    assert entry.after["amount"] == 100


@pytest.mark.parametrize("reason", [{}, {"trail_reason": ""}, {"trail_reason": "  "}])
def test_deletion_without_a_reason_stays_on_its_page(boss: User, reason: dict[str, str]) -> None:
    """The browser asks for it; whoever sends none all the same is asked again."""
    client = signed_in(boss)
    users = [make_user(f"here{number}@example.com") for number in range(2)]
    chosen = {"action": "delete_selected", "_selected_action": [user.pk for user in users]}
    for path, form in (
        (f"/admin/accounts/user/{users[0].pk}/delete/", {"post": "yes"}),
        ("/admin/accounts/user/", {**chosen, "post": "yes"}),
    ):
        page = client.post(path, {**form, **reason})
        assert page.status_code == 200
        assert "Nothing was deleted. Say why: the reason is kept in the audit trail." in text_of(page)
        assert 'name="trail_reason"' in page.content.decode(), "the page asks once more"
        assert User.objects.filter(pk__in=[user.pk for user in users]).count() == 2
    assert AuditEntry.objects.count() == 0
    asked = hidden_fields(page)
    client.post("/admin/accounts/user/", {**asked, **chosen, "trail_reason": "both of them"})
    assert not User.objects.filter(pk__in=[user.pk for user in users]).exists()


def test_deletion_asks_why_and_keeps_it(boss: User) -> None:
    client = signed_in(boss)
    cups = make_user("gone@example.com")
    path = f"/admin/accounts/user/{cups.pk}/delete/"
    page = client.get(path)
    assert 'name="trail_reason"' in page.content.decode()
    assert "gone@example.com is deleted, and cannot be brought back." in text_of(page)
    client.post(path, {"post": "yes", "trail_reason": "made by mistake"})
    assert AuditEntry.objects.get().reason == "made by mistake"
    many = [make_user(f"gone{number}@example.com").pk for number in range(2)]
    chosen = {"action": "delete_selected", "_selected_action": many}
    page = client.post("/admin/accounts/user/", chosen)
    assert 'name="trail_reason"' in page.content.decode()
    client.post("/admin/accounts/user/", {**chosen, "post": "yes", "trail_reason": "both of them"})
    assert list(AuditEntry.objects.order_by("pk").values_list("reason", flat=True)[1:]) == ["both of them"] * 2
    assert not User.objects.filter(pk__in=many).exists()
