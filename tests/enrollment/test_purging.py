"""Orders go when their time is over; what somebody paid for stays theirs, and nothing is kept of what gives nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import Erasure, User
from apps.enrollment.invariants import checks
from apps.enrollment.models import Enrollment, EnrollmentLog, StepProgress, Track
from apps.enrollment.services.settling import settle_order
from apps.orders.models import Order, OrderItem, OrderTransition
from apps.orders.purging import Ids, shares
from apps.outbox.models import Delivery
from apps.payment.models import Payment, PaymentLog
from apps.payment.services import purging as running
from apps.payment.services.purging import purge
from tests.enrollment.courses import status
from tests.support.ageing import age
from tests.support.orders import make_order
from tests.support.shop import Shop

pytestmark = pytest.mark.django_db


OF_ORDERS = (Order, OrderTransition, Payment, PaymentLog, EnrollmentLog)


def bought(student: User, track: Track, number: int = 1, **line: Any) -> Order:
    """A paid order of a track, settled; its deliveries are done."""
    order = make_order((track.name, 1, 49900), number=f"ORD-20260301-{number:05d}", kind="digital", user=student)
    OrderItem.objects.filter(order=order).update(variant=track.variant, **line)
    settle_order(order.pk)
    Delivery.objects.update(state="done")
    return order


def give_back(order: Order) -> None:
    OrderItem.objects.filter(order=order).update(refunded_quantity=1)
    settle_order(order.pk)
    Delivery.objects.update(state="done")


def _lets_go(ids: Ids) -> None:
    """Instead of remembering what the lines said."""
    EnrollmentLog.objects.filter(order__in=ids).update(order=None)


def broken() -> list[str]:
    return [meaning for _, meaning, rows in checks() if rows.exists()]


def rows() -> tuple[int, int, int]:
    return Enrollment.objects.count(), EnrollmentLog.objects.count(), StepProgress.objects.count()


def test_person_stays_enrolled_when_the_order_is_gone(student: User, track: Track, buyer: Shop) -> None:
    order = bought(student, track)
    since, kept = Enrollment.objects.get().enrolled_at, rows()
    age(*OF_ORDERS)
    assert purge().orders == 1
    enrollment = Enrollment.objects.get()
    assert (enrollment.status, enrollment.of_purged, enrollment.enrolled_at) == ("enrolled", "enrolled", since)
    assert rows() == kept
    assert EnrollmentLog.objects.get().order is None
    assert broken() == []
    assert not Order.objects.filter(pk=order.pk).exists()
    assert buyer.get("/api/enrollment/me/").json()["status"] == "enrolled"
    answer = buyer.post(f"/api/enrollment/tracks/{track.code}/checkout/")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_enrolled")


def test_second_order_that_is_refunded_takes_nothing_of_the_first(student: User, track: Track) -> None:
    bought(student, track)
    age(*OF_ORDERS)
    purge()
    second = bought(student, track, 2)
    give_back(second)
    assert status(student, track) == "enrolled"
    assert broken() == []


def test_control_without_the_memory_they_would_be_withdrawn(
    student: User, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought(student, track)
    age(*OF_ORDERS)
    forgetful = [replace(share, settle=_lets_go) if share.name == "enrollment" else share for share in shares]
    monkeypatch.setattr(running, "shares", forgetful)
    purge()
    assert broken() == ["who is enrolled has a line for the track that is paid, not refunded and not disputed"]
    give_back(bought(student, track, 2))
    assert status(student, track) == "withdrawn"


def test_withdrawn_enrollment_goes_with_its_last_order(student: User, track: Track) -> None:
    give_back(bought(student, track))
    second = bought(student, track, 2)
    give_back(second)
    age(*OF_ORDERS)
    EnrollmentLog.objects.filter(order=second).update(at=timezone.now())
    assert purge().orders == 1
    enrollment = Enrollment.objects.get()
    assert (enrollment.status, enrollment.of_purged) == ("withdrawn", "withdrawn")
    assert broken() == []
    age(EnrollmentLog)
    assert purge().orders == 1
    assert rows() == (0, 0, 0)
    assert broken() == []


def test_enrollment_of_a_forgotten_person_goes_with_the_last_order(student: User, track: Track) -> None:
    bought(student, track)
    age(*OF_ORDERS)
    now = timezone.now()
    Erasure.objects.create(user=student, email_hash="x", started_at=now, finished_at=now, due_at=now)
    assert purge().orders == 1
    assert rows() == (0, 0, 0)


def test_purged_lines_that_were_refunded_let_a_new_order_decide(student: User, track: Track) -> None:
    give_back(bought(student, track))
    third = bought(student, track, 3)
    give_back(third)
    age(*OF_ORDERS)
    EnrollmentLog.objects.filter(order=third).update(at=timezone.now())
    purge()
    bought(student, track, 4)
    assert status(student, track) == "enrolled"
    assert broken() == []
    log = EnrollmentLog.objects.order_by("seq").values_list("to_status", "order__number")
    assert [number for _, number in log][:2] == [None, None], "of the purged order"
    assert [step for step, _ in log] == ["enrolled", "withdrawn", "enrolled", "withdrawn", "enrolled"]


def test_share_stands_before_those_whose_rows_it_names() -> None:
    assert [share.name for share in shares] == ["enrollment", "mails", "invoices", "payments", "orders"]
