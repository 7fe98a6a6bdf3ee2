"""I26: a person who is forgotten is nowhere but in issued invoices and credit notes.

Every field that a person can fill in holds a word. The whole database and the log are searched for it.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from apps.accounts.models import Erasure, User
from apps.accounts.privacy import erasing
from apps.audit.keeping import CLOSE, OPEN
from apps.orders.models import Order
from apps.payment.models import Payment, PaymentMethod, StripeCustomer, StripeWebhookEvent
from apps.payment.services.reconcile import reconcile
from apps.payment.webhooks import inbox
from tests.privacy.person import Life, live
from tests.privacy.search import EMAIL, WORD, books, erasing_otherwise, found_in_database, logs
from tests.support.backup import Tables, restore, tables
from tests.support.shop import Stripe, deliver, work

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants", "sign_ins_are_counted"),
]

KEPT_BY_LAW = {"invoices_document": ["content"]}


def forget() -> None:
    call_command("erase_customer", EMAIL)
    work()


def deliver_everything(stripe: Stripe, life: Life) -> None:
    """What was delivered before, what never was, and what Stripe told of the erasure itself."""
    assert len(life.late) > 10
    for event in life.late:
        assert deliver(event).status_code == 200, event["type"]
    work()
    for event in stripe.sandbox.events():
        assert deliver(event).status_code == 200, event["type"]
    work()


def test_forgotten_person_is_in_issued_documents_alone(stripe_sandbox: Stripe, track: object) -> None:
    with logs() as told:
        life = live(stripe_sandbox, track)
        assert set(found_in_database()) == {
            "accounts_user",
            "audit_auditentry",
            "axes_accessattempt",
            "axes_accessfailurelog",
            "axes_accesslog",
            "common_idempotencykey",
            "django_admin_log",
            "invoices_document",
            "notifications_mail",
            "orders_order",
            "payment_attentioncase",
            "payment_dispute",
            "payment_payment",
            "payment_refund",
            "payment_stripecustomer",
            "payment_stripewebhookevent",
        }, "the word is everywhere, or the search would prove nothing"
        money, customer = books(), StripeCustomer.objects.get(user__email=EMAIL)
        assert Payment.objects.get(order__user__email="friend@example.com").receipt_url == "", "told too late"

        forget()
        assert found_in_database() == KEPT_BY_LAW
        assert books() == money

        deliver_everything(stripe_sandbox, life)
        assert found_in_database() == KEPT_BY_LAW
        assert not StripeWebhookEvent.objects.exclude(state__in=("done", "ignored")).exists()

        assert reconcile().left == 0
        work()
        assert found_in_database() == KEPT_BY_LAW
    assert WORD not in told.getvalue().lower()
    assert "request_started" in told.getvalue()

    erasure = Erasure.objects.get()
    assert (erasure.finished_at is not None, erasure.addresses, erasure.reason) == (True, [], "")
    person = User.objects.get(pk=erasure.user_id)
    assert (person.email, person.name, person.is_active) == (f"{erasure.pseudonym}@erased.invalid", "", False)
    assert not person.has_usable_password()
    theirs = Payment.objects.filter(order__email=person.email)
    assert theirs.count() == 6, "their own, the guest's, and the friend's that names them"
    assert {payment.last4 for payment in theirs.filter(erased_at__isnull=False)} == {""}
    assert {payment.receipt_url for payment in theirs.filter(erased_at__isnull=False)} == {""}
    assert set(PaymentMethod.objects.values_list("state", "last4", "exp_year")) == {("removed", "", None)}
    assert stripe_sandbox.sandbox.get(f"/v1/customers/{customer.stripe_customer_id}")["deleted"] is True
    friend = Order.objects.get(user__email="friend@example.com")
    assert (friend.email, friend.erased_at) == (person.email, None)
    friends = friend.payments.get()
    assert friends.receipt_url.startswith("http"), "what is the friend's stays, also what comes late"
    assert friends.last4 == "4242"


def put_back(backup: Tables) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(OPEN[connection.vendor])
        restore(backup)
        cursor.execute(OPEN[connection.vendor])
        cursor.execute(CLOSE[connection.vendor])


@pytest.mark.thorough
def test_search_finds_what_one_part_forgot_to_forget(
    stripe_sandbox: Stripe, track: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Controls: with any one part of it switched off, the word is found where that part looks after it."""
    live(stripe_sandbox, track)
    backup = tables()
    left = {
        "payment": {"payment_payment", "payment_refund", "payment_dispute", "payment_stripewebhookevent"},
        "orders": {"orders_order"},
        "account": {"accounts_user", "axes_accessattempt", "axes_accessfailurelog", "axes_accesslog"},
        "mails": {"notifications_mail"},
    }
    for name, expected in left.items():
        with erasing_otherwise(name, lambda subject: None):
            call_command("erase_customer", EMAIL)
        assert expected <= set(found_in_database()), name
        put_back(backup)
    monkeypatch.setattr(erasing, "forget_in_trails", lambda subject, objects: None)
    call_command("erase_customer", EMAIL)
    assert found_in_database().keys() == {"audit_auditentry", "django_admin_log", "invoices_document"}
    put_back(backup)
    monkeypatch.undo()
    forget()
    assert found_in_database() == KEPT_BY_LAW


@pytest.mark.thorough
@pytest.mark.parametrize("guard", ["known by its names", "trimmed before it is read"])
def test_late_events_would_bring_the_person_back(
    stripe_sandbox: Stripe, track: object, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    """Controls: without the guard, what was late is in the inbox again."""
    life = live(stripe_sandbox, track)
    if guard == "known by its names":
        monkeypatch.setattr(erasing, "remember", lambda erasure, names: None)
    else:
        monkeypatch.setattr(inbox, "_forget_person", lambda event: None)
    forget()
    assert found_in_database() == KEPT_BY_LAW
    deliver_everything(stripe_sandbox, life)
    found: Any = found_in_database()
    assert found.keys() == {"invoices_document", "payment_stripewebhookevent"}
