"""Forgetting a person: when it may be done, what cuts it off, and what late news makes of it."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as mailbox
from django.core.management import CommandError, call_command
from django.db import OperationalError, transaction
from django.utils import timezone
from knox.models import AuthToken

from apps.accounts.models import Erasure, User
from apps.accounts.privacy import erasing
from apps.accounts.privacy.erasing import AlreadyAtWork, erase, finish_erasures
from apps.accounts.privacy.holders import find_subject
from apps.accounts.privacy.names import was_erased
from apps.audit.models import AuditEntry
from apps.enrollment.models import Enrollment
from apps.invoices.models import Document
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.outbox.services import deliver_due
from apps.payment import gateway
from apps.payment.models import Payment, PaymentMethod, Refund, StripeCustomer, StripeWebhookEvent
from apps.payment.services.charges import ChargeFacts, note_charge
from apps.payment.services.customers import forget_customer, note_change
from apps.payment.services.progress import absorb_session
from apps.payment.services.provider import ask_stripe
from apps.payment.services.settlement import PaidFacts
from tests.enrollment.courses import outbox_at_rest
from tests.payment.test_intents import ADDRESS
from tests.payment.test_refunds import make_staff
from tests.payment.test_settlement import settle_payment
from tests.privacy.search import books, erasing_otherwise
from tests.support.shop import Shop, Stripe, in_parallel, make_user, make_variant, work
from tests.support.staff import staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

ADA = "ada@example.com"


@pytest.fixture
def ada(db: None) -> User:
    return make_user(ADA)


@pytest.fixture
def frontend(ada: User) -> Shop:
    return Shop(ada)


@pytest.fixture
def bought(frontend: Shop, stripe_sandbox: Stripe) -> Order:
    """One digital thing, paid on Stripe's page."""
    frontend.add(make_variant("BOOK", kind="digital"))
    return Order.objects.get(number=frontend.buy(stripe_sandbox)["order_number"])


@pytest.fixture
def guest(shop: Shop, stripe_sandbox: Stripe) -> tuple[Order, dict[str, str]]:
    """A guest's paid order and the header that opens it."""
    shop.add(make_variant("MUG"))
    answer = shop.buy(stripe_sandbox, email="Ada@Example.com")
    return Order.objects.get(number=answer["order_number"]), {"X-Order-Token": answer["order_token"]}


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("erase_customer", *arguments, stdout=out)
    return out.getvalue()


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as refusal:
        command(*arguments)
    assert refusal.value.returncode == 1
    return str(refusal.value)


def everything() -> dict[str, Any]:
    """Every row that an erasure may touch."""
    models = (User, Order, Payment, Refund, Mail, StripeCustomer, PaymentMethod, StripeWebhookEvent, AuthToken, Erasure)
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}


def test_dry_run_tells_what_would_be_done_and_changes_nothing(
    bought: Order, guest: Any, stripe_sandbox: Stripe
) -> None:
    before = everything()
    told = command(ADA, "--dry-run")
    assert everything() == before
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert "2 orders: e-mail and shipping address, tracking number; amounts, lines and taxes stay" in lines
    assert "2 payments: last four digits, receipt, what Stripe was asked for; amounts and ids stay" in lines
    assert "2 invoices and credit notes: kept by law, as they were issued" in lines
    assert "1 account: closed; e-mail address, name and language" in lines
    assert "1 customers at Stripe: deleted there" in lines
    assert f"Mind: Order {guest[0].number} is paid and was not sent; without its address it cannot be." in lines
    assert lines[-1] == "Nothing was changed."
    assert not any(line.startswith("0 ") for line in lines)


def test_account_is_closed_and_amounts_and_documents_stay(
    bought: Order, frontend: Shop, ada: User, stripe_sandbox: Stripe
) -> None:
    token = AuthToken.objects.create(ada)[1]
    money, invoice = books(), Document.objects.get()
    told = command(ADA.upper())
    erasure = Erasure.objects.get()
    assert told == f"{erasure.pseudonym} stands for this person from now on.\n"
    ada.refresh_from_db()
    assert (ada.email, ada.is_active) == (f"{erasure.pseudonym}@erased.invalid", False)
    assert frontend.get("/api/orders/").status_code == 401, "the session is dead"
    assert Shop().get("/api/auth/me/", Authorization=f"Token {token}").status_code == 401
    wrong = Shop().post("/api/auth/login/", {"email": ADA, "password": "correct horse battery"})
    assert wrong.status_code == 401
    assert books() == money
    assert Document.objects.get().content == invoice.content
    assert ADA in invoice.content
    bought.refresh_from_db()
    assert (bought.email, bought.erased_at is not None, bought.is_paid) == (ada.email, True, True)
    entry = AuditEntry.objects.get(action="erased")
    assert (entry.object_type, entry.object_name, entry.source) == ("accounts.erasure", erasure.pseudonym, "command")


def test_order_token_of_a_forgotten_guest_opens_nothing(
    guest: tuple[Order, dict[str, str]], shop: Shop, stripe_sandbox: Stripe
) -> None:
    order, token = guest
    path = f"/api/orders/{order.number}/"
    payment = order.payments.get()
    assert shop.get(path, **token).status_code == 200
    assert shop.get(f"{path}invoice/", **token).status_code == 200
    command(ADA)
    later = Shop(make_user("later@example.com"))
    for reader in (Shop(), later):
        assert reader.get(path, **token).status_code == 404
        assert reader.get(f"{path}invoice/", **token).status_code == 404
        assert reader.get(f"/api/payment/payments/{payment.pk}/", **token).status_code == 404
        assert reader.get("/api/payment/payments/", **token).json()["count"] == 0
        assert reader.post(f"{path}claim/", **token).status_code in (401, 404)
    order.refresh_from_db()
    assert (order.user_id, order.cart_id) == (None, None)
    document = Document.objects.get()
    page = f"/admin/invoices/document/{document.pk}/download/"
    assert staff("view_document").get(page).status_code == 200, "kept by law, read with a permission of their own"
    assert staff(email="other@example.com").get(page).status_code == 403


@pytest.mark.parametrize(
    "state", ["waits for its payment", "is on its way", "nobody has decided", "dispute", "refund on its way"]
)
def test_what_is_open_is_named_and_nothing_is_changed(
    state: str, frontend: Shop, stripe_sandbox: Stripe, bought: Order
) -> None:
    sentence = state
    if state in ("waits for its payment", "is on its way"):
        frontend.post("/api/cart/add/", {"variant_id": make_variant("PEN", currency="EUR").pk, "currency": "EUR"})
        answer = frontend.checkout().json()
        number = answer["order_number"]
        if state == "is on its way":
            stripe_sandbox.pay(answer["session_id"], "AT611904300234573201")
            stripe_sandbox.digest()
    else:
        number = bought.number
        payment = bought.payments.get()
        if state == "nobody has decided":
            frontend.post("/api/payment/refunds/", {"payment_id": payment.pk})
        elif state == "refund on its way":
            sentence = "A refund of 12.50 USD"
            stripe_sandbox.sandbox.faults("500", path="/v1/refunds", times=None)
            Shop(make_staff()).post("/api/payment/refunds/", {"payment_id": payment.pk})
        else:
            sentence = "A dispute of 12.50 USD"
            stripe_sandbox.sandbox.control(f"charges/{payment.stripe_payment_intent_id}/dispute")
            stripe_sandbox.digest()
    before = everything()
    for arguments in ((ADA,), (ADA, "--dry-run")):
        told = refused(*arguments)
        assert number in told
        assert sentence in told
    assert everything() == before
    stripe_sandbox.sandbox.control("rules/clear")


def test_nobody_and_staff_are_refused(stripe_sandbox: Stripe) -> None:
    assert "Nothing is held" in refused("nobody@example.com")
    make_staff()
    assert "member of staff" in refused("staff@example.com")
    assert Erasure.objects.count() == 0


def test_whoever_is_forgotten_may_come_back_as_somebody_new(bought: Order, stripe_sandbox: Stripe, ada: User) -> None:
    command(ADA)
    erased = Erasure.objects.get()
    assert "Nothing is held" in refused(ADA)
    again = Shop()
    answer = again.post("/api/auth/register/", {"email": ADA, "password": "correct horse battery", "name": "Ada"})
    assert answer.status_code == 201
    back = Shop(User.objects.get(email=ADA))
    back.add(make_variant("PEN", kind="digital"))
    second = Order.objects.get(number=back.buy(stripe_sandbox)["order_number"])
    assert (second.email, second.erased_at) == (ADA, None)
    assert StripeWebhookEvent.objects.filter(about=second.payments.get().reference, payload__contains=ADA).exists()
    assert was_erased(ADA, at=erased.started_at - timedelta(seconds=1))
    assert not was_erased(ADA, at=second.created_at)
    command(ADA)
    assert Erasure.objects.count() == 2
    assert not Order.objects.filter(email=ADA).exists()


def test_keys_that_were_replaced_still_know_the_address(bought: Order, settings: Any) -> None:
    command(ADA)
    at = Erasure.objects.get().started_at
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "x" * 50
    assert was_erased(ADA, at=at)
    settings.SECRET_KEY_FALLBACKS = []
    assert not was_erased(ADA, at=at)


def test_stripe_that_is_away_is_asked_later(bought: Order, stripe_sandbox: Stripe) -> None:
    customer = StripeCustomer.objects.get()
    stripe_sandbox.sandbox.faults("500", path="/v1/customers", times=None)
    told = command(ADA)
    erasure = Erasure.objects.get()
    assert "not all is done" in told
    assert (erasure.finished_at, erasure.addresses) == (None, [ADA])
    bought.refresh_from_db()
    assert bought.erased_at is not None, "what is here is done"
    work()
    assert Erasure.objects.get().finished_at is None
    stripe_sandbox.sandbox.control("rules/clear")
    Erasure.objects.update(due_at=timezone.now())
    assert finish_erasures() == 1
    erasure.refresh_from_db()
    assert (erasure.finished_at is not None, erasure.addresses, erasure.reason) == (True, [], "")
    assert stripe_sandbox.sandbox.get(f"/v1/customers/{customer.stripe_customer_id}")["deleted"] is True
    assert finish_erasures() == 0


def test_customer_whose_creation_nobody_heard_of_is_deleted_too(
    bought: Order, stripe_sandbox: Stripe, ada: User
) -> None:
    known = StripeCustomer.objects.get()
    lost = stripe_sandbox.sandbox.post("/v1/customers", email=ADA, **{"metadata[proshop_user]": str(ada.pk)})
    other = stripe_sandbox.sandbox.post("/v1/customers", email=ADA, **{"metadata[proshop_user]": "999"})
    command(ADA)
    gone = {
        name: stripe_sandbox.sandbox.get(f"/v1/customers/{name}").get("deleted", False)
        for name in (known.stripe_customer_id, lost["id"], other["id"])
    }
    assert list(gone.values()) == [True, True, False]


@pytest.mark.parametrize("step", ["invoices", "payment", "orders", "cart", "account", "mails", "stripe"])
def test_crash_in_any_step_is_finished_by_work(step: str, bought: Order, guest: Any, stripe_sandbox: Stripe) -> None:
    def crash(subject: Any) -> None:
        raise KeyboardInterrupt

    with erasing_otherwise(step, crash), pytest.raises(KeyboardInterrupt):
        command(ADA)
    erasure = Erasure.objects.get()
    assert (erasure.finished_at, erasure.addresses) == (None, [ADA])
    with pytest.raises(AlreadyAtWork):
        erase(ADA)
    assert finish_erasures() == 0, "the lease of the process that died still holds"
    Erasure.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert finish_erasures() == 1
    assert not User.objects.filter(email=ADA).exists()
    assert not Mail.objects.filter(recipient__icontains="ada").exists()
    assert set(Order.objects.values_list("email", flat=True)) == {f"{erasure.pseudonym}@erased.invalid"}
    assert not Payment.objects.filter(erased_at=None).exists()


def test_failure_is_kept_without_what_it_said_and_tried_again(bought: Order, stripe_sandbox: Stripe) -> None:
    def fail(subject: Any) -> None:
        raise OperationalError(f"disk full while {ADA} was forgotten")

    with erasing_otherwise("mails", fail):
        assert "It failed: OperationalError." in command(ADA)
    assert Erasure.objects.get().reason == "It failed: OperationalError."
    assert command(ADA).endswith("stands for this person from now on.\n"), "asked again, it goes on at once"
    assert Erasure.objects.get().finished_at is not None


def test_order_that_is_opened_meanwhile_is_waited_for(
    bought: Order, frontend: Shop, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend.add(make_variant("PEN", kind="digital"))
    number = frontend.checkout().json()["order_number"]
    assert frontend.post(f"/api/orders/{number}/cancel/").status_code == 200
    monkeypatch.setattr(erasing, "obstacles_of", lambda subject: [])
    Order.objects.filter(number=number).update(
        status="pending", payment_status="pending", ended="", expires_at=timezone.now() + timedelta(minutes=5)
    )
    assert "An order was opened again meanwhile." in command(ADA)
    monkeypatch.undo()
    Erasure.objects.update(due_at=timezone.now())
    assert finish_erasures() == 0
    assert number in Erasure.objects.get().reason
    Order.objects.filter(number=number).update(
        status="cancelled", payment_status="failed", ended="by_person", expires_at=None
    )
    Erasure.objects.update(due_at=timezone.now())
    assert finish_erasures() == 1
    assert not Order.objects.filter(erased_at=None).exists()


@pytest.mark.race
def test_two_at_once_are_one_erasure(bought: Order, stripe_sandbox: Stripe) -> None:
    results = in_parallel([lambda: erase(ADA)] * 4, threads=4)
    assert Erasure.objects.count() == 1
    assert sum(isinstance(result, Erasure) for result in results) >= 1
    assert {type(result).__name__ for result in results} <= {"Erasure", "AlreadyAtWork", "NothingHeld"}
    assert Erasure.objects.get().finished_at is not None


def test_nothing_is_learned_of_a_forgotten_buyer(guest: tuple[Order, Any], stripe_sandbox: Stripe) -> None:
    """Stripe still knows: whoever asks it about an old session, or hears of it late, keeps nothing of that."""
    order = guest[0]
    payment = order.payments.get()
    assert order.shipping_address is not None
    assert payment.receipt_url
    command(ADA)
    told = gateway.retrieve_checkout_session(payment.stripe_session_id or "")
    assert (told.email.lower(), told.shipping_address is not None) == (ADA, True)
    absorb_session(told)
    ask_stripe(Payment.objects.get())
    charge = {
        "id": "ch_late",
        "payment_intent": payment.stripe_payment_intent_id,
        "receipt_url": "https://pay.stripe.com/receipts/ada",
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}},
    }
    with transaction.atomic():
        note_charge(reference=payment.reference, charge=ChargeFacts.of_snapshot(charge), event_id="")
    order.refresh_from_db()
    payment.refresh_from_db()
    assert (order.email.endswith("@erased.invalid"), order.shipping_address) == (True, None)
    assert (payment.last4, payment.receipt_url) == ("", "")


def test_late_money_for_a_forgotten_order_brings_nobody_back(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG"))
    answer = shop.checkout(email=ADA).json()
    path, token = f"/api/orders/{answer['order_number']}/", {"X-Order-Token": answer["order_token"]}
    assert shop.post(f"{path}cancel/", **token).status_code == 200
    command(ADA)
    payment = Payment.objects.get()
    facts = PaidFacts(
        reference=payment.reference,
        amount=payment.amount,
        currency="USD",
        payment_intent_id="pi_late",
        email=ADA,
        shipping_address={**ADDRESS, "name": "Ada"},
    )
    settle_payment(facts)
    work()
    order = Order.objects.get()
    assert order.is_paid
    assert (order.email.endswith("@erased.invalid"), order.shipping_address) == (True, None)
    assert not Mail.objects.filter(kind="order_confirmation").exists()
    assert mailbox.outbox == []


def test_customer_of_a_forgotten_person_is_neither_made_again_nor_changed(
    bought: Order, ada: User, stripe_sandbox: Stripe
) -> None:
    customer_id = str(StripeCustomer.objects.get().stripe_customer_id)
    command(ADA)
    assert "customer.deleted" in stripe_sandbox.digest()
    note_change(ada.pk)
    forget_customer(customer_id)
    work()
    customer = StripeCustomer.objects.get()
    assert (customer.stripe_customer_id, customer.generation) == (customer_id, 1)
    assert (customer.request_params, customer.stale) == ("{}", False)


def test_mail_that_waits_is_not_sent_and_cannot_be_sent_again(ada: User, stripe_sandbox: Stripe) -> None:
    Shop().post("/api/auth/password/reset/", {"email": ADA})
    assert deliver_due() == 1
    mail = Mail.objects.get()
    assert (mail.state, mail.recipient) == ("due", ADA)
    command(ADA)
    mail.refresh_from_db()
    assert (mail.state, mail.last_error) == ("failed", "Its reader is forgotten.")
    client = staff("change_mail", "view_mail")
    client.post("/admin/notifications/mail/", {"action": "send_again", "_selected_action": [mail.pk]})
    work()
    mail.refresh_from_db()
    assert mail.state == "failed"
    assert mailbox.outbox == []


def test_documents_that_are_due_are_issued_while_the_buyer_is_known(frontend: Shop, stripe_sandbox: Stripe) -> None:
    """The outbox had not come to it yet."""
    frontend.add(make_variant("BOOK", kind="digital"))
    with outbox_at_rest():
        frontend.buy(stripe_sandbox)
    assert Document.objects.count() == 0
    command(ADA)
    work()
    assert ADA in Document.objects.get().content
    assert not Mail.objects.exists()


def test_learning_goes_on_under_the_pseudonym(stripe_sandbox: Stripe, track: Any, frontend: Shop, ada: User) -> None:
    started = frontend.post(f"/api/enrollment/tracks/{track.code}/checkout/").json()
    stripe_sandbox.pay(started["session_id"])
    stripe_sandbox.digest()
    command(ADA)
    enrollment = Enrollment.objects.get()
    assert (enrollment.user_id, enrollment.status) == (ada.pk, "enrolled")
    refund = Shop(make_staff()).post("/api/payment/refunds/", {"payment_id": Payment.objects.get().pk})
    assert refund.status_code == 201
    stripe_sandbox.digest()
    enrollment.refresh_from_db()
    assert enrollment.status == "withdrawn"
    assert not Mail.objects.filter(kind="withdrawn").exists(), "nobody is there to be told"
    note = Document.objects.get(kind="credit_note")
    assert ADA in note.content, "a credit note names the buyer as its invoice does"


def test_friend_whose_order_names_the_person_keeps_what_is_theirs(stripe_sandbox: Stripe, ada: User) -> None:
    """The order names Ada's address, and a friend paid for Ada's own: neither makes the friend's cards hers."""
    friend = Shop(make_user("friend@example.com"))
    friend.add(make_variant("PEN", kind="digital"))
    bought = friend.checkout(email=ADA, save_payment_method=True).json()
    stripe_sandbox.pay(bought["session_id"], "pm_card_mastercard")
    stripe_sandbox.digest()
    gift = Shop()
    gift.add(make_variant("MUG"))
    placed = gift.post("/api/orders/", {"email": ADA, "shipping_address": ADDRESS}).json()
    token = {"X-Order-Token": placed["order_token"]}
    session = friend.post("/api/payment/checkout/", {"order_number": placed["number"]}, **token).json()["session_id"]
    stripe_sandbox.pay(session)
    stripe_sandbox.digest()
    command(ADA)
    order = Order.objects.get(number=bought["order_number"])
    payment = order.payments.get()
    assert (order.email.endswith("@erased.invalid"), order.erased_at) == (True, None)
    assert (payment.last4, payment.erased_at, payment.receipt_url != "") == ("4444", None, True)
    assert friend.get(f"/api/orders/{order.number}/").status_code == 200
    assert Order.objects.get(number=placed["number"]).erased_at is not None
    card = PaymentMethod.objects.get(user__email="friend@example.com").stripe_payment_method_id
    stripe_sandbox.sandbox.control(f"payment_methods/{card}/replace")
    stripe_sandbox.digest()
    told = stripe_sandbox.sandbox.get(f"/v1/payment_methods/{card}")["card"]["last4"]
    assert [method["last4"] for method in friend.get("/api/payment/methods/").json()] == [told]


def test_address_with_an_account_of_its_own_is_that_accounts(stripe_sandbox: Stripe, frontend: Shop) -> None:
    """Ada typed a friend's address into her order. The friend's sign-ins are the friend's."""
    friend = make_user("friend@example.com")
    frontend.add(make_variant("PEN", kind="digital"))
    order = frontend.checkout(email=friend.email).json()["order_number"]
    frontend.post(f"/api/orders/{order}/cancel/")
    assert find_subject(ADA).addresses == {ADA}
    command(ADA)
    friend.refresh_from_db()
    assert (friend.email, friend.is_active) == ("friend@example.com", True)
