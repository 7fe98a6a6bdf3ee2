"""Control calls for refunds and disputes: what the Dashboard and the banks do."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.conftest import Box, charge_of


def refused(box: Box, call: str, **body: Any) -> int:
    return requests.post(f"{box.url}/_control/{call}", json=body, timeout=20).status_code


def test_refund_from_the_dashboard(box, pay):
    intent = pay(metadata={"order": "7"})

    part = box.control("refund", payment_intent=intent.id, amount=500, reason="duplicate")["refund"]
    rest = box.control("refund", charge=intent.latest_charge)["refund"]

    assert (part["amount"], part["reason"], part["metadata"]) == (500, "duplicate", {})
    assert (rest["amount"], rest["reason"]) == (1500, None)
    assert charge_of(box, intent).refunded is True
    told = box.stripe.v1.events.list({"type": "refund.created"}).data[0]
    assert (told.data.object.id, told.request.id) == (rest["id"], None)
    assert refused(box, "refund", charge=intent.latest_charge) == 400
    assert refused(box, "refund", charge=intent.latest_charge, reason="because") == 400
    assert refused(box, "refund") == 400


def test_refund_through_every_state(box, pay, news):
    intent = pay()
    refund = box.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
    refunded = []

    def put(status: str, **fields: Any) -> dict[str, Any]:
        answer = box.control(f"refunds/{refund.id}/set", status=status, **fields)["refund"]
        refunded.append(charge_of(box, intent).amount_refunded)
        return answer

    pending = put("pending")
    assert (pending["status"], pending["pending_reason"]) == ("pending", "processing")
    asked = put("requires_action")
    assert (asked["next_action"]["type"], "pending_reason" in asked) == ("display_details", False)
    failed = put("failed", failure_reason="lost_or_stolen_card")
    assert (failed["failure_reason"], "next_action" in failed) == ("lost_or_stolen_card", False)
    again = put("succeeded")
    assert ("failure_reason" in again, "failure_balance_transaction" in again) == (False, False)
    assert put("succeeded") == again
    assert put("canceled")["status"] == "canceled"

    assert refunded == [500, 500, 0, 500, 500, 0]
    moves = box.stripe.v1.balance_transactions.list({"source": refund.id}).data
    assert [m.amount for m in moves] == [500, -500, 500, -500]
    update = ["refund.updated", "charge.refund.updated"]
    assert news(refund.id) == [
        "refund.created",
        *update * 2,
        "refund.failed",
        "charge.refund.updated",
        *update * 2,
    ]
    box.control("advance", seconds=3600)
    assert box.stripe.v1.refunds.retrieve(refund.id).status == "canceled"


def test_failed_refund_stands_again_only_if_enough_is_left(box, pay):
    intent = pay()
    failed = box.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 1500})
    box.control(f"refunds/{failed.id}/set", status="failed")
    box.stripe.v1.refunds.create({"payment_intent": intent.id})

    assert refused(box, f"refunds/{failed.id}/set", status="succeeded") == 400
    assert refused(box, f"refunds/{failed.id}/set", status="gone") == 400
    assert refused(box, f"refunds/{failed.id}/set", status="failed", failure_reason="mood") == 400
    assert refused(box, "refunds/re_none/set", status="failed") == 404
    assert charge_of(box, intent).amount_refunded == 2000


def test_cancel_by_api_only_while_the_buyer_is_asked(box, pay):
    refunds, intent = box.stripe.v1.refunds, pay()
    refund = refunds.create({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError, match="status of succeeded"):
        refunds.cancel(refund.id)
    box.control(f"refunds/{refund.id}/set", status="requires_action")

    assert refunds.cancel(refund.id).status == "canceled"
    assert charge_of(box, intent).amount_refunded == 0


@pytest.mark.parametrize("by", ["charge", "payment_intent"])
def test_bank_disputes_a_part(box, pay, news, by):
    intent = pay()
    named = intent.id if by == "payment_intent" else intent.latest_charge

    dispute = box.control(f"charges/{named}/dispute", reason="duplicate", amount=700)["dispute"]

    assert (dispute["status"], dispute["reason"], dispute["amount"]) == ("needs_response", "duplicate", 700)
    assert dispute["balance_transactions"][0]["net"] == -2200
    assert refused(box, f"charges/{named}/dispute") == 409
    won = box.control(f"disputes/{dispute['id']}/decide", outcome="won")["dispute"]
    assert (won["status"], [e["amount"] for e in won["balance_transactions"]]) == ("won", [-700, 700])
    assert news(dispute["id"])[-2:] == ["charge.dispute.closed", "charge.dispute.funds_reinstated"]
    assert refused(box, f"disputes/{dispute['id']}/decide", outcome="lost") == 409


def test_dispute_is_about_what_was_not_refunded(box, pay):
    intent = pay()
    box.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 500})

    assert box.control(f"charges/{intent.id}/dispute")["dispute"]["amount"] == 1500


def test_dispute_fails_a_refund_that_is_on_its_way(box, pay):
    intent = pay("pm_card_pendingRefund")
    refund = box.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 500})

    box.control(f"charges/{intent.id}/dispute")

    failed = box.stripe.v1.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "charge_for_pending_refund_disputed")
    charge = charge_of(box, intent)
    assert (charge.amount_refunded, charge.disputed) == (0, True)


def test_inquiry_closes_or_escalates(box, pay):
    first, second = pay(), pay()
    closing = box.control(f"charges/{first.id}/dispute", inquiry=True)["dispute"]
    growing = box.control(f"charges/{second.id}/dispute", inquiry=True, reason="general")["dispute"]
    assert (closing["status"], closing["balance_transactions"]) == ("warning_needs_response", [])

    assert refused(box, f"disputes/{closing['id']}/decide", outcome="won") == 409
    closed = box.control(f"disputes/{closing['id']}/decide", outcome="warning_closed")["dispute"]
    real = box.control(f"disputes/{growing['id']}/decide", outcome="escalate")["dispute"]

    assert (closed["status"], real["status"]) == ("warning_closed", "needs_response")
    assert refused(box, f"disputes/{real['id']}/decide", outcome="warning_closed") == 409
    lost = box.control(f"disputes/{real['id']}/decide", outcome="lost")["dispute"]
    assert [e["amount"] for e in lost["balance_transactions"]] == [-2000]


def test_escalation_takes_nothing_once_all_is_refunded(box, pay, news):
    intent = pay("pm_card_createDisputeInquiry")
    [inquiry] = box.stripe.v1.disputes.list({"payment_intent": intent.id}).data
    box.stripe.v1.refunds.create({"payment_intent": intent.id})

    real = box.control(f"disputes/{inquiry.id}/decide", outcome="escalate")["dispute"]

    assert (real["status"], real["balance_transactions"]) == ("needs_response", [])
    assert news(inquiry.id) == ["charge.dispute.created", "charge.dispute.updated"]


def test_bank_debit_is_disputed_too(box, new_session):
    session = new_session(currency="eur")
    box.control(f"sessions/{session.id}/pay", payment_method="AT611904300234573201")
    intent = box.stripe.v1.checkout.sessions.retrieve(session.id).payment_intent
    assert refused(box, f"charges/{intent}/dispute") == 409
    box.control("settle")

    dispute = box.control(f"charges/{intent}/dispute", reason="debit_not_authorized")["dispute"]

    assert (dispute["payment_method_details"], dispute["status"]) == (None, "needs_response")
    error = requests.post(f"{box.url}/_control/refund", json={"payment_intent": intent}, timeout=9).json()["error"]
    assert error["code"] == "refund_disputed_payment"


def test_what_cannot_be_disputed(box, pay):
    held = pay(capture_method="manual")

    assert refused(box, f"charges/{held.id}/dispute") == 409
    assert refused(box, f"charges/{pay().id}/dispute", reason="mood") == 400
    assert refused(box, f"charges/{pay().id}/dispute", amount=2001) == 400
    assert refused(box, f"charges/{pay().id}/dispute", amount=0) == 400
    assert refused(box, f"charges/{pay().id}/dispute", amount="all") == 400
    assert refused(box, "charges/ch_none/dispute") == 400
    assert refused(box, "disputes/dp_none/decide", outcome="won") == 404
    assert refused(box, "disputes/dp_none/decide", outcome="gone") == 400
