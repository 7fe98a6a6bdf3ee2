"""Two at once, with connections of their own. Each guard has its control: without it, the fault shows."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import connections
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.enrollment.models import Enrollment, EnrollmentLog, Step, StepProgress, Track
from apps.enrollment.services import progress, settling
from apps.enrollment.subscribers import NAME
from apps.orders.models import Order
from apps.outbox import services as outbox
from apps.outbox.models import Delivery
from apps.payment.invariants import verify
from apps.payment.models import Payment, Refund
from apps.payment.services import ordering
from tests.enrollment.courses import Books, books, buy, buy_track, give_back, news, outbox_at_rest, status
from tests.support.shop import Shop, Stripe, deliver, in_parallel, make_user, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.race, pytest.mark.postgres]


@contextmanager
def without_locks() -> Iterator[None]:
    """Rows are read as they are, and whoever writes last wins."""
    with mock.patch.object(QuerySet, "select_for_update", lambda rows, **options: rows):
        yield


# Two deliveries at once


def test_news_of_two_orders_at_once_enrols_once(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    with outbox_at_rest():
        buyer.add(track.variant)
        for answer in (buyer.checkout(), buyer.post("/api/enrollment/tracks/DP/checkout/")):
            stripe_sandbox.pay(answer.json()["session_id"])
        for name in "ab":
            buy_track(Shop(make_user(f"{name}@example.com")), stripe_sandbox, track)
        stripe_sandbox.digest()
    told = len(news())
    answers = in_parallel([lambda: outbox.deliver_due(limit=1)] * 60, threads=12)
    assert (told, set(answers)) == (4, {0, 1})
    assert {each.state for each in news()} == {"done"}
    assert Enrollment.objects.count() == EnrollmentLog.objects.count() == 3
    assert StepProgress.objects.count() == 3 * 6
    assert verify() == []


def changing_under_way(student: User, track: Track, stripe: Stripe, staff: Shop) -> None:
    """A refund failed and the news of it is due, when the refund succeeds after all.

    One worker has looked at the order and is about to write; meanwhile another takes in what happened since, with its
    news. Whether the second waits for the first decides.
    """
    refund = Refund.objects.get()
    with outbox_at_rest():
        stripe.sandbox.control(f"refunds/{refund.stripe_refund_id}/set", status="canceled")
        stripe.digest()
    Delivery.objects.exclude(subscriber=NAME).update(due_at=timezone.now() + timedelta(days=1))
    looked, done = threading.Event(), threading.Event()
    look = settling.standing_of
    looks = threading.local()

    def pausing(**whom: Any) -> Any:
        found = look(**whom)
        if threading.current_thread() is slow:
            looks.n = getattr(looks, "n", 0) + 1
            if looks.n == 2:  # the look that decides
                looked.set()
                done.wait(timeout=3)
        return found

    def deliver_first() -> None:
        outbox.deliver_due(limit=1)
        connections.close_all()

    slow = threading.Thread(target=deliver_first)
    with mock.patch.object(settling, "standing_of", pausing):
        slow.start()
        assert looked.wait(timeout=10)
        with outbox_at_rest():
            stripe.sandbox.control(f"refunds/{refund.stripe_refund_id}/set", status="succeeded")
            stripe.digest()
        # This waits for the first where that holds the lock, so the first is let go meanwhile.
        threading.Timer(1, done.set).start()
        assert outbox.deliver_due(limit=1) == 1
        done.set()
        slow.join()
    assert [each.state for each in news()] == ["done"] * 4


@pytest.fixture
def refunded(buyer: Shop, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe) -> Order:
    order = buy(buyer, stripe_sandbox, track.variant)
    give_back(staff, order)
    assert status(student, track) == "withdrawn"
    return order


def test_what_is_decided_last_is_what_was_seen_last(
    refunded: Order, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    changing_under_way(student, track, stripe_sandbox, staff)
    assert books(student, track) == Books(
        "withdrawn",
        [
            ("not_enrolled", "enrolled", "paid"),
            ("enrolled", "withdrawn", "refunded"),
            ("withdrawn", "enrolled", "paid"),
            ("enrolled", "withdrawn", "refunded"),
        ],
        "oo lll l",
    )
    assert verify() == []


def test_control_without_the_lock_a_refunded_person_stays_enrolled(
    refunded: Order, student: User, track: Track, staff: Shop, stripe_sandbox: Stripe
) -> None:
    unlocked = mock.patch.object(
        settling, "_lock", lambda *, user_id, track: Enrollment.objects.get(user=user_id, track=track)
    )
    with unlocked:
        changing_under_way(student, track, stripe_sandbox, staff)
    assert status(student, track) == "enrolled"
    assert [each.name for each in verify()] == ["I20"]


# Two steps at once


def two_left(buyer: Shop, track: Track, stripe: Stripe) -> list[Callable[[], int]]:
    buy_track(buyer, stripe, track)
    steps = Step.objects.filter(project__track=track, project__position=0)
    person = User.objects.get(email="student@example.com")

    def call(step_id: int) -> Callable[[], int]:
        return lambda: Shop(person).post(f"/api/enrollment/steps/{step_id}/complete/").status_code

    return [call(step.pk) for step in steps]


def test_two_last_steps_at_once_unlock_the_next_project(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    calls = two_left(buyer, track, stripe_sandbox)
    for _ in range(10):
        StepProgress.objects.update(state="locked", completed_at=None)
        progress.prepare_progress(Enrollment.objects.get())
        assert in_parallel(calls, threads=2) == [200, 200]
        found = books(student, track)
        assert found is not None
        assert found.states == "cc ooo l"


def test_control_without_the_lock_both_are_done_and_nothing_follows(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    calls = two_left(buyer, track, stripe_sandbox)
    together = threading.Barrier(2)
    look = progress.states_of
    looks = threading.local()

    def both_look_before_either_has_committed(enrollment: Enrollment) -> dict[int, str]:
        found = look(enrollment)
        looks.n = getattr(looks, "n", 0) + 1
        if looks.n == 2:  # the first is before the step is completed, the third for the answer
            together.wait(timeout=10)
        return found

    with without_locks(), mock.patch.object(progress, "states_of", both_look_before_either_has_committed):
        assert in_parallel(calls, threads=2) == [200, 200]
    found = books(student, track)
    assert found is not None
    assert found.states == "cc lll l"


# Two checkouts at once


def test_track_checked_out_ten_times_at_once_is_one_order(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    calls = [lambda: Shop(student).post("/api/enrollment/tracks/DP/checkout/") for _ in range(10)]
    answers = in_parallel(calls, threads=10)
    codes = Counter(answer.status_code for answer in answers)
    assert set(codes) <= {201, 503}, [answer.content for answer in answers]
    assert codes[201] >= 1
    assert len({answer.json()["session_id"] for answer in answers if answer.status_code == 201}) == 1
    assert Order.objects.count() == Payment.objects.count() == 1
    assert verify() == []


def test_control_without_the_second_look_there_are_two_orders(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    together = threading.Barrier(2)

    def unguarded(*, variant_id: int, user: Any) -> None:
        if not hasattr(seen, "waited"):
            seen.waited = True
            together.wait(timeout=10)

    seen = threading.local()
    calls = [lambda: Shop(student).post("/api/enrollment/tracks/DP/checkout/").status_code for _ in range(2)]
    with (
        mock.patch("apps.payment.services.checkout.standing_order_of_variant", unguarded),
        mock.patch.object(ordering, "standing_order_of_variant", return_value=None),
    ):
        assert in_parallel(calls, threads=2) == [201, 201]
    assert Order.objects.count() == 2


def test_the_same_event_many_times_at_once_enrols_once(
    buyer: Shop, student: User, track: Track, stripe_sandbox: Stripe
) -> None:
    """Through webhook and outbox, as a storm of redeliveries would."""
    buyer.add(track.variant)
    stripe_sandbox.pay(buyer.checkout().json()["session_id"])
    events = stripe_sandbox.new_events() * 6
    answers = in_parallel([lambda event=event: deliver(event) for event in events], threads=12)
    assert {answer.status_code for answer in answers} == {200}
    assert in_parallel([work] * 4, threads=4) == [None] * 4
    Delivery.objects.update(lease_until=None)
    work()
    assert books(student, track) == Books("enrolled", [("not_enrolled", "enrolled", "paid")], "oo lll l")
    assert verify() == []
