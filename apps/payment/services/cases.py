"""Cases for staff: money that a person has to look at."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.common.errors import Conflict
from apps.outbox.services import publish
from apps.payment.models import AttentionCase, Payment
from apps.payment.services.attempts import lock_payment, write_log
from apps.payment.services.refunds import left_of

LONG_ON_ITS_WAY = timedelta(days=14)
"""A bank debit that has not settled by then is worth a look; its hold has no expiry."""

MONEY_KINDS = ("late", "surplus", "amount_mismatch", "refund_failed")
"""Cases of money that is here: it is given back, or applied to its order."""


class MoneyStillHere(Conflict):
    code = "money_still_here"
    message = "This money paid for nothing. Give it back or apply it: the case then closes by itself."


def open_case(payment: Payment, *, kind: str, detail: str, object_id: str = "") -> None:
    """Open a case in the caller's transaction and have the owners told. One per payment, kind and object."""
    _, opened = AttentionCase.objects.get_or_create(
        payment=payment, kind=kind, object_id=object_id, defaults={"detail": detail[:500]}
    )
    if opened:
        publish(
            "payment.attention",
            f"{payment.pk}/{kind}/{object_id}".rstrip("/"),
            {"payment_id": payment.pk, "order_id": payment.order_id, "kind": kind, "object_id": object_id},
        )


def solve_cases(
    payment: Payment, *, kinds: tuple[str, ...], note: str, object_id: str | None = None, by: User | None = None
) -> None:
    """Close what has solved itself, or what somebody solved on another page, in the caller's transaction.

    The case stays in the list with its note.
    """
    cases = AttentionCase.objects.filter(payment=payment, kind__in=kinds, solved_at=None)
    if object_id is not None:
        cases = cases.filter(object_id=object_id)
    cases.update(solved_at=timezone.now(), solved_by=by, note=note)


def take_case(case: AttentionCase, *, by: User) -> AttentionCase:
    """Somebody looks after a case from now on, also one that another had taken. Raises Conflict `case_solved`."""
    with transaction.atomic(durable=True):
        payment = lock_payment(case.payment_id)
        now = timezone.now()
        if not AttentionCase.objects.filter(pk=case.pk, solved_at=None).update(taken_by=by, taken_at=now):
            raise Conflict("This case is solved already.", code="case_solved")
        write_log(
            payment,
            "case_taken",
            before=payment.status,
            object_id=f"case/{case.pk}/{now.timestamp():.6f}",
            detail=f"{case.kind}, by user {by.pk}",
        )
    return AttentionCase.objects.get(pk=case.pk)


def solve_case(case: AttentionCase, *, note: str, by: User) -> AttentionCase:
    """Close a case that a person has dealt with; the note says how.

    Money that paid for nothing stays an open case until it is on its way back. Raises Conflict `case_solved`,
    MoneyStillHere.
    """
    with transaction.atomic(durable=True):
        payment = lock_payment(case.payment_id)
        current = AttentionCase.objects.get(pk=case.pk)
        if current.solved_at is not None:
            raise Conflict("This case is solved already.", code="case_solved")
        others = AttentionCase.objects.filter(payment=payment, solved_at=None).exclude(pk=current.pk)
        if payment.is_settled and not payment.applied and left_of(payment) and not others.exists():
            raise MoneyStillHere
        current.solved_at, current.solved_by, current.note = timezone.now(), by, note
        current.save(update_fields=["solved_at", "solved_by", "note"])
        write_log(
            payment,
            "case_solved",
            before=payment.status,
            object_id=f"case/{current.pk}",
            detail=f"{current.kind}, by user {by.pk}",
        )
    return current


def watch_delayed_payments() -> int:
    """Open a case for each payment that has been on its way for over 14 days. Returns how many are."""
    slow = Payment.objects.filter(
        status=Payment.Status.PROCESSING, created_at__lt=timezone.now() - LONG_ON_ITS_WAY
    ).exclude(cases__kind="long_on_its_way")
    found = list(slow[:100])
    for payment in found:
        with transaction.atomic():
            open_case(payment, kind="long_on_its_way", detail="The payment has been on its way for over 14 days.")
    return len(found)
