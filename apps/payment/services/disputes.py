"""Answering a dispute: a draft of evidence, then submitting it or accepting the dispute. Both are final.

What is decided is a committed row with its key before Stripe is asked; `work` finishes what was cut off. What Stripe
answers goes through `ledger.apply_dispute`, like everything that it tells of disputes. A decision answers one stage:
an inquiry that becomes a dispute, or a dispute that is to be answered again, takes another one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts.models import User
from apps.common import stopping
from apps.common.errors import Conflict, DomainError
from apps.payment import gateway
from apps.payment.gateway import StripeDispute, StripeRefused, StripeReplayedFailure, StripeUnavailable
from apps.payment.models import Dispute, Payment
from apps.payment.services.attempts import lock_payment, write_log
from apps.payment.services.cases import open_case
from apps.payment.services.evidence import check_evidence, draft_evidence
from apps.payment.services.ledger import UNDECIDED, apply_dispute
from apps.payment.services.provider import KEYS_LIVE

IN_HAND = timedelta(seconds=60)
"""How long whoever asks Stripe has a decision to itself."""

SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(minutes=5)
"""Between two tries while Stripe is away."""


class DisputeAnswered(Conflict):
    code = "dispute_answered"
    message = "This dispute was answered already, or its answer is on the way."


class DisputeClosed(Conflict):
    code = "dispute_closed"
    message = "This dispute is closed."


class DisputePastDue(Conflict):
    code = "dispute_past_due"
    message = "The bank took answers to this dispute until its deadline, which is over."


class EvidenceMissing(DomainError):
    code = "evidence_missing"
    message = "Save a draft of the evidence before you submit it."


class AnswerRefused(DomainError):
    """Stripe will not take it as it is; the dispute waits for an answer as before."""

    code = "answer_refused"
    message = "The payment provider refused this answer."


def evidence_of(dispute: Dispute) -> dict[str, str]:
    """The draft as staff last saved it, by Stripe's field names; before that, what the shop can tell by itself."""
    return _kept(dispute) or draft_evidence(dispute)


def save_draft(dispute: Dispute, evidence: Mapping[str, str], *, by: User) -> Dispute:
    """Keep a draft in place of the one before. Stripe gets it when it is submitted.

    Not earlier: a text that Stripe has cannot be taken back, and all that it has is handed to the bank. Raises
    InvalidInput, DisputeAnswered, DisputeClosed, DisputePastDue.
    """
    texts = check_evidence(evidence)
    with transaction.atomic(durable=True):
        payment = lock_payment(dispute.payment_id)
        dispute = _answerable(dispute)
        dispute.evidence = json.dumps(texts)
        dispute.save(update_fields=["evidence"])
        write_log(
            payment, "dispute_draft", before=payment.status, detail=f"{dispute.stripe_dispute_id} by user {by.pk}"
        )
    return dispute


def submit(dispute: Dispute, *, by: User) -> Dispute:
    """Hand the draft to the buyer's bank, for good.

    When Stripe cannot be reached the decision stands (`decision_done_at` is empty) and `work` goes on. Raises
    EvidenceMissing, DisputeAnswered, DisputeClosed, DisputePastDue, AnswerRefused.
    """
    return _carry_out(_decide(dispute, Dispute.Decision.SUBMIT, by))


def accept(dispute: Dispute, *, by: User) -> Dispute:
    """Leave the money to the buyer's bank, for good: the dispute is lost, an inquiry closed.

    When Stripe cannot be reached the decision stands (`decision_done_at` is empty) and `work` goes on. Raises
    DisputeAnswered, DisputeClosed, DisputePastDue, AnswerRefused.
    """
    return _carry_out(_decide(dispute, Dispute.Decision.ACCEPT, by))


def finish_decisions(limit: int = 50) -> int:
    """Tell Stripe what was decided and is not known to have arrived there. Returns how many came to an end."""
    now = timezone.now()
    undone = Dispute.objects.exclude(decision="").filter(decision_done_at=None)
    due = undone.filter(Q(decision_due_at=None) | Q(decision_due_at__lte=now)).order_by("pk")
    finished = 0
    for dispute in list(due[:limit]):
        if stopping.asked():
            break
        if not _take(dispute):
            continue
        try:
            dispute = _carry_out(dispute, attended=False)
        except DomainError:
            finished += 1
            continue
        if dispute.decision and dispute.decision_done_at is None:
            break  # Stripe is away
        finished += 1
    return finished


def _kept(dispute: Dispute) -> dict[str, str]:
    found: dict[str, str] = json.loads(dispute.evidence or "{}")
    return found


def _answerable(dispute: Dispute) -> Dispute:
    """The row as it stands. Raises what says why it cannot be answered any more."""
    dispute = Dispute.objects.get(pk=dispute.pk)
    if dispute.decision:
        raise DisputeAnswered(decision=dispute.decision)
    if dispute.is_over:
        raise DisputeClosed(dispute_status=dispute.status)
    if dispute.status not in Dispute.ANSWERABLE:
        raise DisputeAnswered(dispute_status=dispute.status)
    if dispute.due_by is not None and dispute.due_by <= timezone.now():
        raise DisputePastDue(due_by=dispute.due_by.isoformat())
    return dispute


def _decide(dispute: Dispute, decision: str, by: User) -> Dispute:
    now = timezone.now()
    with transaction.atomic(durable=True):
        payment = lock_payment(dispute.payment_id)
        dispute = _answerable(dispute)
        if decision == Dispute.Decision.SUBMIT and not _kept(dispute):
            raise EvidenceMissing
        dispute.decision, dispute.decision_key = decision, f"pd_{secrets.token_hex(16)}-1"
        dispute.decided_by, dispute.decided_at, dispute.decision_due_at = by, now, now + IN_HAND
        dispute.save(update_fields=["decision", "decision_key", "decided_by", "decided_at", "decision_due_at"])
        _log(payment, dispute, "decided", detail=f"by user {by.pk}")
    return dispute


def _take(dispute: Dispute) -> bool:
    """Whether this process is the one to ask now."""
    now = timezone.now()
    free = Dispute.objects.filter(pk=dispute.pk, decision_key=dispute.decision_key, decision_done_at=None)
    due = free.filter(Q(decision_due_at=None) | Q(decision_due_at__lte=now))
    return bool(due.update(decision_due_at=now + IN_HAND))


def _carry_out(dispute: Dispute, *, attended: bool = True) -> Dispute:
    """Ask Stripe for what was decided and keep what it says. What it refused is to be decided anew."""
    told, asked_at, refusal = None, timezone.now(), None
    try:
        if asked_at - _decided_at(dispute) <= KEYS_LIVE:
            try:
                return _done(dispute, _ask(dispute), asked_at)
            except StripeReplayedFailure:
                pass  # this key answers with the failure for a day
            except StripeRefused as error:
                refusal = error
        # Stripe may have done it all the same, or long ago: the dispute itself tells.
        asked_at = timezone.now()
        told = gateway.retrieve_dispute(dispute.stripe_dispute_id)
        if _is_carried_out(dispute, told):
            return _done(dispute, told, asked_at)
        if refusal is None and told.status in Dispute.ANSWERABLE:
            _renew_key(dispute)
            asked_at = timezone.now()
            return _done(dispute, _ask(dispute), asked_at)
    except StripeUnavailable:
        return _put_back(dispute)
    except StripeRefused as error:
        refusal = error
    raise _withdrawn(dispute, told, asked_at, refusal, attended=attended) from refusal


def _ask(dispute: Dispute) -> StripeDispute:
    if dispute.decision == Dispute.Decision.ACCEPT:
        return gateway.close_dispute(dispute.stripe_dispute_id, idempotency_key=dispute.decision_key)
    return gateway.update_evidence(
        dispute.stripe_dispute_id, _kept(dispute), submit=True, idempotency_key=dispute.decision_key
    )


def _is_carried_out(dispute: Dispute, told: StripeDispute) -> bool:
    """Whether it shows what was decided. Its deadline or somebody in Stripe's Dashboard may have come first."""
    if dispute.decision == Dispute.Decision.ACCEPT:
        return told.status in Dispute.OVER
    if told.status in Dispute.ANSWERABLE or not told.submissions:
        return False
    return all(told.evidence.get(name, "").split() == text.split() for name, text in _kept(dispute).items())


def _done(dispute: Dispute, told: StripeDispute, asked_at: datetime) -> Dispute:
    with transaction.atomic(durable=True):
        payment = lock_payment(dispute.payment_id)
        undone = Dispute.objects.filter(pk=dispute.pk, decision_key=dispute.decision_key, decision_done_at=None)
        if undone.update(decision_done_at=timezone.now(), decision_due_at=None):
            _log(payment, dispute, "done")
        return apply_dispute(told, asked_at=asked_at)


def _withdrawn(
    dispute: Dispute, told: StripeDispute | None, asked_at: datetime, refusal: StripeRefused | None, *, attended: bool
) -> DomainError:
    """Stripe will not do it: nothing is decided any more. With nobody there to see why, a case tells staff."""
    with transaction.atomic(durable=True):
        payment = lock_payment(dispute.payment_id)
        if told is not None:
            apply_dispute(told, asked_at=asked_at)
        if Dispute.objects.filter(pk=dispute.pk, decision_key=dispute.decision_key).update(**UNDECIDED):
            why = refusal.stripe_code or refusal.param if refusal else ""
            if told is not None and told.status not in Dispute.ANSWERABLE:
                why = told.status
            _log(payment, dispute, "refused", detail=why)
            if not attended:
                detail = f"Stripe did not {dispute.get_decision_display()}: {why or 'no reason given'}."
                open_case(payment, kind="answer_refused", object_id=dispute.decision_key, detail=detail)
    if told is not None and told.status in Dispute.OVER:
        return DisputeClosed(dispute_status=told.status)
    if told is not None and told.status not in Dispute.ANSWERABLE:
        return DisputeAnswered(dispute_status=told.status)
    return AnswerRefused(param=refusal.param if refusal else "")


def _put_back(dispute: Dispute) -> Dispute:
    """Wait as long again as it has been waiting."""
    now = timezone.now()
    wait = min(max(now - _decided_at(dispute), SHORTEST_WAIT), LONGEST_WAIT)
    Dispute.objects.filter(pk=dispute.pk, decision_key=dispute.decision_key).update(decision_due_at=now + wait)
    dispute.refresh_from_db()
    return dispute


def _renew_key(dispute: Dispute) -> None:
    stem, _, number = dispute.decision_key.rpartition("-")
    renewed = f"{stem}-{int(number) + 1}"
    Dispute.objects.filter(pk=dispute.pk, decision_key=dispute.decision_key).update(decision_key=renewed)
    dispute.refresh_from_db()


def _decided_at(dispute: Dispute) -> datetime:
    assert dispute.decided_at is not None  # noqa: S101 - asked of decided disputes only
    return dispute.decided_at


def _log(payment: Payment, dispute: Dispute, what: str, *, detail: str = "") -> None:
    write_log(
        payment,
        f"dispute_{dispute.decision}_{what}",
        before=payment.status,
        object_id=dispute.decision_key,
        detail=f"{dispute.stripe_dispute_id} {detail}".rstrip(),
    )
