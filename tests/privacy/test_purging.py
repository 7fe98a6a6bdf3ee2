"""Orders whose time is over go with all that hangs on them, in whatever way the run is begun, cut off or repeated."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.enrollment.models import Enrollment
from apps.inventory.models import StockMovement
from apps.invoices.invariants import checks
from apps.invoices.models import Document, DocumentCounter
from apps.invoices.services.issuing import issue_invoice
from apps.notifications.models import Mail
from apps.orders.models import Order, OrderTransition
from apps.outbox.models import Delivery
from apps.payment.invariants import verify
from apps.payment.models import (
    AttentionCase,
    CheckRun,
    Payment,
    Refund,
    StripeWebhookEvent,
)
from apps.payment.services import check_runs, purging
from apps.payment.services.purging import look_at_old, purge
from proshop.work import HOUSEKEEPING
from tests.privacy.old_orders import deliver_to, held, tell, write_mail
from tests.privacy.person import EMAIL, live
from tests.privacy.search import found_in_database
from tests.support.ageing import age
from tests.support.orders import make_order, make_refund
from tests.support.shop import Stripe
from tests.support.staff import CONFIRMED

pytestmark = pytest.mark.django_db


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
    assert client.post(f"/admin/{label}/{pk}/delete/", CONFIRMED).status_code == 403
    client.post(
        f"/admin/{label}/",
        {"action": "delete_selected", "_selected_action": [pk], **CONFIRMED},
    )
    assert held() == before
