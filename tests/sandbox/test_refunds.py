"""Refunds through the API, those that come late or fail, and what the charge and the balance say of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import charge_of, refusal


def test_parts_then_the_rest(box, pay, news):
    intent, refunds = pay(), box.stripe.v1.refunds

    first = refunds.create(
        {
            "payment_intent": intent.id,
            "amount": 700,
            "reason": "requested_by_customer",
            "metadata": {"order": "7"},
            "expand": ["charge", "balance_transaction"],
        }
    )

    assert (first.status, first.amount, first.currency, first.reason) == (
        "succeeded",
        700,
        "usd",
        "requested_by_customer",
    )
    assert (first.payment_intent, first.charge.id) == (intent.id, intent.latest_charge)
    assert (first.charge.amount_refunded, first.charge.refunded, first.metadata.order) == (700, False, "7")
    assert (first.balance_transaction.amount, first.balance_transaction.type) == (-700, "refund")
    for left_out in ("failure_reason", "pending_reason", "next_action", "failure_balance_transaction"):
        assert left_out not in first
    told = box.stripe.v1.events.list({"type": "charge.refunded"}).data[0]
    assert told.data.object.id == intent.latest_charge
    assert told.data.previous_attributes.to_dict() == {"amount_refunded": 0}

    second = refunds.create({"charge": intent.latest_charge})

    assert (second.amount, second.reason, second.metadata.to_dict()) == (1300, None, {})
    charge = charge_of(box, intent)
    assert (charge.amount_refunded, charge.refunded, charge.amount) == (2000, True, 2000)
    assert [r.id for r in charge.refunds.data] == [second.id, first.id]
    assert refusal(refunds.create, {"payment_intent": intent.id}) == ("charge_already_refunded", None)
    box.control("advance", seconds=2)
    assert news(first.id) == ["refund.created", "refund.updated", "charge.refund.updated"]
    assert news(charge.id) == ["charge.succeeded", "charge.refunded", "charge.refunded", "charge.updated"]
    assert refunds.retrieve(first.id).destination_details.card.reference_status == "available"


def test_more_than_is_left(box, pay):
    intent, refunds = pay(currency="eur"), box.stripe.v1.refunds
    refunds.create({"payment_intent": intent.id, "amount": 500})

    with pytest.raises(stripe.InvalidRequestError) as caught:
        refunds.create({"payment_intent": intent.id, "amount": 1501})

    error = caught.value
    assert (error.http_status, error.code, error.param) == (400, None, "amount")
    sentence = "Refund amount (€15.01) is greater than unrefunded amount on charge (€15.00)"
    assert error.user_message == sentence
    assert charge_of(box, intent).amount_refunded == 500


@pytest.mark.parametrize(
    ("currency", "amount", "expected"),
    [
        ("usd", 0, ("parameter_invalid_integer", "amount")),
        ("usd", -5, ("parameter_invalid_integer", "amount")),
        ("isk", 150, ("invalid_charge_amount_no_decimal_compatible", "amount")),
        ("ugx", 150, ("invalid_charge_amount_no_decimal_compatible", "amount")),
        ("kwd", 1005, (None, "amount")),
    ],
)
def test_amounts_that_cannot_be(box, pay, currency, amount, expected):
    intent = pay(currency=currency)

    assert refusal(box.stripe.v1.refunds.create, {"payment_intent": intent.id, "amount": amount}) == expected
    assert charge_of(box, intent).amount_refunded == 0


def test_what_cannot_be_refunded(box, pay):
    create = box.stripe.v1.refunds.create
    unpaid = box.stripe.v1.payment_intents.create({"amount": 2000, "currency": "usd"})
    held, other = pay(capture_method="manual"), pay()

    for intent in (unpaid, held):
        with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge to refund"):
            create({"payment_intent": intent.id})
    assert refusal(create, {}) == ("parameter_missing", None)
    assert refusal(create, {"charge": "ch_none"}) == ("resource_missing", "charge")
    assert refusal(create, {"payment_intent": "pi_none"}) == ("resource_missing", "payment_intent")
    assert refusal(create, {"payment_intent": other.id, "charge": held.latest_charge}) == (None, "charge")
    assert refusal(create, {"payment_intent": other.id, "reason": "because"}) == (None, "reason")
    assert refusal(create, {"payment_intent": other.id, "origin": "customer_balance"}) == (
        "sandbox_unsupported",
        "origin",
    )
    assert box.stripe.v1.refunds.list().data == []


def test_same_idempotency_key_pays_back_once(box, pay):
    intent = pay()
    params, options = {"payment_intent": intent.id, "amount": 500}, {"idempotency_key": "refund-1"}

    first, again = (box.stripe.v1.refunds.create(params, options) for _ in range(2))

    assert first.id == again.id
    assert charge_of(box, intent).amount_refunded == 500


def test_at_once_no_more_is_paid_back_than_was_paid(box, pay):
    intent = pay()

    def refund(_: int) -> bool:
        try:
            box.client().v1.refunds.create({"payment_intent": intent.id, "amount": 500})
        except stripe.InvalidRequestError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(refund, range(10)))

    assert outcomes.count(True) == 4
    assert (charge_of(box, intent).amount_refunded, charge_of(box, intent).refunded) == (2000, True)


def test_metadata_is_all_that_can_be_changed(box, pay, news):
    refunds = box.stripe.v1.refunds
    refund = refunds.create({"payment_intent": pay().id, "metadata": {"old": "x"}})

    updated = refunds.update(refund.id, {"metadata": {"old": "", "order_id": "6735"}})

    assert updated.metadata.to_dict() == {"order_id": "6735"}
    assert news(refund.id) == ["refund.created", "refund.updated", "charge.refund.updated"]
    told = box.stripe.v1.events.list({"type": "refund.updated"}).data[0]
    assert told.data.previous_attributes.to_dict(recursive=True) == {"metadata": {"old": "x", "order_id": None}}
    assert refusal(refunds.update, refund.id, {"amount": 5}) == ("parameter_unknown", "amount")
    assert refusal(refunds.retrieve, "re_none") == ("resource_missing", "id")


def test_lists(box, pay):
    refunds, one, two = box.stripe.v1.refunds, pay(), pay()
    made = [refunds.create({"payment_intent": i.id, "amount": 100}).id for i in (one, one, two)][::-1]

    def found(**params: Any) -> list[str]:
        return [r.id for r in refunds.list(params).data]

    assert found() == made
    assert found(payment_intent=one.id) == made[1:]
    assert found(charge=two.latest_charge) == made[:1]
    assert found(starting_after=made[0], limit=1) == [made[1]]
    assert found(created={"lt": one.created}) == []
    assert [r.id for r in refunds.list({"limit": 1}).auto_paging_iter()] == made


def test_pending_card(box, pay, news):
    refunds = box.stripe.v1.refunds
    refund = refunds.create({"payment_intent": pay("pm_card_pendingRefund").id})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    assert news(refund.id) == ["refund.created"]

    box.control("advance", seconds=60)

    settled = refunds.retrieve(refund.id)
    assert (settled.status, "pending_reason" in settled) == ("succeeded", False)
    assert news(refund.id) == ["refund.created", "refund.updated", "charge.refund.updated"]
    told = box.stripe.v1.events.list({"type": "refund.updated"}).data[0].data.previous_attributes
    assert (told.status, told.pending_reason) == ("pending", "processing")


def test_card_whose_refund_comes_back(box, pay, news):
    intent, refunds = pay("pm_card_refundFail"), box.stripe.v1.refunds
    refund = refunds.create({"payment_intent": intent.id})
    assert (refund.status, charge_of(box, intent).refunded) == ("succeeded", True)

    box.control("advance", seconds=60)

    failed = refunds.retrieve(refund.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    entry = failed.failure_balance_transaction
    assert (entry.type, entry.amount, entry.source) == ("refund_failure", 2000, refund.id)
    assert (charge_of(box, intent).amount_refunded, charge_of(box, intent).refunded) == (0, False)
    assert news(refund.id) == ["refund.created", "refund.failed", "charge.refund.updated"]
    assert refunds.create({"payment_intent": intent.id}).amount == 2000


def test_bank_debit_is_paid_back_slowly(box, new_session):
    session = new_session(currency="eur")
    box.control(f"sessions/{session.id}/pay", payment_method="AT611904300234573201")
    intent = box.stripe.v1.checkout.sessions.retrieve(session.id).payment_intent
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        box.stripe.v1.refunds.create({"payment_intent": intent})
    box.control("settle")

    refund = box.stripe.v1.refunds.create({"payment_intent": intent})

    assert (refund.status, refund.destination_details.type) == ("pending", "sepa_debit")
    box.control("advance", seconds=60)
    assert box.stripe.v1.refunds.retrieve(refund.id).status == "succeeded"


def test_fraudulent_reason_is_noted_on_the_charge(box, pay):
    intent = pay()
    box.stripe.v1.refunds.create({"payment_intent": intent.id, "reason": "fraudulent"})

    assert charge_of(box, intent).fraud_details.to_dict() == {"user_report": "fraudulent"}
