"""The balance: an entry for every movement of money, and their sums."""

from __future__ import annotations

from typing import Any

from tests.sandbox.conftest import refusal


def test_entries_of_a_payment_a_refund_and_a_dispute(box, pay):
    entries = box.stripe.v1.balance_transactions
    paid = pay()
    box.control("advance", seconds=2)
    refund = box.stripe.v1.refunds.create({"payment_intent": paid.id, "amount": 500})
    disputed = pay("pm_card_createDispute", currency="jpy", amount=3000)
    box.control("advance", seconds=2)
    [dispute] = box.stripe.v1.disputes.list({"payment_intent": disputed.id}).data

    def found(**params: Any) -> list[tuple[str, int, int, int]]:
        return [(e.type, e.amount, e.fee, e.net) for e in entries.list(params).data]

    assert found() == [
        ("charge", 3000, 117, 2883),
        ("adjustment", -3000, 1500, -4500),
        ("refund", -500, 0, -500),
        ("charge", 2000, 88, 1912),
    ]
    assert found(type="refund") == [("refund", -500, 0, -500)]
    assert found(source=dispute.id) == [("adjustment", -3000, 1500, -4500)]
    assert found(currency="usd", limit=1) == [("refund", -500, 0, -500)]
    assert found(payout="po_none") == []
    assert found(created={"lt": paid.created}) == []
    entry = entries.retrieve(refund.balance_transaction, {"expand": ["source.charge"]})
    assert (entry.source.id, entry.source.charge.id) == (refund.id, paid.latest_charge)
    assert refusal(entries.retrieve, "txn_none") == ("resource_missing", "id")


def test_sums_by_currency(box, pay):
    def sums() -> tuple[dict[str, int], dict[str, int]]:
        found = box.stripe.v1.balance.retrieve()
        return {s.currency: s.amount for s in found.available}, {s.currency: s.amount for s in found.pending}

    assert sums() == ({"usd": 0}, {"usd": 0})
    paid = pay()
    box.control("advance", seconds=2)
    pay(currency="eur", amount=5000)
    box.control("advance", seconds=2)

    assert sums() == ({"eur": 0, "usd": 0}, {"eur": 4825, "usd": 1912})
    box.control("advance", seconds=2 * 86400)
    box.stripe.v1.refunds.create({"payment_intent": paid.id})
    assert sums() == ({"eur": 4825, "usd": 1912}, {"eur": 0, "usd": -2000})


def test_payout_takes_what_is_available_once(box, pay):
    entries = box.stripe.v1.balance_transactions
    pay()
    pay(currency="eur", amount=5000)
    box.control("advance", seconds=2)
    assert box.control("payout") == {"payouts": []}

    box.control("advance", seconds=2 * 86400)
    [euros, dollars] = box.control("payout")["payouts"]
    assert [(p["currency"], p["amount"], p["status"]) for p in (euros, dollars)] == [
        ("eur", 4825, "paid"),
        ("usd", 1912, "paid"),
    ]
    members = [(e.type, e.net) for e in entries.list({"payout": dollars["id"]}).data]
    assert members == [("payout", -1912), ("charge", 1912)]
    assert (
        box.stripe.v1.payouts.retrieve(dollars["id"]).balance_transaction == entries.list({"type": "payout"}).data[0].id
    )
    assert [p.id for p in box.stripe.v1.payouts.list().data] == [dollars["id"], euros["id"]]
    assert {s.amount for s in box.stripe.v1.balance.retrieve().available} == {0}

    assert box.control("payout") == {"payouts": []}
    pay()
    box.control("advance", seconds=2)
    box.control("advance", seconds=2 * 86400)
    [second] = box.control("payout")["payouts"]
    assert second["amount"] == 1912
