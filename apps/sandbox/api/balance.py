"""/v1/balance, /v1/balance_transactions and /v1/payouts. Amounts are in minor units."""

from __future__ import annotations

from apps.sandbox import balance
from apps.sandbox.call import Call
from apps.sandbox.pagination import page
from apps.sandbox.store import Object

URL = "/v1/balance_transactions"
PAYOUTS = "/v1/payouts"


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
    filters: dict[str, list[str]] = {
        name: [call.params[name]] for name in ("currency", "source", "type") if name in call.params
    }
    if "payout" in call.params:
        filters["_payout"] = [call.params["payout"]]
    return page(call, "balance_transaction", URL, filters)


def retrieve_payout(call: Call, payout_id: str) -> Object:
    return call.get("payout", payout_id)


def list_payouts(call: Call) -> Object:
    return page(call, "payout", PAYOUTS)
