"""Attempts to pay: what Stripe's sessions and intents say, and what stands here.

A page of a list is compared with the rows as they are after it was read, so a row can only be ahead of it. What looks
different is asked about again at the end, one by one: by then the events that were on their way have arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.payment import gateway
from apps.payment.gateway import CheckoutSession, Page, PaymentIntent, Span, StripeRefused
from apps.payment.models import Payment
from apps.payment.services.attempts import REFERENCE_PREFIX
from apps.payment.services.progress import absorb_intent, absorb_session, apply_delayed_failure
from apps.payment.services.provider import MethodGone, NeverOpened, open_at_stripe
from apps.payment.services.reconcile.report import Report, Step
from apps.payment.services.settlement import PaidFacts

Told = CheckoutSession | PaymentIntent
One = TypeVar("One", CheckoutSession, PaymentIntent)

LIVE = timedelta(hours=25)
"""Sessions live for a day at most, so these may still have changed since the span began."""

CLOCKS_DIFFER = timedelta(minutes=5)
IN_FLIGHT = timedelta(minutes=1)
"""What is this young may still be on its way between here and Stripe."""

WAITING = ("requires_payment_method", "requires_confirmation", "requires_action")
PROMISED = ("processing", "requires_capture")
S = Payment.Status


@dataclass(slots=True)
class Findings:
    """What the lists brought up: attempts that look different, sessions and intents without an attempt here.

    `seen` are the rows that a list showed, `again` Stripe's ids of those that are asked about in any case.
    """

    suspects: list[Told] = field(default_factory=list)
    lost: dict[str, Told] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    again: set[str] = field(default_factory=set)


def read_sessions(report: Report, findings: Findings) -> Iterator[Step]:
    span = Span(report.span.start - LIVE, report.span.end)
    yield from _read("sessions", gateway.session_pages(span), gateway.session_from_snapshot, report, findings, span)


def read_intents(report: Report, findings: Findings) -> Iterator[Step]:
    span = Span(report.span.start - LIVE, report.span.end)
    yield from _read("intents", gateway.intent_pages(span), gateway.intent_from_snapshot, report, findings, span)


def look_again(left: Iterable[tuple[str, str]], findings: Findings) -> None:
    """Ask about what the last run left, too. What has a row is asked by it, what has none is lost."""
    ids = {object_id for _, object_id in left if object_id.startswith(("cs_", "pi_"))}
    findings.again = ids
    rows = Payment.objects.filter(Q(stripe_session_id__in=ids) | Q(stripe_payment_intent_id__in=ids))
    known = {name for row in rows.values_list("stripe_session_id", "stripe_payment_intent_id") for name in row}
    for object_id in ids - known:
        try:
            told = _retrieve(object_id)
        except StripeRefused:
            continue
        findings.lost.setdefault(told.reference, told)


def look_for_unlisted(report: Report, findings: Findings) -> Iterator[Step]:
    """Attempts that have an object at Stripe which no list showed: too old for the lists, or not there at all."""
    listed_since = report.span.start - LIVE + CLOCKS_DIFFER
    rows = Payment.objects.filter(livemode=settings.PAYMENT_ENV == "live", created_at__lt=report.span.end - IN_FLIGHT)
    recent = rows.filter(created_at__gte=listed_since).values_list("pk", flat=True)
    left = Q(stripe_session_id__in=findings.again) | Q(stripe_payment_intent_id__in=findings.again)
    old = rows.filter(left | Q(status__in=Payment.OPEN), created_at__lt=listed_since).values_list("pk", flat=True)
    unlisted = [pk for pks in (recent, old) for pk in pks.iterator(chunk_size=5000) if pk not in findings.seen]
    for start in range(0, len(unlisted), 100):
        for payment in Payment.objects.filter(pk__in=unlisted[start : start + 100]).select_related("order"):
            if payment.is_opened:
                _ask_about(report, payment)
        yield Step("unlisted", min(1.0, (start + 100) / len(unlisted)), start)


def settle_suspect(report: Report, told: Told) -> None:
    """Ask about one attempt that looked different, and have it agree where it still does not."""
    payment = Payment.objects.filter(reference=told.reference).select_related("order").first()
    if payment is None:
        return
    _settle(report, payment, retrieve(told))


def is_ours(found: Mapping[str, Any]) -> bool:
    """Whether a session or an intent carries a reference as this shop makes them."""
    reference = (found.get("metadata") or {}).get("proshop_payment")
    return isinstance(reference, str) and reference.startswith(REFERENCE_PREFIX)


def retrieve(told: Told) -> Told:
    return _retrieve(told.id)


def close(told: Told) -> Told:
    """Let nobody pay there any more, and tell what it is after that."""
    if isinstance(told, CheckoutSession):
        return gateway.close_checkout_session(told.id)
    return gateway.cancel_payment_intent(told.id)


def is_open(told: Told) -> bool:
    """Whether a buyer can still pay there."""
    return told.status == "open" if isinstance(told, CheckoutSession) else told.status in WAITING


def is_over(told: Told) -> bool:
    """Whether it ended without money."""
    return told.status in ("expired", "canceled")


def absorb(told: Told) -> None:
    if isinstance(told, CheckoutSession):
        absorb_session(told)
    else:
        absorb_intent(told)


def disagreement(payment: Payment, told: Told) -> str:
    """In what a row and Stripe's object differ, for a person; empty where they agree."""
    reason = _session_differs(payment, told) if isinstance(told, CheckoutSession) else _intent_differs(payment, told)
    return f"{reason}: {_at_stripe(told)} at Stripe, {_here(payment)} here" if reason else ""


def _retrieve(object_id: str) -> Told:
    if object_id.startswith("cs_"):
        return gateway.retrieve_checkout_session(object_id)
    return gateway.retrieve_payment_intent(object_id)


def _read(
    phase: str,
    pages: Iterable[Page],
    parse: Callable[[Mapping[str, Any]], One],
    report: Report,
    findings: Findings,
    span: Span,
) -> Iterator[Step]:
    for page in pages:
        _compare([parse(found) for found in page.objects if is_ours(found)], findings)
        yield report.page_read(phase, page, span)


def _compare(told: Sequence[One], findings: Findings) -> None:
    rows = Payment.objects.filter(reference__in=[each.reference for each in told])
    known = {row.reference: row for row in rows.defer("request_params", "checkout_url", "receipt_url")}
    for each in told:
        payment = known.get(each.reference)
        if payment is not None:
            findings.seen.add(payment.pk)
            if disagreement(payment, each):
                findings.suspects.append(each)
        elif not is_over(each):
            findings.lost.setdefault(each.reference, each)


def _session_differs(payment: Payment, session: CheckoutSession) -> str:
    if _is_strange(payment, session):
        return "" if is_over(session) else "another session of the same attempt"
    if session.is_paid:
        return _money_differs(payment, session.amount, session.currency)
    if session.status == "complete":
        return "the buyer finished the page" if payment.status in (S.PENDING, S.REQUIRES_ACTION) else ""
    if session.status == "expired":
        return "the session is over" if payment.is_open else ""
    if not payment.is_open:
        return "the session can still be paid"
    unanswered = not payment.is_opened and payment.created_at < timezone.now() - IN_FLIGHT
    return "no answer about the session came" if unanswered else ""


def _intent_differs(payment: Payment, intent: PaymentIntent) -> str:
    own = payment.channel == Payment.Channel.INTENT
    if _is_strange(payment, intent):
        return "another intent of the same attempt" if intent.status in (*PROMISED, "succeeded") else ""
    if intent.status == "succeeded":
        return _money_differs(payment, intent.amount_received, intent.currency)
    if intent.status in PROMISED:
        return "the money is promised" if payment.status in (S.PENDING, S.REQUIRES_ACTION) else ""
    if payment.is_settled:
        return "the money is not there"
    if not own:
        # The page deals with what goes wrong on it; a promise that was broken is told by its intent.
        return "the promised money does not come" if payment.status == S.PROCESSING else ""
    if intent.status == "canceled":
        return "the intent is cancelled" if payment.is_open else ""
    if not payment.is_open:
        return "the intent can still be paid"
    if not payment.is_opened:
        return "no answer about the intent came" if payment.created_at < timezone.now() - IN_FLIGHT else ""
    stands = S.REQUIRES_ACTION if intent.status == "requires_action" else S.PENDING
    return "" if payment.status == stands else "the intent waits for something else"


def _is_strange(payment: Payment, told: Told) -> bool:
    """Whether the attempt has another session or intent than this one."""
    if isinstance(told, CheckoutSession):
        return payment.stripe_session_id not in (None, told.id)
    return payment.stripe_payment_intent_id not in (None, told.id)


def _money_differs(payment: Payment, amount: int, currency: str) -> str:
    if not payment.is_settled:
        return "the money is there"
    if payment.amount_captured != amount:
        return "the amount"
    # Another currency than the order's is kept as a case, with the amount alone.
    mismatch = payment.problem == Payment.Problem.AMOUNT_MISMATCH
    return "" if mismatch or payment.currency == currency else "the currency"


def _at_stripe(told: Told) -> str:
    if isinstance(told, CheckoutSession):
        return f"session {told.status}, {told.payment_status}, {told.amount} {told.currency}"
    return f"intent {told.status}, {told.amount_received or told.amount} {told.currency}"


def _here(payment: Payment) -> str:
    return f"{payment.status}, {payment.amount_captured or payment.amount} {payment.currency}"


def _settle(report: Report, payment: Payment, told: Told) -> None:
    detail = disagreement(payment, told)
    if not detail:
        return

    def mend() -> str:
        return disagreement(payment, _take_over(payment, told))

    report.settle("payment", told.id, order=payment.order.number, detail=detail, mend=mend, about=payment.reference)


def _take_over(payment: Payment, told: Told) -> Told:
    """Have the row say what Stripe says, or Stripe do what the shop decided; tells how Stripe's object stands then."""
    strange = _is_strange(payment, told)
    if is_open(told) and (strange or not payment.is_open):
        told = close(told)
    elif is_open(told) and not payment.is_opened:
        try:
            open_at_stripe(payment)
        except (NeverOpened, MethodGone, StripeRefused):
            told = retrieve(told)
    if isinstance(told, PaymentIntent) and _is_broken_promise(payment, told):
        with transaction.atomic(durable=True):
            apply_delayed_failure(PaidFacts.of_intent(told), code=told.decline_code)
    elif not strange:
        absorb(told)
    payment.refresh_from_db()
    return told


def _is_broken_promise(payment: Payment, intent: PaymentIntent) -> bool:
    on_page = payment.channel == Payment.Channel.SESSION
    return on_page and payment.status == S.PROCESSING and intent.status in WAITING


def _ask_about(report: Report, payment: Payment) -> None:
    """One that no list showed: asked by its id. What Stripe does not have is left for a person."""
    intent_id = payment.stripe_payment_intent_id or ""
    by_intent = payment.channel == Payment.Channel.INTENT or (intent_id and payment.status == S.PROCESSING)
    object_id = intent_id if by_intent else payment.stripe_session_id or ""
    try:
        told = _retrieve(object_id)
    except StripeRefused as refusal:
        detail = f"Stripe does not have it ({refusal.stripe_code or refusal.http_status}), {_here(payment)} here"
        report.leave("not_at_stripe", object_id, order=payment.order.number, detail=detail)
        return
    _settle(report, payment, told)
