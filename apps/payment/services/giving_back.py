"""Staff gives money back, of one payment or of many, from a page that may be sent twice.

Each refund's reference is derived from the page that asked for it, and references are unique: the same page sent
again, by a second press, a reload or a proxy that repeats, finds the refunds that it made.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db.models import Sum

from apps.accounts.models import User
from apps.common.errors import DomainError
from apps.orders.services.state import payment_status_after
from apps.payment.models import Payment, Refund
from apps.payment.services.carrying_out import carry_out
from apps.payment.services.ledger import payment_status
from apps.payment.services.refunds import RefundWish, forbidding_disputes, intend_once, plan_refund, refusal_of

logger = logging.getLogger(__name__)

MOST = 200
"""How many payments one page takes."""

SECONDS_FOR_STRIPE = 20.0
"""How long one request asks Stripe. Proxies wait 30 s and more; what is not asked by then, `work` asks."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What can go back of a payment. Amounts in minor units; `refusal` says why nothing can, and is empty if some can.

    `committed` went back or is on its way.
    """

    payment: Payment
    committed: int
    left: int
    refusal: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one payment's refund. `again`: the page had made it before."""

    payment: Payment
    refund: Refund | None
    refusal: str = ""
    again: bool = False

    @property
    def state(self) -> str:
        """succeeded, pending or refused."""
        if self.refund is None or self.refund.status in (Refund.Status.FAILED, Refund.Status.CANCELLED):
            return "refused"
        return "succeeded" if self.refund.status == Refund.Status.SUCCEEDED else "pending"


@dataclass(frozen=True, slots=True)
class Foresight:
    """What a refund would make of its payment and of the order that it paid for. Amounts in minor units.

    `order_status` is the order's payment_status, empty for a payment that paid for nothing.
    """

    amount: int
    left_after: int
    payment_status: str
    order_status: str


def new_page() -> str:
    """What marks one page that asks for refunds, until it is sent."""
    return secrets.token_hex(16)


def offers_of(payments: Sequence[Payment]) -> list[Offer]:
    """What can go back of each payment now, in two statements whatever their number."""
    committed = dict(
        Refund.objects.filter(payment__in=payments, status__in=Refund.COMMITTED)
        .values_list("payment")
        .annotate(n=Sum("amount"))
        .order_by()
    )
    disputed = set(forbidding_disputes().filter(payment__in=payments).values_list("payment", flat=True))
    return [_offer(payment, committed.get(payment.pk, 0), disputed=payment.pk in disputed) for payment in payments]


def give_back(wanted: Sequence[tuple[Payment, RefundWish]], *, page: str, by: User) -> list[Outcome]:
    """Give back what is wanted of each payment, each by itself: one that fails does not keep the others.

    Every refund is written first, and Stripe asked as long as it answers and there is time; `work` asks about the
    rest. Order and length are those of `wanted`.
    """
    ends = time.monotonic() + SECONDS_FOR_STRIPE
    away = False
    outcomes = []
    for payment, wish in wanted:
        outcome = _write(payment, wish, page=page, by=by)
        if outcome.refund is not None and not away and time.monotonic() < ends:
            outcome, away = _ask(outcome, outcome.refund)
        outcomes.append(outcome)
    return _as_they_are_now(outcomes)


def foresee(payment: Payment, wish: RefundWish) -> Foresight:
    """What a refund would do once it has succeeded; nothing is written. Raises what `intend_refund` raises."""
    plan = plan_refund(payment=payment, wish=wish)
    refunded = payment.amount_refunded + plan.amount
    order = payment.order
    return Foresight(
        amount=plan.amount,
        left_after=plan.left - plan.amount,
        payment_status=payment_status(captured=payment.amount_captured, refunded=refunded),
        order_status=payment_status_after(total=order.total, refunded=refunded) if payment.applied else "",
    )


def sentence_of(refusal: DomainError) -> str:
    """A refusal as staff reads it, with what is left where that is why."""
    if "remaining" in refusal.data:
        return f"{refusal.message} Left: {refusal.data['remaining']} {refusal.data['currency']}."
    fields = refusal.data.get("fields", {})
    return " ".join(sentence for told in fields.values() for sentence in told) or refusal.message


def _offer(payment: Payment, committed: int, *, disputed: bool) -> Offer:
    left = max(0, payment.amount_captured - committed - payment.amount_lost)
    refusal = refusal_of(payment, disputed=disputed)
    if refusal is not None:
        return Offer(payment, committed, left, refusal.message)
    return Offer(payment, committed, left, "" if left else "Nothing is left of it.")


def _write(payment: Payment, wish: RefundWish, *, page: str, by: User) -> Outcome:
    try:
        refund, again = intend_once(
            payment=payment, wish=wish, source=Refund.Source.STAFF, by=by, reference=_reference(payment, page, by)
        )
    except DomainError as refusal:
        return Outcome(payment, None, sentence_of(refusal))
    except Exception:  # whatever is wrong with this row, the others have their turn
        logger.exception("refund_not_written", extra={"payment": payment.pk})
        return Outcome(payment, None, "The shop could not write this refund. The log says why.")
    return Outcome(payment, refund, again=again)


def _ask(outcome: Outcome, refund: Refund) -> tuple[Outcome, bool]:
    """Ask Stripe for one refund; also whether Stripe seems to be away."""
    try:
        refund = carry_out(refund)
    except DomainError as refusal:
        return replace(outcome, refusal=sentence_of(refusal)), False
    except Exception:  # the intention stands, and `work` goes on with it
        logger.exception("refund_not_carried_out", extra={"refund": refund.pk})
        return outcome, False
    return outcome, refund.status == Refund.Status.PENDING and refund.stripe_refund_id is None


def _as_they_are_now(outcomes: list[Outcome]) -> list[Outcome]:
    """With each refund as the database has it: `work` may have been faster."""
    rows = Refund.objects.in_bulk([outcome.refund.pk for outcome in outcomes if outcome.refund is not None])
    return [replace(outcome, refund=rows[outcome.refund.pk]) if outcome.refund else outcome for outcome in outcomes]


def _reference(payment: Payment, page: str, by: User) -> str:
    return "pr_" + hashlib.sha256(f"{by.pk}/{page}/{payment.pk}".encode()).hexdigest()[:32]
