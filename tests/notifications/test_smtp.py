"""With a mail server at the other end of the line: away for an hour, breaking off, refusing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from apps.accounts.models import User
from apps.invoices.services.issuing import issue_invoice
from apps.invoices.services.printing import print_document
from apps.notifications import subscribers
from apps.notifications.models import Mail
from apps.notifications.services import queue_mail, send_again, send_due
from tests.support.orders import make_order
from tests.support.shop import make_user
from tests.support.smtp import MailServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    with MailServer() as running:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", running.port, 5
        yield running


def queue(count: int, start: int = 0) -> None:
    user = User.objects.first() or make_user()
    for number in range(start, start + count):
        recipient = f"reader{number}@example.com"
        queue_mail(kind="password_reset", key=str(number), recipient=recipient, ids={"user_id": user.pk})


def work_until(moment: datetime, *, since: datetime) -> None:
    """What `work` does in this time, a round every fifteen seconds."""
    now = since
    while now <= moment:
        with time_machine.travel(now, tick=False):
            send_due()
        now += timedelta(seconds=15)


def test_message_arrives_with_text_html_and_invoice(server: MailServer) -> None:
    document = issue_invoice(make_order(("Tasse", 1, 1000), currency="EUR", language="de").pk)
    subscribers.order_paid({"order_id": document.order_id})
    assert send_due() == 1
    [message] = server.received
    assert message["To"] == "buyer@example.com"
    assert message["Subject"] == f"Ihre Bestellung {document.order.number}"
    assert message["Message-ID"] == Mail.objects.get().message_id
    plain, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    assert "1 × Tasse: 10,00\xa0€" in plain.get_content()
    assert '<html lang="de">' in html.get_content()
    [attached] = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == (f"{document.number}.pdf", "application/pdf")
    assert attached.get_content() == print_document(document)


def test_server_away_for_an_hour_loses_none(server: MailServer) -> None:
    began = timezone.now()
    queue(8)
    server.go_away()
    work_until(began + timedelta(minutes=30), since=began)
    with time_machine.travel(began + timedelta(minutes=30), tick=False):
        queue(4, start=8)
    work_until(began + timedelta(minutes=60), since=began + timedelta(minutes=30))
    assert server.received == []
    assert set(Mail.objects.values_list("state", flat=True)) == {"due"}
    assert all("ConnectionRefusedError" in error for error in Mail.objects.values_list("last_error", flat=True))

    server.come_back()
    work_until(began + timedelta(minutes=105), since=began + timedelta(minutes=60))
    assert Counter(message["To"] for message in server.received) == {f"reader{n}@example.com": 1 for n in range(12)}
    assert set(Mail.objects.values_list("state", "last_error")) == {("sent", "")}
    assert {message["Message-ID"] for message in server.received} == set(
        Mail.objects.values_list("message_id", flat=True)
    )


def test_lost_answer_sends_a_copy_that_mailboxes_know_as_one(server: MailServer) -> None:
    queue(1)
    server.breaks = 1
    send_due()
    waiting = Mail.objects.get()
    assert (waiting.state, waiting.attempts) == ("due", 1)
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        send_due()
    assert Mail.objects.get().state == "sent"
    assert [message["Message-ID"] for message in server.received] == [waiting.message_id] * 2


def test_address_that_is_refused_is_given_up_and_harms_no_other(server: MailServer) -> None:
    began = timezone.now()
    queue(2)
    server.refused = {"reader0@example.com"}
    work_until(began + timedelta(hours=5), since=began)
    refused, taken = Mail.objects.order_by("key")
    assert (refused.state, refused.attempts, "nobody of that name" in refused.last_error) == ("failed", 12, True)
    assert (taken.state, taken.attempts) == ("sent", 1)
    server.refused = set()
    assert send_again(Mail.objects.filter(state="failed")) == 1
    with time_machine.travel(began + timedelta(hours=5)):
        send_due()
    assert Counter(message["To"] for message in server.received) == {
        "reader0@example.com": 1,
        "reader1@example.com": 1,
    }
