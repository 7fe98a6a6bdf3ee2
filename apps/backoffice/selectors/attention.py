"""What a person should look at now, each thing with the page on which it is solved. A fixed number of statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Min, Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.backoffice.selectors.checks import Check
from apps.catalog.selectors import low_on_stock
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.outbox.models import Delivery
from apps.payment.models import AttentionCase, Dispute, Payment, Refund, StripeWebhookEvent
from apps.payment.services.reconcile.unfinished import LATE, refund_begun

CASES_SHOWN = 20
VARIANTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to look at. `urgent` ones come first, then by deadline, then the oldest."""

    title: str
    detail: str
    link: str
    action: str
    since: datetime | None = None
    deadline: datetime | None = None
    urgent: bool = False
    taken_by: str = ""


def attention(user: User, checks: Iterable[Check] = ()) -> list[Item]:
    """Everything that waits for somebody with this person's rights, and of the given checks what they found."""
    found = [item for permission, look in SOURCES if user.has_perm(permission) for item in look()]
    found += _checks(checks)
    far = timezone.now() + timedelta(days=36500)
    return sorted(found, key=lambda item: (not item.urgent, item.deadline or far, item.since or far))


def _checks(checks: Iterable[Check]) -> Iterator[Item]:
    """Checks that found something, and those that have not come to an end for a day."""
    for check in checks:
        if check.state not in ("not ok", "old"):
            continue
        count, failed = len(check.findings), check.state == "not ok"
        what = f"{count} found" if count else check.cut_off or "it did not come to its end"
        yield Item(
            title=f"{check.title}: {what if failed else 'not looked at for a day'}",
            detail=check.meaning if failed else f"Is the worker running? {check.command} looks now.",
            link=f"{reverse('admin:checks')}#{check.kind}",
            action="See the checks",
            since=check.run.started_at if check.run else None,
            urgent=failed,
        )


def _cases() -> Iterator[Item]:
    """Open cases one by one, those with a deadline first; three statements however many there are."""
    open_cases = AttentionCase.objects.filter(solved_at=None)
    count = open_cases.count()
    if not count:
        return
    shown = list(open_cases.select_related("payment__order", "taken_by").order_by("opened_at", "pk")[:CASES_SHOWN])
    deadlines = dict(
        Dispute.objects.filter(stripe_dispute_id__in=[case.object_id for case in shown if case.object_id])
        .exclude(status__in=Dispute.OVER)
        .values_list("stripe_dispute_id", "due_by")
    )
    for case in shown:
        yield Item(
            title=f"{case.kind.replace('_', ' ').capitalize()}: order {case.payment.order.number}",
            detail=case.detail,
            link=reverse("admin:payment_attentioncase_change", args=[case.pk]),
            action="Open the case",
            since=case.opened_at,
            deadline=deadlines.get(case.object_id),
            urgent=True,
            taken_by=str(case.taken_by or ""),
        )
    if count > len(shown):
        yield Item(
            title=f"{count - len(shown)} more cases",
            detail="The oldest are shown here.",
            link=reverse("admin:payment_attentioncase_changelist") + "?solved_at__isempty=1",
            action="See all cases",
            urgent=True,
        )


def _events() -> Iterator[Item]:
    yield from _counted(
        StripeWebhookEvent.objects.filter(state=StripeWebhookEvent.State.DEAD),
        "received_at",
        title="{} of Stripe's events could not be worked off",
        detail="Read why, mend it and replay them.",
        link=reverse("admin:payment_stripewebhookevent_changelist") + "?state__exact=dead",
        action="See the events",
        urgent=True,
    )


def _deliveries() -> Iterator[Item]:
    yield from _counted(
        Delivery.objects.filter(state=Delivery.State.DEAD),
        "created_at",
        one="1 delivery inside the shop was given up",
        title="{} deliveries inside the shop were given up",
        detail="What follows a payment did not happen. Read why, mend it and deliver them again.",
        link=reverse("admin:outbox_delivery_changelist") + "?state__exact=dead",
        action="See the deliveries",
        urgent=True,
    )


def _mails() -> Iterator[Item]:
    yield from _counted(
        Mail.objects.filter(state=Mail.State.FAILED),
        "created_at",
        one="1 e-mail could not be sent",
        title="{} e-mails could not be sent",
        detail="The mail server refused them or was away for too long. They can be sent again.",
        link=reverse("admin:notifications_mail_changelist") + "?state__exact=failed",
        action="See the e-mails",
    )


def _refunds() -> Iterator[Item]:
    """What buyers ask for, and what was to go back and did not reach Stripe. One statement."""
    asked, late = Q(status=Refund.Status.REQUESTED), refund_begun(timezone.now() - LATE)
    rows = Refund.objects.filter(status__in=(Refund.Status.REQUESTED, Refund.Status.PENDING))
    sums = rows.aggregate(
        asked=Count("pk", filter=asked),
        asked_since=Min("created_at", filter=asked),
        late=Count("pk", filter=late),
        late_since=Min("created_at", filter=late),
    )
    address = reverse("admin:payment_refund_changelist")
    yield from _sum(
        sums["asked"],
        sums["asked_since"],
        one="1 buyer asks for their money",
        title="{} buyers ask for their money",
        detail="Approve or reject what they ask for.",
        link=f"{address}?status__exact=requested",
        action="See the requests",
    )
    yield from _sum(
        sums["late"],
        sums["late_since"],
        one="1 refund has not reached Stripe",
        title="{} refunds have not reached Stripe",
        detail="The shop goes on asking by itself. Is Stripe up, and the key the right one? Ask a developer to look.",
        link=f"{address}?status__exact=pending",
        action="See the refunds",
        urgent=True,
    )


def _reserved() -> Iterator[Item]:
    yield from _counted(
        Payment.objects.filter(status=Payment.Status.PROCESSING, intent_status="requires_capture", capture_decision=""),
        "created_at",
        one="1 amount is reserved and not taken",
        title="{} amounts are reserved and not taken",
        detail="Take the money or give the reservation up. It ends by itself after some days.",
        link=reverse("admin:payment_payment_changelist") + "?intent_status=requires_capture",
        action="See the payments",
    )


def _to_fulfil() -> Iterator[Item]:
    yield from _counted(
        Order.objects.filter(status=Order.Status.CONFIRMED).exclude(payment_status=Order.PaymentStatus.REFUNDED),
        "paid_at",
        one="1 order is paid and not fulfilled",
        title="{} orders are paid and not fulfilled",
        detail="Ship them, or mark what is digital as delivered.",
        link=reverse("admin:orders_order_changelist") + "?status__exact=confirmed",
        action="See the orders",
    )


def _stock() -> Iterator[Item]:
    scarcest = low_on_stock().select_related("product").order_by(F("stock") - F("held"), "sku")
    found = list(scarcest[: VARIANTS_SHOWN + 1])
    if found:
        names = ", ".join(f"{variant.sku}: {variant.available}" for variant in found[:VARIANTS_SHOWN])
        yield Item(
            title="Stock is low",
            detail=names + (", and more" if len(found) > VARIANTS_SHOWN else ""),
            link=reverse("admin:catalog_productvariant_changelist") + "?low=1",
            action="See the variants",
        )


def _counted(rows: QuerySet[Any], field: str, **told: Any) -> Iterator[Item]:
    """One item for all rows of a kind, with how long the oldest has waited. One statement."""
    sums = rows.aggregate(n=Count("pk"), since=Min(field))
    yield from _sum(sums["n"], sums["since"], **told)


def _sum(
    count: int,
    since: datetime | None,
    *,
    title: str,
    detail: str,
    link: str,
    action: str,
    one: str = "",
    urgent: bool = False,
) -> Iterator[Item]:
    """One item for so many rows; `one` is the title where it is a single one."""
    if count:
        yield Item(one if one and count == 1 else title.format(count), detail, link, action, since=since, urgent=urgent)


SOURCES: list[tuple[str, Callable[[], Iterator[Item]]]] = [
    ("payment.view_attentioncase", _cases),
    ("payment.view_stripewebhookevent", _events),
    ("outbox.view_delivery", _deliveries),
    ("payment.view_refund", _refunds),
    ("payment.view_payment", _reserved),
    ("orders.view_order", _to_fulfil),
    ("notifications.view_mail", _mails),
    ("catalog.view_productvariant", _stock),
]
"""Which right shows what."""
