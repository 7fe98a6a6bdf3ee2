"""What is open or young keeps an order, whatever else is true of it. Each guard has its control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone

from apps.audit.services import record
from apps.invoices.models import Document
from apps.notifications.models import Mail
from apps.orders.models import Order, OrderTransition
from apps.orders.purging import YOUNG
from apps.outbox.models import Delivery
from apps.payment.models import (
    AttentionCase,
    BalanceEntry,
    CheckRun,
    Dispute,
    Payment,
    PaymentLog,
    Refund,
    StripeWebhookEvent,
)
from apps.payment.services.purging import look_at_old, purge
from tests.privacy.old_orders import deliver_to, guard_off, held, tell, write_mail
from tests.support.ageing import YEAR, age
from tests.support.emptying import without_guards

pytestmark = pytest.mark.django_db


def waits_for_its_payment(order: Order) -> None:
    Payment.objects.filter(order=order).update(applied=False, status="failed")
    Order.objects.update(status="pending", payment_status="pending", expires_at=timezone.now() - YEAR)


def is_on_its_way(order: Order) -> None:
    Order.objects.update(payment_status="processing")


def payment_is(**columns: Any) -> Callable[[Order], None]:
    return lambda order: Payment.objects.update(**columns) and None


def refund_is(status: str) -> Callable[[Order], None]:
    return lambda order: Refund.objects.update(status=status) and None


def dispute_is(status: str, **columns: Any) -> Callable[[Order], None]:
    def change(order: Order) -> None:
        long_ago = timezone.now() - 8 * YEAR
        Dispute.objects.create(
            payment=order.payments.get(), stripe_dispute_id="dp_1", stripe_charge_id="ch_old", amount=2000,
            currency="USD", reason="fraudulent", status=status, told_at=long_ago, created_at=long_ago, **columns,
        )  # fmt: skip

    return change


def has_a_case(order: Order) -> None:
    AttentionCase.objects.create(payment=order.payments.get(), kind="late", detail="By hand.")
    age(AttentionCase)


def has_a_delivery(state: str) -> Callable[[Order], None]:
    def change(order: Order) -> None:
        Delivery.objects.filter(pk=deliver_to("enrollment", order, state=state).pk).update(
            created_at=timezone.now() - 8 * YEAR
        )

    return change


def has_an_event(state: str, **about: str) -> Callable[[Order], None]:
    def change(order: Order) -> None:
        told = tell("evt_open", about=order.payments.get().reference, state=state)
        StripeWebhookEvent.objects.filter(pk=told.pk).update(received_at=timezone.now() - 8 * YEAR, **about)

    return change


def has_a_mail(order: Order) -> None:
    refund = Refund.objects.get()
    mail = write_mail(order, kind="refund_succeeded", key=str(refund.pk), state="due", sent_at=None)
    Mail.objects.filter(pk=mail.pk).update(created_at=timezone.now() - 8 * YEAR)


GUARDS: dict[str, tuple[Callable[[Order], None], str]] = {
    "pending": (waits_for_its_payment, "it waits for its payment"),
    "processing": (is_on_its_way, "it waits for its payment"),
    "open attempt": (payment_is(applied=False, status="requires_action"), "a payment is open"),
    "capture undone": (payment_is(applied=False, status="processing", capture_decision="capture"), "a payment is open"),
    "intent left open": (
        payment_is(applied=False, status="cancelled", closing=True, channel="intent", intent_status="processing"),
        "a payment is open",
    ),
    "refund asked for": (refund_is("requested"), "a refund is asked for or on its way"),
    "refund on its way": (refund_is("pending"), "a refund is asked for or on its way"),
    "dispute": (dispute_is("under_review"), "a dispute is open"),
    "inquiry": (dispute_is("warning_needs_response"), "a dispute is open"),
    "answer untold": (dispute_is("lost", decision="accept"), "a dispute is open"),
    "case": (has_a_case, "a case is open"),
    "delivery due": (has_a_delivery("due"), "what follows from it is not done"),
    "delivery given up": (has_a_delivery("dead"), "what follows from it is not done"),
    "event due": (has_an_event("due"), "an event about it is not applied"),
    "event parked": (has_an_event("parked", about="", object_id="ch_old"), "an event about it is not applied"),
    "event given up": (has_an_event("dead", about="pi_old"), "an event about it is not applied"),
    "e-mail": (has_a_mail, "an e-mail about it is not sent"),
}


@pytest.mark.parametrize("name", GUARDS)
def test_what_is_open_stays(name: str, old: Order) -> None:
    change, reason = GUARDS[name]
    change(old)
    before = held()
    for found in (look_at_old(), purge()):
        assert (found.orders, +found.stays) == (0, {reason: 1})
    assert held() == before
    with guard_off(reason):
        assert purge().orders == 1, "the control: nothing else kept it"


def since_now(model: Any, column: str, **only: Any) -> Callable[[Order], None]:
    return lambda order: model._default_manager.filter(**only).update(**{column: timezone.now()}) and None


def sees_staff(label: str) -> Callable[[Order], None]:
    def change(order: Order) -> None:
        record(None, "noted", {"order": order, "refund": Refund.objects.first()}[label])

    return change


def is_solved_today(order: Order) -> None:
    has_a_case(order)
    AttentionCase.objects.update(solved_at=timezone.now())


NEWS: dict[str, Callable[[Order], None]] = {
    "placed": since_now(Order, "created_at"),
    "paid": since_now(Order, "paid_at"),
    "shipped": since_now(OrderTransition, "at"),
    "attempt": since_now(Payment, "created_at"),
    "step of a payment": since_now(PaymentLog, "at"),
    "refund": since_now(Refund, "created_at"),
    "refund succeeded": since_now(Refund, "succeeded_at"),
    "refund told": since_now(Refund, "told_at"),
    "dispute closed": dispute_is("won", closed_at=timezone.now()),
    "case solved": is_solved_today,
    "booked": since_now(BalanceEntry, "created"),
    "e-mail sent again": since_now(Mail, "sent_at"),
    "staff at the order": sees_staff("order"),
    "staff at the refund": sees_staff("refund"),
}


@pytest.mark.parametrize("name", NEWS)
def test_what_is_young_stays_whole(name: str, old: Order) -> None:
    NEWS[name](old)
    before = held()
    done = purge()
    assert done.orders == 0
    assert held() == before
    if name != "placed":  # that one is not even looked at
        assert +done.stays == {YOUNG: 1}
        with guard_off(YOUNG):
            look = look_at_old()
        assert look.orders == 1, "the control: nothing else kept it"


def test_young_document_stays_even_where_the_code_would_let_it_go(old: Order) -> None:
    document = Document.objects.get(kind="invoice")
    with without_guards():
        Document.objects.filter(pk=document.pk).update(issued_at=timezone.now())
    assert +purge().stays == {YOUNG: 1}
    before = held()
    with guard_off(YOUNG), pytest.raises(DatabaseError, match="is final"):
        purge()
    assert held() == before
    assert CheckRun.objects.order_by("-pk").values_list("ok", "summary__whole").first() == (False, False)
    with without_guards(), guard_off(YOUNG):
        assert purge().orders == 1, "the control: it was the database that refused"
