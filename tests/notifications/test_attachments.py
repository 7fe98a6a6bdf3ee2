"""Invoices and credit notes go out with the e-mails that tell of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core import mail as outbox
from django.utils import timezone

from apps.invoices.models import Document
from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.invoices.services.printing import print_document
from apps.notifications import subscribers
from apps.notifications.models import Mail
from apps.notifications.services import queue_mail, send_due
from apps.payment.models import Refund
from apps.payment.services.refunds import facts_of
from tests.payment.test_refunds import give_back, make_staff
from tests.support.orders import make_order, make_payment, make_refund
from tests.support.shop import Shop, Stripe, make_variant, work

pytestmark = pytest.mark.django_db(transaction=True)


def attached() -> list[tuple[str, list[tuple[str, str]]]]:
    """The subject of each e-mail without the order's number, with the names and types of what is attached."""
    return [
        (message.subject.split(" ORD")[0], [(name, kind) for name, _, kind in message.attachments])
        for message in outbox.outbox
    ]


def test_bought_and_given_back_and_come_back_again(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant("MUG", price=1000, stock=10), 3)
    shop.buy(stripe_sandbox, "pm_card_refundFail")
    work()
    give_back(Shop(make_staff()), amount="5.00")
    work()
    stripe_sandbox.settle_later_work()
    work()
    year = timezone.now().year
    pdf = "application/pdf"
    assert attached() == [
        ("Your order", [(f"INV-{year}-00001.pdf", pdf)]),
        ("Your refund for order", [(f"CN-{year}-00001.pdf", pdf)]),
        ("Your refund for order", [(f"CX-{year}-00001.pdf", pdf)]),
    ]
    for message, document in zip(outbox.outbox, Document.objects.order_by("pk"), strict=True):
        [(_, content, _)] = message.attachments
        assert content == print_document(document)
        assert f" {document.number} " in message.body
        assert document.number in message.alternatives[0][0]


def test_mail_waits_for_its_invoice_without_counting_a_try() -> None:
    order = make_order(("Mug", 1, 1000))
    subscribers.order_paid({"order_id": order.pk})
    assert send_due() == 1
    waiting = Mail.objects.get()
    assert (waiting.state, waiting.attempts, waiting.lease_until, waiting.last_error) == ("due", 0, None, "")
    assert timedelta(seconds=15) < waiting.due_at - timezone.now() <= timedelta(seconds=20)
    assert (send_due(), attached()) == (0, [])
    document = issue_invoice(order.pk)
    with time_machine.travel(timezone.now() + timedelta(seconds=21)):
        assert send_due() == 1
    assert attached() == [("Your order", [(f"{document.number}.pdf", "application/pdf")])]


def test_mail_goes_without_its_invoice_when_that_does_not_come() -> None:
    order = make_order(("Mug", 1, 1000))
    subscribers.order_paid({"order_id": order.pk})
    with time_machine.travel(timezone.now() + timedelta(minutes=15)):
        assert send_due() == 1
    assert attached() == [("Your order", [])]
    assert "attached" not in outbox.outbox[0].body


def test_money_that_was_never_on_an_invoice_has_nothing_attached() -> None:
    order = make_order(("Mug", 1, 1000))
    refund = make_refund(order, 1000)
    Refund.objects.update(payment=make_payment(order, applied=False, problem="late"))
    refund.refresh_from_db()
    subscribers.refund_succeeded(facts_of(refund))
    subscribers.refund_failed({**facts_of(refund), "had_succeeded": True})
    assert send_due() == 2
    assert attached() == [("Your refund for order", []), ("Your refund for order", [])]


def test_refund_that_never_went_out_has_no_cancellation() -> None:
    order = make_order(("Mug", 1, 1000))
    refund = make_refund(order, 1000, succeeded=False, source="buyer")
    issue_invoice(order.pk)
    Refund.objects.update(status="failed")
    subscribers.refund_failed({**facts_of(refund), "had_succeeded": False})
    assert send_due() == 1
    assert attached() == [("Your refund for order", [])]


def test_sent_again_is_the_same_paper() -> None:
    order = make_order(("Mug", 1, 1000))
    refund = make_refund(order, 1000)
    issue_for_refund(refund.pk)
    for key in ("1", "2"):
        queue_mail(kind="refund_succeeded", key=key, recipient="a@example.com", ids=facts_of(refund))
    assert send_due() == 2
    first, second = (message.attachments[0][1] for message in outbox.outbox)
    assert first == second
