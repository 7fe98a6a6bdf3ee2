"""What keeps a forgotten person forgotten, each guard with its control: switched off, the person is back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.db import transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Erasure, User
from apps.accounts.privacy import account, erasing
from apps.accounts.privacy.erasing import erase
from apps.common.retention import delete_rows
from apps.notifications import services as mails
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.orders.purging import shares
from apps.payment import gateway
from apps.payment.models import Payment, StripeCustomer
from apps.payment.services.charges import ChargeFacts, note_charge
from apps.payment.services.customers import note_change
from apps.payment.services.progress import absorb_session
from apps.payment.services.reconcile import attempts, events, lost, reconcile
from tests.privacy.search import EMAIL, WORD, found_in_database
from tests.support.emptying import without_guards
from tests.support.shop import Shop, Stripe, make_user, make_variant, work

pytestmark = pytest.mark.django_db(transaction=True)

KEPT_BY_LAW = {"invoices_document": ["content"]}


@pytest.fixture
def order(shop: Shop, stripe_sandbox: Stripe) -> Order:
    """A guest's, with the address that Stripe's page asked for. The guest is forgotten."""
    shop.add(make_variant("MUG"))
    answer = shop.buy(stripe_sandbox, email=EMAIL)
    work()
    assert "orders_order" in found_in_database()
    token = {"X-Order-Token": answer["order_token"]}
    shop.client.defaults |= {"HTTP_X_ORDER_TOKEN": token["X-Order-Token"]}
    erase(EMAIL)
    assert found_in_database() == KEPT_BY_LAW
    return Order.objects.get()


def guard_is_off() -> None:
    """Nobody notes that orders and payments are a forgotten person's."""
    Order.objects.update(erased_at=None)
    Payment.objects.update(erased_at=None)


@pytest.mark.parametrize("guarded", [True, False])
def test_session_that_is_looked_at_again(order: Order, guarded: bool) -> None:
    Order.objects.update(shipping_address=None)
    if not guarded:
        guard_is_off()
    absorb_session(gateway.retrieve_checkout_session(order.payments.get().stripe_session_id or ""))
    assert (Order.objects.get().shipping_address is None) is guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_charge_that_is_told_late(order: Order, guarded: bool) -> None:
    if not guarded:
        guard_is_off()
    charge = {
        "id": "ch_late",
        "receipt_url": f"https://pay.stripe.com/receipts/{WORD}",
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}},
    }
    with transaction.atomic():
        note_charge(reference=order.payments.get().reference, charge=ChargeFacts.of_snapshot(charge), event_id="")
    assert ("payment_payment" in found_in_database()) is not guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_token_that_a_guest_still_has(order: Order, shop: Shop, guarded: bool) -> None:
    if not guarded:
        guard_is_off()
    paths = (f"/api/orders/{order.number}/", f"/api/orders/{order.number}/invoice/")
    assert [shop.get(path).status_code for path in paths] == ([404, 404] if guarded else [200, 200])
    shown = shop.get("/api/payment/payments/").json()["count"]
    assert shown == (0 if guarded else 1)


@pytest.mark.parametrize("guarded", [True, False])
def test_mail_to_nobody(order: Order, monkeypatch: pytest.MonkeyPatch, guarded: bool) -> None:
    if not guarded:
        monkeypatch.setattr(mails, "is_pseudonym", lambda address: False)
        monkeypatch.setattr(mails, "DOMAIN", "nowhere")
    before = Mail.objects.count()
    mails.queue_mail(kind="order_shipped", key=str(order.pk), recipient=order.email, ids={"order_id": order.pk})
    assert Mail.objects.count() - before == (0 if guarded else 1)
    assert bool(mails.send_again(Mail.objects.filter(kind="order_confirmation"))) is not guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_customer_at_stripe_is_not_told_of_anybody(stripe_sandbox: Stripe, guarded: bool) -> None:
    person = make_user(EMAIL)
    frontend = Shop(person)
    frontend.add(make_variant("BOOK", kind="digital"))
    frontend.buy(stripe_sandbox)
    erase(EMAIL)
    if not guarded:
        StripeCustomer.objects.update(erased_at=None)
    note_change(person.pk)
    assert StripeCustomer.objects.values_list("stale", flat=True).get() is not guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_account_is_closed_before_anything_else(
    stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """The process dies right after the intention."""
    person = make_user(EMAIL)
    if not guarded:
        monkeypatch.setattr(erasing, "close_account", lambda user_id: None)
    monkeypatch.setattr(erasing, "carry_on", lambda erasure: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        erase(EMAIL)
    assert Erasure.objects.get().finished_at is None
    answer = Shop().post("/api/auth/login/", {"email": EMAIL, "password": "correct horse battery"})
    assert answer.status_code == (401 if guarded else 200)
    assert User.objects.get(pk=person.pk).is_active is not guarded


@pytest.mark.usefixtures("sign_ins_are_counted")
@pytest.mark.parametrize("guarded", [True, False])
def test_sign_ins_of_the_person_go_and_those_of_others_stay(
    stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """At the API and in the admin, refused, failed and well, and in whatever case the address was typed."""
    make_user(EMAIL)
    make_user("friend@example.com")
    for address in (EMAIL, EMAIL.upper(), "friend@example.com"):
        body = {"email": address, "password": "correct horse battery"}
        assert Shop().post("/api/auth/login/", {**body, "password": "wrong"}).status_code == 401
        Client().post("/admin/login/", {"username": address, "password": "wrong"})
        assert Shop().post("/api/auth/login/", body).status_code == 200
    Client().post("/admin/login/", {"username": EMAIL.upper(), "password": "wrong"})
    tables = (AccessAttempt, AccessFailureLog, AccessLog)
    theirs = {model: model.objects.filter(username__iexact=EMAIL).count() for model in tables}
    others = {model: model.objects.exclude(username__iexact=EMAIL).count() for model in tables}
    assert all(theirs.values()), theirs
    assert others[AccessLog] == 1
    if not guarded:
        monkeypatch.setattr(account, "SIGN_INS", {})
    erase(EMAIL)
    left = {model: model.objects.filter(username__iexact=EMAIL).count() for model in tables}
    assert left == (dict.fromkeys(tables, 0) if guarded else theirs)
    assert {model: model.objects.exclude(username__iexact=EMAIL).count() for model in tables} == others


def lose(order: Order) -> None:
    """Its rows are not there any more, as after a backup was restored that is older than the order."""
    with without_guards():
        for share in shares:
            for _, rows in share.rows([order.pk], timezone.now()):
                delete_rows(rows)
    assert Order.objects.count() == Payment.objects.count() == 0


@pytest.mark.parametrize("guarded", [True, False])
def test_order_that_was_lost_after_its_buyer_was_forgotten(
    order: Order, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """`reconcile` finds the session and all its events at Stripe, and neither order nor buyer comes back."""
    for module in (attempts, events):
        monkeypatch.setattr(module, "IN_FLIGHT", timedelta(0))
    if not guarded:
        monkeypatch.setattr(lost, "was_erased", lambda address, *, at: False)
    lose(order)
    assert found_in_database() == {}
    report = reconcile()
    work()
    kinds = {difference.kind: difference for difference in report.differences}
    if not guarded:
        assert kinds["lost_order"].outcome == "mended"
        assert Order.objects.get().email == EMAIL
        return
    assert Order.objects.count() == 0
    assert "its buyer is forgotten" in kinds["unknown_session"].detail
    assert kinds["unknown_session"].outcome == "left"
    assert found_in_database() == {}
