"""Each invariant of enrollment can be broken and is then told; what is still on its way excuses what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.enrollment.models import Enrollment, EnrollmentLog, StepProgress, Track
from apps.enrollment.subscribers import NAME
from apps.orders.models import Order, OrderItem
from apps.outbox.models import Delivery
from apps.payment.invariants import verify
from tests.enrollment.courses import buy_track, decide, dispute, make_track
from tests.support.shop import Shop, Stripe, make_user

pytestmark = pytest.mark.django_db(transaction=True)

ENROLLED = "who is enrolled has a line for the track that is paid, not refunded and not disputed"
SUSPENDED = "who is suspended has no better line than one under a dispute"
WITHDRAWN = "who is withdrawn paid once, and every line went back or was lost"
KNOWN = "who paid for a track has an enrollment with a status"
GAP = "an enrollment's log has no gap"
LAST = "the last row of an enrollment's log is its present state"


def broken() -> set[str]:
    return {each.meaning for each in verify()}


def everything_logged(status: str) -> None:
    Enrollment.objects.update(status=status)
    EnrollmentLog.objects.filter(seq=EnrollmentLog.objects.count()).update(to_status=status)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda: OrderItem.objects.update(refunded_quantity=1), {ENROLLED}),
        (lambda: Order.objects.update(disputed=True), {ENROLLED}),
        (lambda: everything_logged("suspended"), {SUSPENDED}),
        (lambda: everything_logged("withdrawn"), {WITHDRAWN}),
        (lambda: everything_logged("not_enrolled"), {KNOWN}),
        (lambda: Order.objects.update(user=make_user("other@example.com")), {ENROLLED, KNOWN}),
        (lambda: EnrollmentLog.objects.create(**a_row(seq=7)), {GAP}),
        (lambda: EnrollmentLog.objects.update(seq=7), {LAST}),
        (lambda: EnrollmentLog.objects.update(to_status="withdrawn"), {LAST}),
        (lambda: EnrollmentLog.objects.all().delete(), {GAP, LAST}),
    ],
)
def test_damage_is_told(
    buyer: Shop, track: Track, stripe_sandbox: Stripe, damage: Callable[[], Any], told: set[str]
) -> None:
    buy_track(buyer, stripe_sandbox, track)
    assert broken() == set()
    damage()
    assert broken() == told


def a_row(*, seq: int) -> dict[str, Any]:
    log = EnrollmentLog.objects.get()
    return {
        "enrollment": log.enrollment,
        "seq": seq,
        "from_status": "enrolled",
        "to_status": "suspended",
        "reason": "disputed",
        "order": log.order,
        "at": timezone.now(),
    }


def test_states_of_a_dispute_are_told_apart(buyer: Shop, track: Track, stripe_sandbox: Stripe) -> None:
    opened = dispute(stripe_sandbox, buy_track(buyer, stripe_sandbox, track))
    for status, told in (("enrolled", {ENROLLED}), ("withdrawn", {WITHDRAWN}), ("suspended", set())):
        everything_logged(status)
        assert broken() == told, status
    decide(stripe_sandbox, opened, "lost")
    for status, told in (("enrolled", {ENROLLED}), ("suspended", {SUSPENDED}), ("withdrawn", set())):
        everything_logged(status)
        assert broken() == told, status


def test_who_never_paid_is_nothing(track: Track, student: User) -> None:
    enrollment = Enrollment.objects.create(user=student, track=track, status="withdrawn", transitions=0)
    assert broken() == {WITHDRAWN, LAST}
    Enrollment.objects.filter(pk=enrollment.pk).update(status="enrolled", enrolled_at=timezone.now())
    assert broken() == {ENROLLED, LAST}
    enrollment.delete()
    assert broken() == set()


@pytest.mark.parametrize("kind", ["order.paid", "enrollment.track_changed"])
def test_news_that_is_due_excuses_its_own_order_and_track_alone(
    buyer: Shop, track: Track, stripe_sandbox: Stripe, kind: str
) -> None:
    other = make_track("FSD")
    order = buy_track(buyer, stripe_sandbox, track)
    buy_track(Shop(make_user("friend@example.com")), stripe_sandbox, other)
    about = f'"order_id":{order.pk}' if kind == "order.paid" else f'"track_id":{track.pk}'
    waiting = Delivery.objects.filter(kind=kind, subscriber=NAME, payload__contains=about)
    assert waiting.count() == 1
    OrderItem.objects.filter(order=order).update(refunded_quantity=1)
    assert broken() == {ENROLLED}
    waiting.update(state="due")
    assert broken() == set()
    OrderItem.objects.update(refunded_quantity=1)
    (only,) = verify()
    assert (only.meaning, only.count) == (ENROLLED, 1), "the friend's enrollment is excused by nothing"
    OrderItem.objects.exclude(order=order).update(refunded_quantity=0)
    waiting.update(state="dead")
    assert broken() == {ENROLLED}


def test_what_the_database_refuses_by_itself(buyer: Shop, track: Track, stripe_sandbox: Stripe) -> None:
    buy_track(buyer, stripe_sandbox, track)
    enrollment = Enrollment.objects.get()
    refused: list[Callable[[], Any]] = [
        lambda: Enrollment.objects.create(user=enrollment.user, track=track),
        lambda: Enrollment.objects.update(enrolled_at=None),
        lambda: EnrollmentLog.objects.create(**a_row(seq=1)),
        lambda: StepProgress.objects.create(enrollment=enrollment, step=StepProgress.objects.all()[0].step),
        lambda: StepProgress.objects.filter(state="open").update(state="completed"),
        lambda: StepProgress.objects.filter(state="open").update(completed_at=timezone.now()),
    ]
    for each in refused:
        with pytest.raises(IntegrityError), transaction.atomic():
            each()
    assert broken() == set()
