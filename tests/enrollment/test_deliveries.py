"""Each effect happens once, in whatever order the outbox delivers, however often, and whatever crashes meanwhile."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.accounts.models import User
from apps.enrollment.models import Enrollment, EnrollmentLog, StepProgress, Track
from apps.enrollment.services import settling
from apps.enrollment.subscribers import NAME
from apps.notifications.models import Mail
from apps.outbox import services as outbox
from apps.outbox.models import Delivery
from apps.payment.invariants import verify
from apps.payment.models import Refund
from tests.enrollment.courses import (
    Books,
    arrive,
    books,
    buy,
    buy_track,
    decide,
    dispute,
    give_back,
    news,
    outbox_at_rest,
    status,
)
from tests.support.shop import Shop, Stripe, make_user, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]


def test_replays_change_nothing(buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe) -> None:
    order = buy(buyer, stripe_sandbox, track.variant)
    for replays in (1, 3):
        before, since = books(student, track), Enrollment.objects.get().enrolled_at
        for _ in range(replays):
            for delivery in news():
                arrive(delivery)
        assert books(student, track) == before
        assert Enrollment.objects.get().enrolled_at == since
        if replays == 1:
            give_back(staff, order)
    assert status(student, track) == "withdrawn"
    mails = Mail.objects.filter(recipient=student.email, kind__in=("enrolled", "withdrawn")).order_by("pk")
    assert [mail.kind for mail in mails] == ["enrolled", "withdrawn"]


def test_every_order_of_the_same_news_ends_the_same(
    buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    """Paid, refunded, failed later, disputed, won: the five told in each of their 120 orders."""
    with outbox_at_rest():
        order = buy(buyer, stripe_sandbox, track.variant, card="pm_card_refundFail")
        give_back(staff, order)
        stripe_sandbox.settle_later_work()
        decide(stripe_sandbox, dispute(stripe_sandbox, order), "won")
    told = news()
    assert [each.kind for each in told] == ["order.paid", *["order.standing_changed"] * 4]
    assert verify() == [], "what is still due excuses the difference"
    assert Enrollment.objects.count() == 0
    ends = set()
    for sequence in permutations(told):
        for delivery in sequence:
            arrive(delivery)
        ends.add(str(books(student, track)))
        StepProgress.objects.all().delete()
        EnrollmentLog.objects.all().delete()
        Enrollment.objects.all().delete()
    assert ends == {str(Books("enrolled", [("not_enrolled", "enrolled", "paid")], "oo lll l"))}
    arrive(told[0])


def test_news_that_comes_late_any_number_of_times_ends_as_if_it_came_at_once(
    track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    """Between what happens to two orders, some deliveries come, doubled and shuffled; after all came, all is true."""
    seed = secrets.randbelow(10**6)
    chance = random.Random(seed)

    def some_arrive() -> None:
        arriving = chance.sample(news(), k=chance.randint(0, len(news())))
        for delivery in [*arriving, *chance.sample(arriving, k=len(arriving) // 2)]:
            arrive(delivery)

    with outbox_at_rest():
        for number in range(3):
            student = make_user(f"student{number}@example.com")
            first = buy_track(Shop(student), stripe_sandbox, track, "pm_card_refundFail")
            some_arrive()
            give_back(staff, first)
            some_arrive()
            second = buy_track(Shop(student), stripe_sandbox, track)
            some_arrive()
            opened = dispute(stripe_sandbox, second)
            some_arrive()
            stripe_sandbox.settle_later_work()  # the first order's refund fails
            some_arrive()
            decide(stripe_sandbox, opened, "lost")
            some_arrive()
            give_back(staff, first)
            for delivery in chance.sample(news(), k=len(news())):
                arrive(delivery)
            assert status(student, track) == "withdrawn", seed
            assert verify() == [], seed
    moves = EnrollmentLog.objects.values_list("from_status", "to_status")
    assert all(before != after for before, after in moves), seed


def test_subscriber_that_fails_is_retried_and_its_effects_come_once(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails at its very last statement, when everything else is written already."""
    with monkeypatch.context() as patch:
        patch.setattr(settling, "publish", lambda *args: 1 / 0)
        buy(buyer, stripe_sandbox, track.variant)
        assert Enrollment.objects.count() == StepProgress.objects.count() == EnrollmentLog.objects.count() == 0
        assert verify() == []
    delivery = Delivery.objects.get(kind="order.paid", subscriber=NAME)
    assert (delivery.state, delivery.attempts) == ("due", 1)
    assert "ZeroDivisionError" in delivery.last_error
    assert Delivery.objects.exclude(subscriber=NAME).filter(state="due").count() == 0, "others are not kept waiting"
    Delivery.objects.filter(pk=delivery.pk).update(due_at=timezone.now())
    work()
    assert books(student, track) == Books("enrolled", [("not_enrolled", "enrolled", "paid")], "oo lll l")


def test_news_that_was_given_up_is_found_by_verify(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(settling, "publish", lambda *args: 1 / 0)
        patch.setattr(outbox, "MAX_ATTEMPTS", 1)
        buy(buyer, stripe_sandbox, track.variant)
    assert [(each.name, each.count) for each in verify()] == [("I20", 1)]
    assert outbox.revive(Delivery.objects.filter(state="dead")) == 1
    work()
    assert status(student, track) == "enrolled"


KILLED = """
import django, os
django.setup()
from apps.enrollment.services import settling
from apps.outbox.services import deliver_due
settling.publish = lambda *args: os._exit(9)
deliver_due()
"""


def test_worker_that_is_killed_at_work_has_done_nothing(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    with outbox_at_rest():
        buy(buyer, stripe_sandbox, track.variant)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "proshop.settings.test", "TEST_DATABASE_URL": url()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == 9, killed.stderr
    assert Enrollment.objects.count() == 0
    delivery = Delivery.objects.get(kind="order.paid", subscriber=NAME)
    assert (delivery.state, delivery.attempts) == ("due", 1)
    assert delivery.lease_until is not None
    work()
    assert Enrollment.objects.count() == 0, "it is the dead worker's until the lease is over"
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    work()
    assert books(student, track) == Books("enrolled", [("not_enrolled", "enrolled", "paid")], "oo lll l")
    assert Refund.objects.count() == 0


def url() -> str:
    """The database that this test runs on, for another process."""
    found: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{Path(found['NAME'])}"
    return f"postgres://{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"
