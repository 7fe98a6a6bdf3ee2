"""What happens by itself when its time comes: sessions expire, debits settle, reservations end.

`advance` brings the time nearer instead of moving the clock: timestamps and signatures have to stay
comparable with the clock of the shop under test.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from apps.sandbox import balance, checkout, debits, disputes, payments, refunds
from apps.sandbox.call import Call
from apps.sandbox.charges import book
from apps.sandbox.events import emit
from apps.sandbox.store import Transaction


def _expire_session(call: Call, target: str) -> None:
    session = call.tx.find(target, "checkout.session")
    if session is not None and session["status"] == "open":
        checkout.expire(call, session)


def _settle_debit(call: Call, target: str) -> None:
    intent = call.tx.find(target, "payment_intent")
    if intent is None:
        return
    session = checkout.session_of(call, intent)

    def on_settled(went_through: bool) -> None:
        if session is not None:
            checkout.settled(call, session, went_through)

    debits.settle(call, intent, on_settled)


def _book_charge(call: Call, target: str) -> None:
    charge = call.tx.find(target, "charge")
    if charge is not None and charge["balance_transaction"] is None:
        book(call, charge)
        emit(call, "charge.updated", charge, {"balance_transaction": None})


def _release_hold(call: Call, target: str) -> None:
    intent = call.tx.find(target, "payment_intent")
    if intent is not None and intent["status"] == "requires_capture":
        payments.cancel(call, intent, "automatic")


TASKS: dict[str, Callable[[Call, str], None]] = {
    # A session that nobody paid by its `expires_at`.
    "expire_session": _expire_session,
    # The bank's answer to a SEPA debit.
    "settle_debit": _settle_debit,
    # `automatic_async` captures: the balance transaction comes a moment after the payment.
    "book_charge": _book_charge,
    # A card reservation that nobody captured within seven days.
    "release_hold": _release_hold,
    # Bank debits and one test card pay back slowly; another card's refund succeeds and comes back.
    "settle_refund": refunds.settle,
    "fail_refund": refunds.bounce,
    # The card network's reference for a refund, a moment after it.
    "number_refund": refunds.number,
    # A dispute that nobody answered by its `due_by`, or that the bank has read about for long enough.
    "decide_dispute": disputes.decide_unaided,
    # An entry of the balance becomes available after two days.
    "release_money": balance.release,
}


def run_next(call: Call) -> bool:
    """Do the oldest piece of work that is due; False when there is none."""
    row = take_next(call.tx)
    if row is None:
        return False
    TASKS[row[0]](call, row[1])
    return True


def take_next(tx: Transaction) -> tuple[str, str] | None:
    """Take the oldest piece of due work off the list: its task and target."""
    row: tuple[str, str] | None = tx.sql(
        "DELETE FROM due_work WHERE id = (SELECT id FROM due_work WHERE due <= ? ORDER BY due, id LIMIT 1)"
        " RETURNING task, target",
        (time.time(),),
    ).fetchone()
    return row


def advance(tx: Transaction, seconds: float) -> None:
    """Let time pass for everything that waits: work, retries of deliveries, kept idempotency keys."""
    tx.sql("UPDATE due_work SET due = due - ?", (seconds,))
    tx.sql("UPDATE deliveries SET due = due - ? WHERE state = 'pending'", (seconds,))
    tx.sql("UPDATE idempotency SET expires = expires - ?", (seconds,))


def bring_forward(tx: Transaction, task: str, target: str) -> bool:
    """Make one piece of work due now; False when it does not wait."""
    return tx.sql("UPDATE due_work SET due = 0 WHERE task = ? AND target = ?", (task, target)).rowcount > 0


def is_due(tx: Transaction) -> bool:
    return tx.sql("SELECT 1 FROM due_work WHERE due <= ? LIMIT 1", (time.time(),)).fetchone() is not None
