"""Due rows shared out among processes: each is one's at a time, and nobody keeps one for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.common import leases, stopping
from apps.outbox.models import Delivery
from tests.support.shop import in_parallel

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = timedelta(minutes=2)


@pytest.fixture(autouse=True)
def running() -> Iterator[None]:
    yield
    stopping.forget()


def make_due(count: int) -> list[int]:
    now = timezone.now()
    return [
        Delivery.objects.create(
            kind="x",
            key=str(number),
            subscriber="y",
            payload="{}",
            due_at=now - timedelta(seconds=count - number),
            created_at=now,
        ).pk
        for number in range(count)
    ]


def claim(limit: int = 10) -> list[Delivery]:
    return leases.claim(Delivery.objects.filter(state="due"), lease=LEASE, limit=limit)


def test_oldest_are_taken_first_and_once() -> None:
    made = make_due(5)
    assert [row.pk for row in claim(3)] == made[:3]
    assert [row.pk for row in claim(3)] == made[3:]
    assert claim(3) == []
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {1}


def test_what_is_not_due_yet_waits() -> None:
    make_due(1)
    Delivery.objects.update(due_at=timezone.now() + timedelta(seconds=30))
    assert claim() == []


@pytest.mark.race
def test_eight_processes_share_two_hundred_rows_and_none_twice() -> None:
    made = make_due(200)

    def take_all() -> list[int]:
        taken: list[int] = []
        while batch := claim(7):
            taken += [row.pk for row in batch]
        return taken

    shares = in_parallel([take_all] * 8, threads=8)
    assert sorted(pk for share in shares for pk in share) == made
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {1}


def test_row_of_a_process_that_died_is_taken_over_when_the_lease_has_ended_and_alone() -> None:
    made = make_due(4)
    first = claim(2)
    assert [row.pk for row in claim()] == made[2:], "the lease still runs"
    Delivery.objects.filter(pk__in=[row.pk for row in first]).update(lease_until=timezone.now() - timedelta(seconds=1))
    again = claim()
    assert [(row.pk, row.attempts) for row in again] == [(made[0], 2)]
    assert [(row.pk, row.attempts) for row in claim()] == [(made[1], 2)]


def test_who_lost_the_lease_can_write_no_outcome() -> None:
    make_due(1)
    (slow,) = claim()
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    (quick,) = claim()
    assert leases.held(slow).update(state="dead") == 0
    assert leases.held(quick).update(state="done") == 1


def test_given_back_is_as_if_never_taken() -> None:
    made = make_due(3)
    leases.give_back(claim()[1:])
    assert [(row.pk, row.attempts) for row in claim()] == [(pk, 1) for pk in made[1:]]


def test_batch_that_takes_too_long_is_short() -> None:
    make_due(1)
    (row,) = claim()
    assert not leases.is_short(row)
    row.lease_until = timezone.now() + timedelta(seconds=29)
    assert leases.is_short(row)


def test_asked_to_end_a_wait_is_over_at_once() -> None:
    stopping.ask()
    stopping.wait(3600)
    assert stopping.asked()
