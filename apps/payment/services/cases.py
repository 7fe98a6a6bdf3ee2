"""Cases for staff: money that a person has to look at."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from apps.outbox.services import publish
from apps.payment.models import AttentionCase, Payment

LONG_ON_ITS_WAY = timedelta(days=14)
"""A bank debit that has not settled by then is worth a look; its hold has no expiry."""


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


def solve_cases(payment: Payment, *, kinds: tuple[str, ...], note: str, object_id: str | None = None) -> None:
    """Close what has solved itself, in the caller's transaction. The case stays in the list with its note."""
    cases = AttentionCase.objects.filter(payment=payment, kind__in=kinds, solved_at=None)
    if object_id is not None:
        cases = cases.filter(object_id=object_id)
    cases.update(solved_at=timezone.now(), note=note)


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
