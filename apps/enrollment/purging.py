"""What somebody paid for stays theirs: the order goes, and their enrollment remembers what its lines said.

An enrollment goes with its last order where it gives nobody anything: withdrawn, or of a person who is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.accounts.models import Erasure
from apps.enrollment.models import Enrollment, EnrollmentLog, StepProgress
from apps.enrollment.services.settling import RANKS, S, standings_of
from apps.orders.models import Order, OrderItem
from apps.orders.purging import YOUNG, Ids, Rows, Share, got

PAID = OrderItem.objects.filter(order__payment_status__in=Order.PAID)


def _paid_by() -> QuerySet[OrderItem]:
    """Lines that an enrollment rests on, for a subquery."""
    return PAID.filter(order__user=OuterRef("user"), variant=OuterRef("track__variant"))


def _touched(ids: Ids) -> QuerySet[Enrollment]:
    return Enrollment.objects.filter(Exists(_paid_by().filter(order__in=ids))).order_by("pk")


def _lock(ids: Ids) -> Ids:
    """Settling locks an enrollment and then names an order in its log: whoever is at that has the order."""
    touched = _touched(ids)
    have = got(Enrollment.objects.filter(pk__in=touched.values("pk")), "pk", set(touched.values_list("pk", flat=True)))
    missed = touched.exclude(pk__in=have)
    lines = PAID.filter(order__in=ids, order__user__in=missed.values("user"))
    return set(ids) - set(lines.values_list("order", flat=True))


def _stays(ids: Ids, before: datetime) -> Mapping[str, Iterable[int]]:
    log = EnrollmentLog.objects.filter(order__in=ids, at__gte=before)
    return {YOUNG: {order_id for order_id in log.values_list("order", flat=True) if order_id is not None}}


def _remember(ids: Ids) -> None:
    for enrollment in _touched(ids).select_related("track"):
        standings = standings_of(user_id=enrollment.user_id, track=enrollment.track)
        said = [each.status for each in standings if each.order_id in ids]
        best = max([*said, enrollment.of_purged or S.WITHDRAWN], key=lambda status: RANKS[S(status)])
        if best != enrollment.of_purged:
            Enrollment.objects.filter(pk=enrollment.pk).update(of_purged=best)
    EnrollmentLog.objects.filter(order__in=ids).update(order=None)


def _rows(ids: Ids, before: datetime) -> Rows:
    forgotten = Exists(Erasure.objects.filter(user=OuterRef("user"), finished_at__isnull=False))
    useless = _touched(ids).filter(Q(status=S.WITHDRAWN) | forgotten).exclude(Exists(_paid_by().exclude(order__in=ids)))
    going: list[Any] = list(useless.values_list("pk", flat=True))
    yield "progress", StepProgress.objects.filter(enrollment__in=going)
    yield "steps of enrollments", EnrollmentLog.objects.filter(enrollment__in=going)
    yield "enrollments", Enrollment.objects.filter(pk__in=going)


SHARE = Share("enrollment", stays=_stays, rows=_rows, lock=_lock, settle=_remember)
