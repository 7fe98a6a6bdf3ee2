"""Queueing and sending: once per kind and key, by one process, whatever stands in the rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core import mail as outbox
from django.db import transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.notifications import services, subscribers
from apps.notifications.content import KINDS
from apps.notifications.letter import Letter
from apps.notifications.models import Mail
from apps.notifications.services import LEASE, queue_mail, send_due
from tests.support.shop import in_parallel, make_user

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/notifications/mail/"


def queue(key: str = "1", recipient: str = "buyer@example.com") -> None:
    user, _ = User.objects.get_or_create(email="buyer@example.com")
    queue_mail(kind="password_reset", key=key, recipient=recipient, ids={"user_id": user.pk})


def make_due() -> None:
    Mail.objects.update(due_at=timezone.now(), lease_until=None)


def test_kind_and_key_make_one_mail() -> None:
    queue()
    queue()
    queue("2")
    assert sorted(Mail.objects.values_list("key", flat=True)) == ["1", "2"]
    assert len(set(Mail.objects.values_list("message_id", flat=True))) == 2


def test_nobody_to_write_to_makes_no_mail() -> None:
    queue(recipient="")
    assert Mail.objects.count() == 0


def test_mail_goes_with_what_the_caller_did_or_not_at_all() -> None:
    with transaction.atomic():
        queue()
        transaction.set_rollback(True)
    assert Mail.objects.count() == 0


def test_oldest_are_sent_first_and_no_more_than_asked_for() -> None:
    for number in range(5):
        queue(str(number))
    assert send_due(limit=3) == 3
    assert sorted(Mail.objects.filter(state="sent").values_list("key", flat=True)) == ["0", "1", "2"]
    assert send_due(limit=3) == 2


def test_claimed_mail_is_left_alone_until_its_lease_ends() -> None:
    queue()
    Mail.objects.update(lease_until=timezone.now() + LEASE, attempts=1)
    assert send_due() == 0
    Mail.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert send_due() == 1
    sent = Mail.objects.get()
    assert (sent.state, sent.attempts, sent.lease_until) == ("sent", 2, None)


def test_no_transaction_is_open_while_the_mail_server_is_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    open_then: list[bool] = []

    def note(message: Any) -> int:
        open_then.append(transaction.get_connection().in_atomic_block)
        return 1

    monkeypatch.setattr(services.EmailMultiAlternatives, "send", note)
    queue()
    send_due()
    assert open_then == [False]


def test_each_failure_waits_longer_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(message: Any) -> int:
        raise ConnectionRefusedError("nobody there")

    monkeypatch.setattr(services.EmailMultiAlternatives, "send", refuse)
    queue()
    waits = []
    for _ in range(services.MAX_ATTEMPTS - 1):
        make_due()
        before = timezone.now()
        assert send_due() == 1
        waits.append(round((Mail.objects.get().due_at - before).total_seconds()))
        assert Mail.objects.get().state == "due"
    assert waits == [20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]
    make_due()
    send_due()
    failed = Mail.objects.get()
    assert (failed.state, failed.attempts, failed.last_error) == ("failed", 12, "ConnectionRefusedError: nobody there")
    make_due()
    assert send_due() == 0


def test_one_mail_that_cannot_go_does_not_hold_up_the_others() -> None:
    queue("1", "a@example.com\nBcc: b@example.com")
    queue("2")
    assert send_due() == 2
    assert [message.to for message in outbox.outbox] == [["buyer@example.com"]]
    assert Mail.objects.get(key="1").last_error.startswith("BadHeaderError")


def test_subject_stays_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(user: User, ids: Any) -> Letter:
        return Letter(subject="About x\r\nBcc: b@example.com", title="", paragraphs=[])

    monkeypatch.setitem(KINDS, "password_reset", KINDS["password_reset"]._replace(write=write))
    queue()
    send_due()
    assert outbox.outbox[0].subject == "About x Bcc: b@example.com"
    assert outbox.outbox[0].recipients() == ["buyer@example.com"]


def test_attention_is_told_once_to_each_active_person_who_may_act_on_it() -> None:
    permission = Permission.objects.get(codename="change_attentioncase")
    support = Group.objects.create(name="looks after cases")
    support.permissions.add(permission)
    for name in ("one", "gone"):
        User.objects.create_superuser(f"{name}@example.com", "correct horse battery")
    for name in ("support", "both", "clerk", "former"):
        User.objects.create_user(f"{name}@example.com", is_staff=name != "former")
    for name in ("support", "both"):
        User.objects.get(email=f"{name}@example.com").groups.add(support)
    for name in ("both", "former"):
        User.objects.get(email=f"{name}@example.com").user_permissions.add(permission)
    User.objects.filter(email="gone@example.com").update(is_active=False)
    for _ in range(2):
        subscribers.attention({"payment_id": 1, "kind": "amount_mismatch"})
    told = sorted(Mail.objects.values_list("recipient", flat=True))
    assert told == ["both@example.com", "one@example.com", "support@example.com"]


def test_reset_for_nobody_or_for_someone_deactivated_writes_no_mail() -> None:
    user = make_user()
    User.objects.update(is_active=False)
    subscribers.password_reset({"user_id": None, "request": "0/a"})
    subscribers.password_reset({"user_id": user.pk, "request": "1/b"})
    assert Mail.objects.count() == 0


def test_staff_with_the_right_send_mails_again() -> None:
    for key in ("failed", "sent", "due"):
        queue(key)
    Mail.objects.filter(key="failed").update(state="failed", attempts=12)
    Mail.objects.filter(key="sent").update(state="sent", attempts=1, sent_at=timezone.now())
    Mail.objects.filter(key="due").update(attempts=3, due_at=timezone.now() + timedelta(hours=1))
    before = dict(Mail.objects.values_list("key", "message_id"))
    client = Client()
    client.force_login(
        User.objects.create_superuser("owner@example.com", "correct horse battery"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    chosen = list(Mail.objects.values_list("pk", flat=True))
    answer = client.post(PAGE, {"action": "send_again", "_selected_action": chosen}, follow=True)
    assert "2 e-mails are due again." in answer.content.decode()
    assert sorted(Mail.objects.values_list("key", "state", "attempts")) == [
        ("due", "due", 3),
        ("failed", "due", 0),
        ("sent", "due", 0),
    ]
    after = dict(Mail.objects.values_list("key", "message_id"))
    assert {key for key in after if after[key] != before[key]} == {"sent"}, (
        "mailboxes hide a second copy of one message"
    )
    assert send_due() == 2
    assert sorted(message.extra_headers["Message-ID"] for message in outbox.outbox) == sorted(
        [after["failed"], after["sent"]]
    )


def test_staff_without_the_right_cannot() -> None:
    queue()
    Mail.objects.update(state="failed")
    client = Client()
    client.force_login(
        User.objects.create_user("staff@example.com", is_staff=True),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    answer = client.post(PAGE, {"action": "send_again", "_selected_action": [Mail.objects.get().pk]})
    assert answer.status_code == 403
    assert Mail.objects.get().state == "failed"


@pytest.mark.race
def test_workers_at_once_send_each_mail_once() -> None:
    for number in range(12):
        queue(str(number))
    tried = in_parallel([send_due] * 6, threads=6)
    assert sum(tried) == 12
    assert set(Mail.objects.values_list("state", "attempts")) == {("sent", 1)}
    assert len({message.extra_headers["Message-ID"] for message in outbox.outbox}) == len(outbox.outbox) == 12
