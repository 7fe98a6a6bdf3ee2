"""Disputes: the buyer's bank takes the money back, or only asks. Amounts are in minor units.

An inquiry (its status begins with `warning`) leaves the money where it is until it escalates.
"""

from __future__ import annotations

import copy

from stripe import params

from apps.sandbox import balance, ids, refunds
from apps.sandbox.call import Call
from apps.sandbox.cards import BY_NUMBER
from apps.sandbox.charges import AFTER_CHARGE
from apps.sandbox.events import changed, emit
from apps.sandbox.money import decimals
from apps.sandbox.store import Object

RESPONSE_SECONDS = 9 * 86400  # until `due_by`
REVIEW_FACTOR = 10  # how long the bank reads evidence, as a multiple of the settling delay

# Stripe's reasons, with Visa's code where there is one.
REASONS: dict[str, str | None] = {
    "bank_cannot_process": None,
    "check_returned": None,
    "credit_not_processed": "13.6",
    "customer_initiated": None,
    "debit_not_authorized": None,
    "duplicate": "12.6.1",
    "fraudulent": "10.4",
    "general": None,
    "incorrect_account_details": None,
    "insufficient_funds": None,
    "noncompliant": None,
    "product_not_received": "13.1",
    "product_unacceptable": "13.3",
    "subscription_canceled": "13.2",
    "unrecognized": "10.4",
}
# What a card's `after` stands for: the reason, and whether it is an inquiry.
CARDS = {
    "dispute_fraudulent": ("fraudulent", False),
    "dispute_product_not_received": ("product_not_received", False),
    "inquiry": ("general", True),
}
WAITING = ("needs_response", "warning_needs_response")
OPEN = (*WAITING, "under_review", "warning_under_review")
EVIDENCE = sorted(set(params.DisputeUpdateParamsEvidence.__annotations__) - {"appeal", "enhanced_evidence"})


def start(
    call: Call, charge: Object, *, reason: str = "fraudulent", amount: int | None = None, inquiry: bool = False
) -> Object:
    """The bank disputes a charge: what was not refunded of it, unless an amount is given."""
    dispute: Object = {
        "id": ids.new("dispute"),
        "object": "dispute",
        "amount": amount or refunds.remaining(charge) or charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": call.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": call.now + RESPONSE_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _method_details(charge, reason, inquiry),
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
    call.tx.put(charge | {"disputed": True})
    if not inquiry:
        _withdraw(call, dispute)
    call.tx.put(dispute)
    call.tx.schedule("decide_dispute", dispute["id"], seconds=RESPONSE_SECONDS)
    emit(call, "charge.dispute.created", dispute)
    if not inquiry:
        emit(call, "charge.dispute.funds_withdrawn", dispute)
        _fail_pending_refunds(call, dispute)
    return dispute


def _method_details(charge: Object, reason: str, inquiry: bool) -> Object | None:
    details = charge["payment_method_details"]
    if details["type"] != "card":
        return None
    brand = details["card"]["brand"]
    case = "inquiry" if inquiry else "chargeback"
    card = {"brand": brand, "case_type": case, "network": brand, "network_reason_code": REASONS[reason]}
    return {"card": card, "type": "card"}


def of_charge(call: Call, charge_id: str) -> list[Object]:
    return call.tx.page("dispute", filters={"charge": [charge_id]}, limit=100)


def is_inquiry(dispute: Object) -> bool:
    return bool(dispute["status"].startswith("warning"))


def _withdraw(call: Call, dispute: Object) -> None:
    entry = balance.enter(
        call,
        "adjustment",
        -dispute["amount"],
        source=dispute["id"],
        currency=dispute["currency"],
        description=f"Chargeback withdrawal for {dispute['charge']}",
        category="dispute",
        # 15.00 in every currency; where there are no decimals a plain 15 would be next to nothing.
        fee=15 * 10 ** (decimals(dispute["currency"]) or 2),
        fee_text="Dispute fee",
        waits=False,
    )
    dispute["balance_transactions"].append(entry)


def _reinstate(call: Call, dispute: Object) -> None:
    entry = balance.enter(
        call,
        "adjustment",
        dispute["amount"],
        source=dispute["id"],
        currency=dispute["currency"],
        description=f"Chargeback reversal for {dispute['charge']}",
        category="dispute_reversal",
        waits=False,
    )
    dispute["balance_transactions"].append(entry)


def _fail_pending_refunds(call: Call, dispute: Object) -> None:
    """The money is gone already: what was still on its way to the buyer does not arrive."""
    for refund in call.tx.page("refund", filters={"charge": [dispute["charge"]]}, limit=100):
        if refund["status"] == "pending":
            refunds.move(call, refund, "failed", "charge_for_pending_refund_disputed")


def submit(call: Call, dispute: Object, before: Object) -> Object:
    """Hand the evidence to the bank. Its text decides at once in the cases that Stripe documents for tests."""
    details, inquiry = dispute["evidence_details"], is_inquiry(dispute)
    details |= {
        "past_due": call.now > details["due_by"],
        "submission_count": details["submission_count"] + 1,
        "submission_method": "manual",
    }
    dispute["status"] = "warning_under_review" if inquiry else "under_review"
    call.tx.put(dispute)
    call.tx.unschedule(dispute["id"], "decide_dispute")
    emit(call, "charge.dispute.updated", dispute, changed(before, dispute))
    text = dispute["evidence"]["uncategorized_text"]
    if text in ("winning_evidence", "losing_evidence"):
        won = text == "winning_evidence"
        return decide(call, dispute, "warning_closed" if inquiry else "won" if won else "lost")
    if text == "escalate_inquiry_evidence" and inquiry:
        return escalate(call, dispute)
    call.tx.schedule("decide_dispute", dispute["id"], seconds=call.settle_seconds * REVIEW_FACTOR)
    return dispute


def escalate(call: Call, dispute: Object) -> Object:
    """The bank is not content with the answer to its inquiry: it takes the money and asks for evidence."""
    before = copy.deepcopy(dispute)
    dispute |= {"status": "needs_response", "is_charge_refundable": False}
    dispute["evidence_details"]["due_by"] = call.now + RESPONSE_SECONDS
    if dispute["payment_method_details"] is not None:
        dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
    takes = not call.get("charge", dispute["charge"])["refunded"]
    if takes:
        _withdraw(call, dispute)
    call.tx.put(dispute)
    call.tx.unschedule(dispute["id"], "decide_dispute")
    call.tx.schedule("decide_dispute", dispute["id"], seconds=RESPONSE_SECONDS)
    emit(call, "charge.dispute.updated", dispute, changed(before, dispute))
    if takes:
        emit(call, "charge.dispute.funds_withdrawn", dispute)
        _fail_pending_refunds(call, dispute)
    return dispute


def decide(call: Call, dispute: Object, outcome: str) -> Object:
    """End a dispute as `won` or `lost`, an inquiry as `warning_closed`. The fee is kept in any case."""
    dispute |= {"status": outcome, "is_charge_refundable": outcome != "lost"}
    returns = outcome == "won" and bool(dispute["balance_transactions"])
    if returns:
        _reinstate(call, dispute)
    call.tx.put(dispute)
    call.tx.unschedule(dispute["id"], "decide_dispute")
    emit(call, "charge.dispute.closed", dispute)
    if returns:
        emit(call, "charge.dispute.funds_reinstated", dispute)
    return dispute


def decide_unaided(call: Call, dispute_id: str) -> None:
    """Nobody answered in time, or the bank has read the evidence: disputes are lost, inquiries close."""
    dispute = call.tx.find(dispute_id, "dispute")
    if dispute is not None and dispute["status"] in OPEN:
        decide(call, dispute, "warning_closed" if is_inquiry(dispute) else "lost")


def _follow_card(call: Call, charge: Object) -> None:
    card = BY_NUMBER.get(charge["_number"])
    if card is not None and card.after in CARDS and charge["captured"]:
        reason, inquiry = CARDS[card.after]
        start(call, charge, reason=reason, inquiry=inquiry)


AFTER_CHARGE.append(_follow_card)
