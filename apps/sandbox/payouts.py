"""Money that leaves for the account's bank, as Stripe's daily payouts do. Amounts are in minor units."""

from __future__ import annotations

from apps.sandbox import balance, ids
from apps.sandbox.call import Call
from apps.sandbox.store import Object


def pay_out(call: Call) -> list[Object]:
    """One payout for each currency with something to pay out: all that is available and not paid out yet."""
    return [
        _pay_out(call, entries)
        for _, entries in sorted(_unpaid(call).items())
        if sum(entry["net"] for entry in entries) > 0
    ]


def _unpaid(call: Call) -> dict[str, list[Object]]:
    """Available entries that no payout has, by currency."""
    found: dict[str, list[Object]] = {}
    cursor: str | None = None
    while rows := call.tx.page("balance_transaction", after=cursor, limit=100):
        for entry in rows:
            if entry["status"] == "available" and not entry.get("_payout"):
                found.setdefault(entry["currency"], []).append(entry)
        cursor = rows[-1]["id"]
    return found


def _pay_out(call: Call, entries: list[Object]) -> Object:
    amount, currency = sum(entry["net"] for entry in entries), entries[0]["currency"]
    payout: Object = {
        "id": ids.new("payout"),
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": call.now,
        "automatic": True,
        "balance_transaction": None,
        "created": call.now,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": None,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "completed",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "paid",
        "trace_id": None,
        "type": "bank_account",
    }
    own = balance.enter(
        call, "payout", -amount, source=payout["id"], currency=currency, description="STRIPE PAYOUT", waits=False
    )
    for entry in (*entries, own):
        call.tx.put(entry | {"_payout": payout["id"]})
    return call.tx.put(payout | {"balance_transaction": own["id"]})
