"""I20, I24 and I26 with everybody who listens to orders: killed anywhere, told everything twice and out of order.

One purchase and what followed, with the outbox at rest; then the same deliveries are made again and again from that
moment, each time with another death. Whatever happens on the way, the rows in the end are those of a quiet day.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail as mailbox
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Erasure
from apps.accounts.privacy.erasing import erase, finish_erasures
from apps.cart.models import CartItem
from apps.common import rows
from apps.enrollment.models import Enrollment, EnrollmentLog, StepProgress
from apps.invoices.models import Document, DocumentCounter
from apps.notifications import services as mails
from apps.notifications.models import Mail
from apps.notifications.services import send_due
from apps.orders.models import Order
from apps.outbox import services as outbox
from apps.outbox.models import Delivery
from apps.payment.invariants import verify
from tests.enrollment.courses import buy, give_back, make_track, outbox_at_rest
from tests.payment.test_refunds import make_staff
from tests.privacy.search import EMAIL, found_in_database
from tests.support.backup import Tables, restore, tables
from tests.support.shop import Shop, Stripe, make_user, make_variant

pytestmark = pytest.mark.django_db(transaction=True)

DEATHS = 12
"""How many moments of one round of deliveries a process dies in, evenly spread over its statements."""


class Killed(BaseException):
    """The process is not there any more: nothing catches this, and nothing is tidied up."""


@pytest.fixture
def told(stripe_sandbox: Stripe) -> Tables:
    """Somebody bought a track and a parcel; the parcel's money went back. Nobody has been told of any of it."""
    staff = Shop(make_staff())
    track, mug = make_track(), make_variant("MUG", price=1000, stock=9)
    with outbox_at_rest():
        order = buy(Shop(make_user(EMAIL)), stripe_sandbox, track.variant, mug)
        give_back(staff, order, "MUG")
        stripe_sandbox.digest()
    assert Delivery.objects.filter(state="due").count() > 5
    assert (Document.objects.count(), Mail.objects.count(), Enrollment.objects.count()) == (0, 0, 0)
    return tables()


def outcome() -> dict[str, Any]:
    """What the listeners have made of it, but for the moments at which they did."""
    return {
        "enrollments": list(Enrollment.objects.values_list("user", "track", "status", "transitions")),
        "log": list(EnrollmentLog.objects.values_list("seq", "from_status", "to_status", "reason", "order")),
        "progress": sorted(StepProgress.objects.values_list("step", "state")),
        "e-mails": sorted((kind, about(kind, key), to) for kind, key, to in Mail.objects.values_list(*MAIL)),
        "documents": sorted(Document.objects.values_list("kind", "number", "order", "refund", "total", "tax")),
        "counters": sorted(DocumentCounter.objects.values_list("series", "last")),
        "cart": list(CartItem.objects.values_list("variant", "quantity")),
        "deliveries": sorted(Delivery.objects.values_list("kind", "subscriber", "state")),
    }


MAIL = ("kind", "key", "recipient")


def about(kind: str, key: str) -> str:
    """PostgreSQL gives no number twice, also when the enrollment that had it was rolled back."""
    return key.partition("/")[2] if kind == "enrolled" else key


def deliver_all() -> None:
    while outbox.deliver_due():
        pass


def resume() -> None:
    """Another process comes by when the leases of the dead one have ended."""
    Delivery.objects.exclude(lease_until=None).update(lease_until=timezone.now() - timedelta(seconds=1))
    deliver_all()


def everything_again(chance: random.Random) -> None:
    """Each delivery comes twice more, in any order."""
    twice = [*Delivery.objects.values_list("pk", flat=True)] * 2
    chance.shuffle(twice)
    for pk in twice:
        Delivery.objects.filter(pk=pk).update(state="due", due_at=timezone.now(), lease_until=None, attempts=0)
        deliver_all()


@contextmanager
def dying_at(statement: int) -> Iterator[list[str]]:
    """The process dies when it is about to send its nth statement to the database."""
    sent: list[str] = []

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append(sql)
        if len(sent) == statement:
            raise Killed
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        yield sent


@pytest.fixture
def quiet_day(told: Tables) -> tuple[dict[str, Any], int]:
    """What comes of it when nobody dies, and how many statements that takes."""
    restore(told)  # ids begin where they do after every other one
    with dying_at(0) as sent:
        deliver_all()
    assert verify() == []
    found = outcome()
    assert [kind for kind, *_ in found["e-mails"]] == ["enrolled", "order_confirmation", "refund_succeeded"]
    assert [kind for kind, *_ in found["documents"]] == ["credit_note", "invoice"]
    assert [status for *_, status, _ in found["enrollments"]] == ["enrolled"]
    assert {state for *_, state in found["deliveries"]} == {"done"}
    return found, len(sent)


def die_anywhere(told: Tables, statements: int) -> Iterator[int]:
    """Begin anew, die at another statement, and be taken over."""
    for number in range(1, DEATHS + 1):
        restore(told)
        with pytest.raises(Killed), dying_at(statement := max(1, number * statements // DEATHS)):
            deliver_all()
        yield statement


def test_worker_that_dies_in_any_statement_changes_nothing_in_the_end(
    told: Tables, quiet_day: tuple[dict[str, Any], int]
) -> None:
    wanted, statements = quiet_day
    for statement in die_anywhere(told, statements):
        assert verify() == [], f"right after dying at statement {statement}"
        resume()
        assert outcome() == wanted, f"died at statement {statement}"
    assert verify() == []


class Unguarded:
    """The connection, that lets rows be locked outside of a transaction."""

    in_atomic_block = True

    def __getattr__(self, name: str) -> Any:
        return getattr(connection, name)


@pytest.mark.thorough
@pytest.mark.skipif(connection.vendor == "postgresql", reason="PostgreSQL refuses row locks outside a transaction")
def test_control_without_the_transaction_a_death_leaves_half_of_it(
    told: Tables, quiet_day: tuple[dict[str, Any], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, _ = quiet_day
    monkeypatch.setattr(outbox, "transaction", SimpleNamespace(atomic=lambda **how: nullcontext()))
    monkeypatch.setattr(rows, "connection", Unguarded())
    restore(told)
    with dying_at(0) as sent:
        deliver_all()
    assert outcome() == wanted, "as long as nobody dies"
    restore(told)
    half = next(
        place for place, sql in enumerate(sent, start=1) if sql.startswith('INSERT INTO "enrollment_enrollmentlog')
    )
    with pytest.raises(Killed), dying_at(half):
        deliver_all()
    resume()
    assert outcome() != wanted
    assert {each.name for each in verify()} == {"I17"}


def test_worker_that_dies_between_two_deliveries_and_everything_comes_again(
    told: Tables, quiet_day: tuple[dict[str, Any], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, _ = quiet_day
    whole = outbox.deliver
    left = 0

    def deliver(delivery: Delivery) -> bool:
        nonlocal left
        done = whole(delivery)
        left -= 1
        if left == 0:
            raise Killed
        return done

    monkeypatch.setattr(outbox, "deliver", deliver)
    for number in range(1, len(wanted["deliveries"]), 3):
        restore(told)
        left = number
        with pytest.raises(Killed):
            deliver_all()
        resume()
        everything_again(random.Random(number))
        assert outcome() == wanted, f"died after delivery {number}"
        assert verify() == []


def test_whoever_is_forgotten_meanwhile_is_not_brought_back_by_what_was_due(
    told: Tables, quiet_day: tuple[dict[str, Any], int]
) -> None:
    """Killed at any statement, then the person is forgotten, then the rest comes, and all of it twice more."""
    _, statements = quiet_day
    for number, statement in enumerate(die_anywhere(told, statements)):
        if number % 4:
            continue
        erase(EMAIL)
        resume()
        finish_erasures()
        everything_again(random.Random(statement))
        assert Erasure.objects.get().finished_at is not None
        assert found_in_database() == {"invoices_document": ["content"]}, f"died at statement {statement}"
        assert set(Document.objects.values_list("kind", flat=True)) == {"invoice", "credit_note"}
        assert verify() == []


def test_mail_that_was_taken_when_its_sender_died_is_the_same_message_again(
    told: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can send exactly once over SMTP: a second copy carries the first one's id, and mailboxes show one."""
    deliver_all()
    whole = mails.EmailMultiAlternatives.send

    def send_and_die(message: Any) -> None:
        whole(message)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(mails.EmailMultiAlternatives, "send", send_and_die)
        with pytest.raises(Killed):
            send_due()
    assert send_due() == 2, "the others; this one is the dead process's until its lease ends"
    Mail.objects.exclude(lease_until=None).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert send_due() == 1
    sent = [(message.extra_headers["Message-ID"], message.subject) for message in mailbox.outbox]
    assert (len(sent), len(set(sent))) == (4, 3)
    assert set(Mail.objects.values_list("state", "attempts")) == {("sent", 1), ("sent", 2)}
    assert Order.objects.count() == 1
