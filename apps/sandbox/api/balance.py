"""/v1/balance and /v1/balance_transactions. There are no payouts: what comes in stays. Amounts are in minor units."""

from __future__ import annotations

from apps.sandbox import balance
from apps.sandbox.call import Call
from apps.sandbox.pagination import page
from apps.sandbox.store import Object

URL = "/v1/balance_transactions"


def retrieve(call: Call) -> Object:
    pending = balance.sums(call, "pending")
    return {
        "object": "balance",
        "available": balance.sums(call, "available"),
        "connect_reserved": [{"amount": 0, "currency": entry["currency"]} for entry in pending],
        "livemode": False,
        "pending": pending,
    }


def retrieve_entry(call: Call, entry_id: str) -> Object:
    return call.get("balance_transaction", entry_id)


def list_entries(call: Call) -> Object:
    names = ("currency", "payout", "source", "type")
    return page(call, "balance_transaction", URL, {n: [call.params[n]] for n in names if n in call.params})
