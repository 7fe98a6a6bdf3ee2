"""What the e-mails say, and what they must not do."""

from __future__ import annotations

import logging
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
from django.core import mail as outbox
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.notifications import services, subscribers
from apps.notifications.content import KINDS, render
from apps.notifications.models import Mail
from apps.orders.models import Order, OrderItem
from apps.payment.models import AttentionCase, Payment
from tests.support.shop import make_user, make_variant

pytestmark = pytest.mark.django_db


@pytest.fixture
def order() -> Order:
    """A failed order over 25.00 + 4.90 - 1.00 = 28.90 USD."""
    variant = make_variant(price=1250)
    placed = Order.objects.create(
        number="ORD-20260101-00001",
        email="buyer@example.com",
        currency="USD",
        subtotal=2500,
        shipping=490,
        discount=100,
        total=2890,
        status="cancelled",
        payment_status="failed",
        ended="payment_failed",
    )
    OrderItem.objects.create(
        order=placed,
        variant=variant,
        sku=variant.sku,
        name="Mug <script>",
        kind="physical",
        quantity=2,
        unit_price=1250,
        line_total=2500,
    )
    return placed


def test_every_kind_has_its_words() -> None:
    assert set(KINDS) == set(Mail.Kind)


def test_lines_and_charges_add_up_to_the_total(order: Order) -> None:
    mail = render("order_confirmation", {"order_id": order.pk})
    assert mail.subject == "Your order ORD-20260101-00001"
    link = f"http://localhost:8000/orders/ORD-20260101-00001#token={order.token}"
    assert (
        mail.text
        == f"""\
Thank you for your order

Order ORD-20260101-00001 is paid. Here is what you bought.

We write again when it is on its way.

2 × Mug <script>: $25.00
Discount: -$1.00
Shipping: $4.90

Total: $28.90

See your order: {link}

Proshop
http://localhost:8000

"""
    )
    assert "<script>" not in mail.html
    assert "2 × Mug &lt;script&gt;" in mail.html
    assert "$28.90" in mail.html
    assert f'href="{link}"' in mail.html


def test_failed_payment_is_told_unless_it_is_tried_again_already(order: Order) -> None:
    Order.objects.update(status="pending", payment_status="pending", expires_at=timezone.now())
    subscribers.order_payment_failed({"order_id": order.pk})
    assert Mail.objects.count() == 0
    Order.objects.update(status="cancelled", payment_status="failed", expires_at=None)
    for _ in range(2):
        subscribers.order_payment_failed({"order_id": order.pk})
    services.send_due()
    assert [(m.to, m.subject) for m in outbox.outbox] == [
        (["buyer@example.com"], "The payment of your order ORD-20260101-00001 failed")
    ]
    assert f"Try again: http://localhost:8000/orders/{order.number}#token={order.token}" in outbox.outbox[0].body


def test_link_of_an_attention_mail_opens_the_case(order: Order) -> None:
    payment = Payment.objects.create(order=order, attempt=1, amount=2890, currency="USD", reference="r", livemode=False)
    case = AttentionCase.objects.create(payment=payment, kind="late", detail="came late & <b>bold</b>")
    mail = render("attention", {"payment_id": payment.pk, "kind": "late"})
    path = f"/admin/payment/attentioncase/{case.pk}/change/"
    assert f"http://localhost:8000{path}" in mail.text
    assert "came late &amp; &lt;b&gt;bold&lt;/b&gt;" in mail.html
    owner = Client()
    owner.force_login(
        User.objects.create_superuser("owner@example.com", "correct horse battery"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    assert owner.get(path).status_code == 200


def test_mails_ask_for_no_automatic_answer() -> None:
    services.queue_mail(kind="password_reset", key="1", recipient="a@example.com", ids={"user_id": make_user().pk})
    services.send_due()
    headers = outbox.outbox[0].message()
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["Message-ID"] == Mail.objects.get().message_id


def test_addresses_stay_out_of_the_log(monkeypatch: Any, caplog: Any) -> None:
    def refuse(message: Any) -> int:
        raise SMTPRecipientsRefused({"secret@example.com": (550, b"no such person")})

    monkeypatch.setattr(services.EmailMultiAlternatives, "send", refuse)
    services.queue_mail(kind="password_reset", key="1", recipient="secret@example.com", ids={"user_id": make_user().pk})
    with caplog.at_level(logging.DEBUG):
        services.send_due()
    assert "mail_failed" in caplog.text
    assert "secret@example.com" not in caplog.text
    assert [record.exc_info for record in caplog.records] == [None]
    assert "secret@example.com" in Mail.objects.get().last_error


def test_failure_after_another_process_took_over_changes_nothing(monkeypatch: Any) -> None:
    def slow(message: Any) -> int:
        """The lease runs out meanwhile, and another process sends the mail."""
        Mail.objects.update(state="sent", attempts=2, lease_until=None)
        raise TimeoutError

    monkeypatch.setattr(services.EmailMultiAlternatives, "send", slow)
    services.queue_mail(kind="password_reset", key="1", recipient="a@example.com", ids={"user_id": make_user().pk})
    services.send_due()
    assert Mail.objects.values_list("state", "attempts", "last_error").get() == ("sent", 2, "")
