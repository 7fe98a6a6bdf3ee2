"""Orders whose time is over go with all that hangs on them; what is open or young stays. Each guard has its control."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.enrollment.models import Enrollment, EnrollmentLog
from apps.inventory.models import StockHold, StockMovement
from apps.invoices.invariants import checks
from apps.invoices.models import Document, DocumentCounter
from apps.invoices.services.issuing import issue_for_refund, issue_invoice
from apps.notifications.models import Mail
from apps.orders import purging as registry
from apps.orders.models import Order, OrderTransition
from apps.orders.purging import YOUNG
from apps.outbox.models import Delivery
from apps.payment.invariants import verify
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
from apps.payment.services import check_runs, purging
from apps.payment.services.purging import look_at_old, purge
from proshop.work import HOUSEKEEPING
from tests.privacy.person import EMAIL, live
from tests.privacy.search import found_in_database
from tests.support.ageing import YEAR, age
from tests.support.emptying import without_guards
from tests.support.orders import make_order, make_refund
from tests.support.shop import Stripe

pytestmark = pytest.mark.django_db


@contextmanager
def guard_off(reason: str) -> Iterator[None]:
    """Nobody asks whether orders stay for this reason."""

    def without(share: registry.Share) -> registry.Share:
        def stays(ids: registry.Ids, before: Any) -> dict[str, Any]:
            return {why: which for why, which in share.stays(ids, before).items() if why != reason}

        return replace(share, stays=stays)

    whole, registry.shares[:] = list(registry.shares), [without(share) for share in registry.shares]
    try:
        yield
    finally:
        registry.shares[:] = whole


@pytest.fixture
def old() -> Order:
    """An order of eight years ago with an invoice, a credit note, a delivery, an e-mail and an event."""
    order = make_order(("Mug", 2, 1000))
    payment = order.payments.get()
    Payment.objects.filter(pk=payment.pk).update(stripe_payment_intent_id="pi_old", stripe_charge_id="ch_old")
    refund = make_refund(order, 500)
    issue_invoice(order.pk)
    issue_for_refund(refund.pk)
    now = timezone.now()
    PaymentLog.objects.create(payment=payment, kind="succeeded", event_id="evt_logged", to_status="succeeded", at=now)
    deliver_to("mail", order, state="done")
    write_mail(order)
    tell("evt_named", about=payment.reference)
    tell("evt_logged", about="cus_1")
    StockHold.objects.create(
        variant=order.items.get().variant, order_id=order.pk, quantity=2, state="sold", ended_at=now
    )
    BalanceEntry.objects.create(
        stripe_id="txn_1", kind="charge", category="charge", source_id="ch_old", payment=payment, amount=2000, fee=88,
        net=1912, currency="USD", created=now, available_on=now,
    )  # fmt: skip
    record(None, "noted", order)
    age()
    return order


def deliver_to(subscriber: str, order: Order, **columns: Any) -> Delivery:
    now = timezone.now()
    return Delivery.objects.create(
        kind="order.paid", key=str(order.pk), subscriber=subscriber, payload=json.dumps({"order_id": order.pk}),
        due_at=now, created_at=now, **columns,
    )  # fmt: skip


def write_mail(order: Order, **columns: Any) -> Mail:
    now = timezone.now()
    columns = {"kind": "order_confirmation", "key": str(order.pk), "state": "sent", "sent_at": now} | columns
    return Mail.objects.create(
        recipient=order.email, context="{}", due_at=now, created_at=now, message_id="<1>", **columns
    )


def tell(stripe_id: str, *, about: str, state: str = "done") -> StripeWebhookEvent:
    now = timezone.now()
    return StripeWebhookEvent.objects.create(
        stripe_id=stripe_id, type="charge.updated", object_id="ch_x", about=about, livemode=False, created=now,
        payload="{}", sha256="", received_at=now, waiting_since=now, due_at=now, state=state, reason="because",
    )  # fmt: skip


def held() -> Counter[str]:
    """How many rows each table has that an order may have part in. Deliveries that are done go by their own age."""
    models = (
        Order, OrderTransition, Payment, PaymentLog, Refund, Dispute, AttentionCase, BalanceEntry, StripeWebhookEvent,
        Document, Mail, StockHold, StockMovement, AuditEntry, Enrollment, EnrollmentLog,
    )  # fmt: skip
    return Counter({model._meta.label: model._default_manager.count() for model in models})


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("purge", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_life_of_a_person_is_gone_when_its_time_is_over(stripe_sandbox: Stripe, track: Any) -> None:
    """Everything a shop does with a buyer, then eight years in which nothing happens."""
    live(stripe_sandbox, track)
    AttentionCase.objects.filter(solved_at=None).update(solved_at=timezone.now())
    Mail.objects.filter(state="due").update(state="failed")
    Delivery.objects.filter(state="due").delete()
    movements = StockMovement.objects.count()
    age()
    assert verify() == []
    orders = Order.objects.count()
    planned = look_at_old()
    assert planned.orders == orders > 4
    assert Order.objects.count() == orders, "looking changes nothing"
    done = purge()
    assert done.as_dict() == {**planned.as_dict(), "before": done.before.isoformat()}
    assert (done.orders, +done.stays) == (orders, {})
    left = +held()
    assert left == {
        "inventory.StockMovement": movements,  # goods, not people: without them stock would not add up
        "enrollment.Enrollment": 1,  # the account is there, and what was paid for stays its person's
        "enrollment.EnrollmentLog": 1,
        "audit.AuditEntry": left["audit.AuditEntry"],  # what was done to people and goods goes by its own age
    }
    assert Enrollment.objects.values_list("status", "of_purged").get() == ("enrolled", "enrolled")
    assert verify() == []
    for job in ("audit trail", "sign-ins", "idempotency keys"):
        HOUSEKEEPING[job]()
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"purged"}
    # The account is no order; it stays until its person is forgotten.
    assert set(found_in_database()) == {"accounts_user", "payment_stripecustomer"}
    assert User.objects.filter(email=EMAIL).exists()


def gaps() -> list[str]:
    return [meaning for _, meaning, rows in checks() if rows.exists()]


def test_old_order_goes_with_all_that_hangs_on_it(old: Order) -> None:
    done = purge()
    assert done.orders == 1
    assert +held() == {"audit.AuditEntry": 1}
    assert Delivery.objects.count() == 0
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.object_type, entry.after["orders"]) == ("purged", "payment.checkrun", 1)
    assert "ORD-" not in json.dumps(entry.after)
    counters = DocumentCounter.objects.order_by("series").values_list("series", "last", "purged")
    assert list(counters) == [("CN", 1, 1), ("INV", 1, 1)]
    assert verify() == []
    assert purge().orders == 0


def test_numbers_that_are_missing_and_were_not_purged_are_a_gap(old: Order) -> None:
    issue_invoice(make_order(("Mug", 1, 1000), number="ORD-20260301-00002").pk)
    purge()
    assert gaps() == []
    for wrong in ({"purged": 0}, {"purged": 2}, {"last": 3}, {"last": 1, "purged": 0}):
        right = DocumentCounter.objects.values("last", "purged").get(series="INV")
        DocumentCounter.objects.filter(series="INV").update(**wrong)
        assert gaps() == ["numbers have no gap"], wrong
        DocumentCounter.objects.filter(series="INV").update(**right)
    assert gaps() == []
    assert issue_invoice(make_order(("Mug", 1, 1000), number="ORD-20260301-00003").pk).seq == 3


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


def test_process_that_dies_in_any_statement_has_done_nothing_and_the_next_run_finishes(
    old: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    before, counters = held(), list(DocumentCounter.objects.values())
    whole, calls = purging.delete_rows, 0
    left = 1

    def dies(rows: Any) -> int:
        nonlocal left, calls
        calls, left = calls + 1, left - 1
        if left == 0:
            raise Killed
        return whole(rows)

    monkeypatch.setattr(purging, "delete_rows", dies)
    for statement in range(1, 60, 2):
        calls, left = 0, statement
        if purge_dies(Killed) or calls < statement:
            break
        assert held() == before, statement
        assert list(DocumentCounter.objects.values()) == counters
    assert statement > 20, "it came through at last, after so many deaths"
    assert Order.objects.count() == 0
    assert gaps() == []


def purge_dies(how: type[BaseException]) -> bool:
    """Purge; whether the orders were gone by then."""
    CheckRun.objects.all().delete()
    try:
        purge()
    except how:
        return not Order.objects.exists()
    return True


def test_command_shows_what_goes_and_what_stays(old: Order) -> None:
    number = "ORD-20260301-00002"
    waiting = make_order(("Pen", 1, 250), number=number)
    make_refund(waiting, 100, succeeded=False)
    age(Order, Payment, Refund, OrderTransition)
    before = held()
    looked = json.loads(command("--dry-run", "--json"))
    assert held() == before
    done = json.loads(command("--json"))
    assert {**looked, "before": "", "dry_run": False} == {**done, "before": ""}
    assert (done["orders"], done["whole"]) == (1, True)
    assert done["stays"] == {"a refund is asked for or on its way": 1}
    assert done["rows"] | {"orders": 1, "payments": 1, "refunds": 1, "invoices and credit notes": 2} == done["rows"]
    assert Order.objects.get().number == number
    told = command()
    assert "0 orders went:" in told
    assert "1 orders stay: a refund is asked for or on its way" in told
    assert "1 orders stay" in command("--dry-run")


def test_command_leaves_a_run_alone_that_goes_on(old: Order) -> None:
    run = check_runs.begin(CheckRun.Kind.PURGE)
    with pytest.raises(CommandError, match="at it at this moment"):
        command()
    assert Order.objects.count() == 1
    CheckRun.objects.filter(pk=run.pk).update(alive_at=timezone.now() - timedelta(minutes=6))
    command()
    assert Order.objects.count() == 0


def test_housekeeping_purges_once_a_day_and_goes_on_where_its_time_was_over(
    old: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "AT_MOST_SECONDS", 0.0)
    assert HOUSEKEEPING["purge"]() == 0
    assert Order.objects.count() == 1
    monkeypatch.undo()
    assert HOUSEKEEPING["purge"]() == 1, "the rest, in the next round"
    make_order(("Pen", 1, 250), number="ORD-20260301-00002")
    age(Order, Payment, OrderTransition)
    assert HOUSEKEEPING["purge"]() == 0, "not twice a day"
    CheckRun.objects.update(started_at=timezone.now() - timedelta(days=1))
    assert HOUSEKEEPING["purge"]() == 1


def test_batches_reach_all_orders_also_past_those_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "BATCH", 2)
    for number in range(1, 8):
        order = make_order(("Pen", 1, 250), number=f"ORD-20260301-{number:05d}")
        if number in (1, 2, 5):
            make_refund(order, 100, succeeded=False)
    age(Order, Payment, Refund, OrderTransition)
    assert look_at_old().orders == 4
    assert purge().orders == 4
    assert sorted(Order.objects.values_list("number", flat=True)) == [f"ORD-20260301-{n:05d}" for n in (1, 2, 5)]


def test_what_hangs_on_no_order_goes_by_its_age() -> None:
    known = make_order(("Pen", 1, 250))
    reference = known.payments.get().reference
    for name, state in (("old", "ignored"), ("dead", "dead"), ("waiting", "parked")):
        tell(f"evt_{name}", about="pp_unknown", state=state)
    tell("evt_known", about=reference)
    write_mail(known, kind="password_reset", key="old")
    write_mail(known, kind="password_reset", key="due", state="due")
    deliver_to("old", known, state="done")
    deliver_to("dead", known, state="dead")
    age(StripeWebhookEvent, Mail, Delivery)
    tell("evt_young", about="pp_unknown")
    write_mail(known, kind="password_reset", key="young")
    deliver_to("young", known, state="done")
    purge()
    assert set(StripeWebhookEvent.objects.values_list("stripe_id", flat=True)) == {
        "evt_dead", "evt_waiting", "evt_known", "evt_young",
    }  # fmt: skip
    assert set(Mail.objects.values_list("key", flat=True)) == {"due", "young"}
    assert set(Delivery.objects.values_list("subscriber", flat=True)) == {"dead", "young"}
    assert Order.objects.count() == 1


@pytest.mark.parametrize("label", ["orders/order", "payment/payment", "payment/refund", "invoices/document"])
def test_nobody_purges_in_the_admin(label: str, old: Order) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("owner@example.com", "correct horse battery"))
    model = {"order": Order, "payment": Payment, "refund": Refund, "document": Document}[label.split("/")[1]]
    pk = model.objects.values_list("pk", flat=True).first()
    before = held()
    assert client.post(f"/admin/{label}/{pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(f"/admin/{label}/", {"action": "delete_selected", "_selected_action": [pk], "post": "yes"})
    assert held() == before
