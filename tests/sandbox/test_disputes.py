"""Disputes and inquiries: opened by cards, answered through the API, decided by the bank."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import charge_of, refusal

DISPUTED = ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
WON = [*DISPUTED, "charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_reinstated"]


def only_dispute(box: Any, intent: stripe.PaymentIntent) -> stripe.Dispute:
    found = box.stripe.v1.disputes.list({"payment_intent": intent.id}).data
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("card", "reason", "code"),
    [
        ("pm_card_createDispute", "fraudulent", "10.4"),
        ("pm_card_createDisputeProductNotReceived", "product_not_received", "13.1"),
    ],
)
def test_card_opens_a_dispute_before_the_call_returns(box, pay, news, card, reason, code):
    intent = pay(card)

    dispute = only_dispute(box, intent)

    assert (dispute.status, dispute.reason, dispute.amount, dispute.currency) == ("needs_response", reason, 2000, "usd")
    assert (dispute.charge, dispute.payment_intent) == (intent.latest_charge, intent.id)
    assert (dispute.is_charge_refundable, charge_of(box, intent).disputed) == (False, True)
    details = dispute.evidence_details
    assert (details.has_evidence, details.past_due, details.submission_count) == (False, False, 0)
    assert details.due_by - dispute.created == 9 * 86400
    card_details = dispute.payment_method_details.card
    assert (card_details.brand, card_details.case_type, card_details.network_reason_code) == (
        "visa",
        "chargeback",
        code,
    )
    [entry] = dispute.balance_transactions
    assert (entry.type, entry.reporting_category, entry.amount, entry.fee, entry.net) == (
        "adjustment",
        "dispute",
        -2000,
        1500,
        -3500,
    )
    assert news(dispute.id) == DISPUTED


def test_captured_later_is_disputed_later(box, pay):
    intent = pay("pm_card_createDispute", capture_method="manual")
    assert box.stripe.v1.disputes.list().data == []

    box.stripe.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1500})

    assert only_dispute(box, intent).amount == 1500


def test_session_paid_with_the_card(box, new_session):
    session = new_session()

    box.control(f"sessions/{session.id}/pay", payment_method="4000000000000259")

    [dispute] = box.stripe.v1.disputes.list({"expand": ["data.payment_intent", "data.charge"]}).data
    assert (dispute.payment_intent.status, dispute.charge.disputed, dispute.amount) == ("succeeded", True, 3000)


def test_disputed_charge_is_not_refunded(box, pay):
    intent = pay("pm_card_createDispute")

    assert refusal(box.stripe.v1.refunds.create, {"payment_intent": intent.id}) == ("charge_disputed", None)
    assert charge_of(box, intent).amount_refunded == 0


def test_inquiry_takes_no_money_and_allows_a_refund(box, pay, news):
    intent = pay("pm_card_createDisputeInquiry")
    inquiry = only_dispute(box, intent)
    assert (inquiry.status, inquiry.is_charge_refundable) == ("warning_needs_response", True)
    assert (inquiry.balance_transactions, inquiry.payment_method_details.card.case_type) == ([], "inquiry")
    assert charge_of(box, intent).disputed is True

    refund = box.stripe.v1.refunds.create({"payment_intent": intent.id})
    closed = box.stripe.v1.disputes.close(inquiry.id)

    assert (refund.status, closed.status) == ("succeeded", "warning_closed")
    assert news(inquiry.id) == ["charge.dispute.created", "charge.dispute.closed"]


def test_winning_evidence_brings_the_money_back(box, pay, news):
    intent = pay("pm_card_createDispute")
    dispute = only_dispute(box, intent)

    won = box.stripe.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})

    assert (won.status, won.is_charge_refundable) == ("won", True)
    details = won.evidence_details
    assert (details.has_evidence, details.submission_count, details.submission_method) == (True, 1, "manual")
    assert [(t.amount, t.fee, t.reporting_category) for t in won.balance_transactions] == [
        (-2000, 1500, "dispute"),
        (2000, 0, "dispute_reversal"),
    ]
    assert news(dispute.id) == WON
    assert box.stripe.v1.refunds.create({"payment_intent": intent.id}).amount == 2000


def test_losing_evidence(box, pay, news):
    dispute = only_dispute(box, pay("pm_card_createDispute"))

    lost = box.stripe.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "losing_evidence"}})

    assert (lost.status, lost.is_charge_refundable, len(lost.balance_transactions)) == ("lost", False, 1)
    assert news(dispute.id) == [*DISPUTED, "charge.dispute.updated", "charge.dispute.closed"]


def test_inquiry_escalates(box, pay, news):
    dispute = only_dispute(box, pay("pm_card_createDisputeInquiry"))

    escalated = box.stripe.v1.disputes.update(
        dispute.id, {"evidence": {"uncategorized_text": "escalate_inquiry_evidence"}}
    )

    assert (escalated.status, escalated.is_charge_refundable) == ("needs_response", False)
    assert (escalated.payment_method_details.card.case_type, escalated.evidence_details.submission_count) == (
        "chargeback",
        1,
    )
    assert [t.amount for t in escalated.balance_transactions] == [-2000]
    assert news(dispute.id) == [
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
    ]
    assert box.stripe.v1.disputes.close(dispute.id).status == "lost"


def test_draft_then_review_then_lost(box, pay, news):
    disputes = box.stripe.v1.disputes
    dispute = only_dispute(box, pay("pm_card_createDispute"))

    draft = disputes.update(dispute.id, {"evidence": {"customer_name": "Ada"}, "submit": False})
    assert (draft.status, draft.evidence_details.has_evidence) == ("needs_response", True)
    assert draft.evidence_details.submission_count == 0

    sent = disputes.update(dispute.id, {"evidence": {"shipping_carrier": "DHL"}})
    assert (sent.status, sent.evidence.customer_name, sent.evidence.shipping_carrier) == ("under_review", "Ada", "DHL")
    told = box.stripe.v1.events.list({"type": "charge.dispute.updated"}).data[0].data.previous_attributes
    assert (told.status, told.evidence.to_dict()) == ("needs_response", {"shipping_carrier": None})
    assert refusal(disputes.update, dispute.id, {"evidence": {"customer_name": "Bob"}}) == (None, "evidence")
    assert refusal(disputes.close, dispute.id) == (None, None)

    box.control("advance", seconds=600)

    assert disputes.retrieve(dispute.id).status == "lost"
    assert news(dispute.id) == [*DISPUTED, *["charge.dispute.updated"] * 2, "charge.dispute.closed"]
    assert refusal(disputes.close, dispute.id) == (None, None)
    assert disputes.update(dispute.id, {"metadata": {"case": "7"}}).metadata.case == "7"


def test_staged_draft_is_submitted_by_itself(box, pay):
    disputes, dispute = box.stripe.v1.disputes, only_dispute(box, pay("pm_card_createDispute"))
    disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": False})

    assert disputes.update(dispute.id, {"submit": True}).status == "won"


def test_metadata_submits_nothing(box, pay, news):
    dispute = only_dispute(box, pay("pm_card_createDispute"))

    updated = box.stripe.v1.disputes.update(dispute.id, {"metadata": {"foo": "bar"}})

    assert (updated.status, updated.evidence_details.submission_count) == ("needs_response", 0)
    assert news(dispute.id) == [*DISPUTED, "charge.dispute.updated"]


def test_too_much_evidence(box, pay):
    disputes, dispute = box.stripe.v1.disputes, only_dispute(box, pay("pm_card_createDispute"))
    texts = {"uncategorized_text": "a" * 100_000, "access_activity_log": "b" * 50_000}

    assert refusal(disputes.update, dispute.id, {"evidence": {**texts, "customer_name": "c"}}) == (None, "evidence")
    assert disputes.retrieve(dispute.id).evidence_details.has_evidence is False
    assert disputes.update(dispute.id, {"evidence": texts}).status == "under_review"
    assert refusal(disputes.update, dispute.id, {"evidence": {"receipt": "file_1"}}) == (
        "sandbox_unsupported",
        "evidence[receipt]",
    )


def test_unanswered(box, pay):
    disputes = box.stripe.v1.disputes
    dispute = only_dispute(box, pay("pm_card_createDispute"))
    inquiry = only_dispute(box, pay("pm_card_createDisputeInquiry"))

    box.control("advance", seconds=8 * 86400)
    assert disputes.retrieve(dispute.id).status == "needs_response"
    box.control("advance", seconds=86400)

    assert disputes.retrieve(dispute.id).status == "lost"
    assert disputes.retrieve(inquiry.id).status == "warning_closed"


def test_lists(box, pay):
    disputes = box.stripe.v1.disputes
    intents = [pay("pm_card_createDispute") for _ in range(3)]
    found = disputes.list().data

    assert [d.payment_intent for d in found] == [i.id for i in intents[::-1]]
    assert [d.id for d in disputes.list({"charge": intents[0].latest_charge}).data] == [found[2].id]
    assert [d.id for d in disputes.list({"limit": 1, "starting_after": found[0].id}).data] == [found[1].id]
    assert disputes.list({"created": {"lt": found[2].created}}).data == []
    assert refusal(disputes.retrieve, "dp_none") == ("resource_missing", "id")
