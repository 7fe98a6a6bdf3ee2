"""Tracks to be bought, people who buy them, and what the shop's books say of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest import mock

from django.db import transaction
from django.utils import timezone

from apps.enrollment.models import Enrollment, EnrollmentLog, Project, Step, StepProgress, Track
from apps.enrollment.services.tracks import note_change
from apps.enrollment.subscribers import NAME
from apps.orders.models import Order, OrderItem
from apps.outbox.models import Delivery
from apps.outbox.services import deliver_due
from apps.payment.models import Dispute, Payment
from apps.payment.webhooks import inbox
from tests.support.shop import Shop, Stripe, make_variant, work

PLAN = {"Learn": ("Read", "Try"), "Build": ("Plan", "Code", "Test"), "Show": ("Talk",)}


def make_track(code: str = "DP", *, price: int = 49900, name: str = "Data Professional") -> Track:
    """A track with three projects, on sale; the news of it is taken in."""
    with transaction.atomic():
        variant = make_variant(f"TRACK-{code}", price=price, stock=None, kind="digital")
        track = Track.objects.create(code=code, name=name, variant=variant)
        for position, (title, steps) in enumerate(PLAN.items()):
            project = Project.objects.create(track=track, title=title, position=position)
            for number, step in enumerate(steps):
                Step.objects.create(project=project, title=step, position=number)
        note_change(track)
    work()
    track.refresh_from_db()
    return track


@dataclass(frozen=True)
class Books:
    """One person's enrollment in one track as the database has it."""

    status: str
    log: list[tuple[str, str, str]]
    states: str
    """The steps' states by their first letters, a space between projects: `oo lll l`."""


def books(user: Any, track: Track) -> Books | None:
    enrollment = Enrollment.objects.filter(user=user, track=track).first()
    if enrollment is None:
        return None
    log = EnrollmentLog.objects.filter(enrollment=enrollment)
    states = dict(StepProgress.objects.filter(enrollment=enrollment).values_list("step", "state"))
    return Books(
        enrollment.status,
        list(log.values_list("from_status", "to_status", "reason")),
        " ".join(
            "".join(states.get(step.pk, "-")[0] for step in project.steps.all()) for project in track.projects.all()
        ),
    )


def status(user: Any, track: Track) -> str:
    found = books(user, track)
    return found.status if found else "not_enrolled"


def buy(shop: Shop, stripe: Stripe, *variants: Any, card: str = "pm_card_visa") -> Order:
    """Buy through cart and Stripe's page; every event is delivered and worked on."""
    for variant in variants:
        assert shop.add(variant).status_code == 201
    return Order.objects.get(number=shop.buy(stripe, card)["order_number"])


def buy_track(shop: Shop, stripe: Stripe, track: Track, card: str = "pm_card_visa") -> Order:
    """The same without a cart."""
    answer = shop.post(f"/api/enrollment/tracks/{track.code}/checkout/")
    assert answer.status_code == 201, answer.content
    stripe.pay(answer.json()["session_id"], card)
    stripe.digest()
    return Order.objects.get(number=answer.json()["order_number"])


def give_back(staff: Shop, order: Order, *skus: str, **body: Any) -> None:
    """Staff refunds these lines of an order, or with none named all that is left; the work behind it is done."""
    lines = OrderItem.objects.filter(order=order, sku__in=skus)
    if skus:
        body["items"] = [{"order_item_id": line.pk, "quantity": line.quantity} for line in lines]
    payment = Payment.objects.get(order=order, applied=True)
    answer = staff.post("/api/payment/refunds/", {"payment_id": payment.pk, **body})
    assert answer.status_code == 201, answer.content
    work()


def dispute(stripe: Stripe, order: Order) -> Dispute:
    """The buyer's bank opens a dispute of the whole payment."""
    intent = Payment.objects.get(order=order, applied=True).stripe_payment_intent_id
    stripe.sandbox.control(f"charges/{intent}/dispute", reason="fraudulent")
    stripe.digest()
    found = Dispute.objects.filter(payment__order=order).first()
    assert found is not None
    return found


def decide(stripe: Stripe, opened: Dispute, outcome: str) -> None:
    stripe.sandbox.control(f"disputes/{opened.stripe_dispute_id}/decide", outcome=outcome)
    stripe.digest()


@contextmanager
def outbox_at_rest() -> Iterator[None]:
    """Events are worked on, and what they leave in the outbox stays there."""
    with mock.patch("proshop.work.JOBS", {"events": inbox.process_due}), mock.patch.object(inbox, "_wake", None):
        yield


def news() -> list[Delivery]:
    """What enrollment is told of orders, oldest first."""
    return list(Delivery.objects.filter(subscriber=NAME, kind__startswith="order.").order_by("pk"))


def arrive(delivery: Delivery) -> None:
    """Deliver this one now, and no other, whether it came before or not."""
    now = timezone.now()
    Delivery.objects.filter(pk=delivery.pk).update(
        state="due", due_at=now - timedelta(hours=1), lease_until=None, attempts=0
    )
    assert deliver_due(limit=1) == 1
    delivery.refresh_from_db()
    assert delivery.state == "done", delivery.last_error
