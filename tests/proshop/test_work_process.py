"""`manage.py work` as a process of its own: told to end it finishes what is in hand, killed it loses nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.notifications.models import Mail
from apps.notifications.services import queue_mail
from apps.payment.models import CheckRun
from tests.support.processes import PYTHON, Process, SlowMailServer, environment, eventually
from tests.support.shop import Stripe, make_user

pytestmark = pytest.mark.django_db(transaction=True)

WORK = [PYTHON, "manage.py", "work"]


def queue_mails(count: int) -> None:
    user = make_user()
    for number in range(count):
        queue_mail(kind="password_reset", key=str(number), recipient=user.email, ids={"user_id": user.pk})


def states() -> list[tuple[str, int]]:
    return list(Mail.objects.order_by("pk").values_list("state", "attempts"))


def test_told_to_end_it_finishes_the_mail_in_hand_and_leaves_the_rest() -> None:
    queue_mails(3)
    with SlowMailServer() as server, Process(WORK, environment(EMAIL_URL=server.url)) as work:
        assert server.in_hand.wait(60), work.log
        work.ask_to_end()
        assert states() == [("due", 1), ("due", 0), ("due", 0)]
        server.go_on.set()
        assert work.end() == 0, work.log
    assert len(server.taken) == 1
    assert states() == [("sent", 1), ("due", 0), ("due", 0)]
    assert not Mail.objects.exclude(lease_until=None).exists()


def test_killed_its_mail_is_sent_by_the_next_once_the_lease_has_ended() -> None:
    queue_mails(1)
    with SlowMailServer() as server, Process(WORK, environment(EMAIL_URL=server.url)) as work:
        assert server.in_hand.wait(60), work.log
        work.kill()
        assert states() == [("due", 1)]
        assert Mail.objects.get().lease_until > timezone.now()
    Mail.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    with SlowMailServer() as server, Process(WORK, environment(EMAIL_URL=server.url)) as work:
        server.go_on.set()
        eventually(lambda: states() == [("sent", 2)])
        work.ask_to_end()
        assert work.end() == 0, work.log
    assert len(server.taken) == 1


def test_nothing_waits_for_the_comparison_with_stripe(stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("timeout_before", path="/v1/payment_intents", seconds=5)
    running = CheckRun.objects.filter(kind="reconcile", finished_at=None)
    surroundings = {"STRIPE_API_BASE": stripe_sandbox.sandbox.address}
    with SlowMailServer() as server, Process(WORK, environment(EMAIL_URL=server.url, **surroundings)) as work:
        server.go_on.set()
        eventually(running.exists)
        queue_mails(1)
        eventually(lambda: states() == [("sent", 1)])
        assert running.exists(), "the mail did not wait for it"
        eventually(lambda: CheckRun.objects.filter(kind="reconcile", ok=True).exists())
        work.ask_to_end()
        assert work.end() == 0, work.log
