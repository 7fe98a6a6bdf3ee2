"""Every e-mail once, with working links, however the mail server behaves."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail as outbox
from django.utils import timezone

from apps.accounts.models import User
from apps.notifications import services
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.outbox.services import deliver_due
from apps.payment.models import Payment
from tests.support.shop import Shop, Stripe, make_user, make_variant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bought(shop: Shop, stripe_sandbox: Stripe) -> Order:
    shop.add(make_variant("MUG <b>&", price=1250), 2)
    session_id = shop.checkout().json()["session_id"]
    stripe_sandbox.pay(session_id)
    stripe_sandbox.deliver_new()
    deliver_due()
    return Order.objects.get()


def test_confirmation_is_sent_once_with_a_link_that_opens_the_order(bought: Order, shop: Shop) -> None:
    assert services.send_due() == 1
    assert services.send_due() == 0
    message = outbox.outbox[0]
    assert (message.subject, message.to) == (f"Your order {bought.number}", ["buyer@example.com"])
    assert "2 × Product MUG <b>&: $25.00" in message.body
    html = message.alternatives[0][0]
    assert "Product MUG &lt;b&gt;&amp;" in html
    token = re.search(r"#token=(\w+)", message.body)[1]
    guest = Shop()
    answer = guest.get(f"/api/orders/{bought.number}/", **{"X-Order-Token": token})
    assert (answer.status_code, answer.json()["payment_status"]) == (200, "paid")
    assert token not in str(Mail.objects.values())


def test_mail_server_away_loses_no_mail(bought: Order, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    services.send_due()
    waiting = Mail.objects.get()
    assert (waiting.state, waiting.attempts) == ("due", 1)
    assert "ConnectionRefusedError" in waiting.last_error
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    Mail.objects.update(due_at=timezone.now())
    services.send_due()
    assert Mail.objects.get().state == "sent"
    assert outbox.outbox[0].extra_headers["Message-ID"] == waiting.message_id


def test_mail_that_never_goes_is_given_up_and_can_be_sent_again(bought: Order, monkeypatch: Any) -> None:
    monkeypatch.setattr(services, "render", lambda kind, ids: 1 / 0)
    for _ in range(services.MAX_ATTEMPTS):
        Mail.objects.update(due_at=timezone.now())
        services.send_due()
    assert Mail.objects.get().state == "failed"
    monkeypatch.undo()
    assert services.send_again(Mail.objects.all()) == 1
    services.send_due()
    assert Mail.objects.get().state == "sent"


def test_reset_link_works_and_is_not_stored(shop: Shop) -> None:
    make_user()
    shop.post("/api/auth/password/reset/", {"email": "buyer@example.com"})
    deliver_due()
    services.send_due()
    uid, token = re.search(r"#uid=(\w+)&token=([\w-]+)", outbox.outbox[0].body).groups()
    assert token not in str(Mail.objects.values())
    body = {"uid": uid, "token": token, "password": "a new and longer one"}
    assert shop.post("/api/auth/password/reset/confirm/", body).status_code == 204


def test_failed_bank_debit_is_told_with_a_link_to_try_again(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant(currency="EUR")
    shop.cart_token = shop.post("/api/cart/add/", {"variant_id": mug.pk, "currency": "EUR"}).json()["token"]
    stripe_sandbox.pay(shop.checkout().json()["session_id"], "AT861904300235473202")
    stripe_sandbox.deliver_new()
    stripe_sandbox.sandbox.control("settle")
    stripe_sandbox.deliver_new()
    deliver_due()
    services.send_due()
    assert [message.subject.split(" ORD")[0] for message in outbox.outbox] == [
        "The payment of your order",
        "The payment of your order",
    ]
    assert "is on its way" in outbox.outbox[0].subject
    assert "#token=" in outbox.outbox[1].body


def test_money_that_needs_attention_is_told_to_the_owners(shop: Shop, stripe_sandbox: Stripe) -> None:
    User.objects.create_superuser("owner@example.com", "correct horse battery")
    shop.add(make_variant(price=900))
    body = shop.checkout().json()
    Payment.objects.update(amount=901)
    stripe_sandbox.pay(body["session_id"])
    stripe_sandbox.deliver_new()
    deliver_due()
    services.send_due()
    assert [(m.to, m.subject) for m in outbox.outbox] == [
        (["owner@example.com"], f"A payment needs attention: order {body['order_number']}")
    ]
