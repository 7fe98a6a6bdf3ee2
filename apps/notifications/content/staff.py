"""Alerts to staff. Like the admin that they lead to, they are in English."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.conf import settings
from django.urls import reverse

from apps.notifications.content.subjects import About, Ids
from apps.notifications.letter import Button, Letter, Quote
from apps.payment.models import AttentionCase, Dispute, Refund

ENGLISH = "en"

OUTCOMES: dict[str, tuple[str, str]] = {
    Dispute.Status.WON: ("won", "The bank decided for the shop. The money is back."),
    Dispute.Status.LOST: ("lost", "The bank decided for the buyer. The money is gone."),
    Dispute.Status.WARNING_CLOSED: ("closed", "The inquiry was closed. No money was taken."),
    Dispute.Status.PREVENTED: ("prevented", "The dispute was settled before it began. No money was taken."),
}


def find_case(ids: Ids) -> About:
    case = AttentionCase.objects.select_related("payment__order").get(
        payment=ids["payment_id"], kind=ids["kind"], object_id=ids.get("object_id", "")
    )
    return About(case, ENGLISH)


def find_refund(ids: Ids) -> About:
    return About(Refund.objects.select_related("payment__order").get(pk=ids["refund_id"]), ENGLISH)


def find_dispute(ids: Ids) -> About:
    return About(Dispute.objects.select_related("payment__order").get(pk=ids["dispute_id"]), ENGLISH)


def attention(case: AttentionCase, ids: Ids) -> Letter:
    number = case.payment.order.number
    return Letter(
        subject=f"A payment needs attention: order {number}",
        title="A payment needs attention",
        paragraphs=[f"Order {number}, payment {case.payment_id}: {case.detail}."],
        button=_admin("See the case", "payment_attentioncase", case),
    )


def refund_waiting(refund: Refund, ids: Ids) -> Letter:
    number = refund.payment.order.number
    return Letter(
        subject=f"A refund request waits: order {number}",
        title="A refund request waits for a decision",
        paragraphs=[
            f"The buyer of order {number} asks for {refund.money} of payment {refund.payment_id} back.",
            f"Reason: {Refund.Reason(refund.reason).label}.",
        ],
        quote=Quote("What the buyer wrote:", refund.description) if refund.description else None,
        button=_admin("See the request", "payment_refund", refund),
    )


def dispute_opened(dispute: Dispute, ids: Ids) -> Letter:
    number = dispute.payment.order.number
    if ids["stage"] == "inquiry":
        title = "A bank asks about a payment"
        what = f"The buyer's bank asks about {dispute.money} of order {number}. No money was taken so far."
    elif ids["stage"] == "appeal":
        title = "A decided dispute goes on"
        what = f"The dispute about {dispute.money} of order {number} is heard once more."
    else:
        title = "A payment is disputed"
        what = f"The buyer's bank takes {dispute.money} of order {number} back unless the shop proves its case."
    paragraphs = [what, f"Reason: {dispute.reason.replace('_', ' ')}."]
    if dispute.due_by is not None and dispute.status in Dispute.ANSWERABLE:
        until = dispute.due_by.astimezone(UTC)
        paragraphs.append(f"Answer by {until:%Y-%m-%d %H:%M} UTC. What is not answered in time is lost.")
    return Letter(
        subject=f"{title}: order {number}",
        title=title,
        paragraphs=paragraphs,
        button=_admin("See the dispute", "payment_dispute", dispute),
    )


def dispute_closed(dispute: Dispute, ids: Ids) -> Letter:
    number = dispute.payment.order.number
    outcome, what = OUTCOMES[ids["stage"]]
    return Letter(
        subject=f"Dispute {outcome}: order {number}",
        title=f"Dispute {outcome}",
        paragraphs=[f"It was about {dispute.money} of order {number}. {what}"],
        button=_admin("See the dispute", "payment_dispute", dispute),
    )


def _admin(label: str, page: str, row: Any) -> Button:
    return Button(label, settings.PUBLIC_URL + reverse(f"admin:{page}_change", args=[row.pk]))
