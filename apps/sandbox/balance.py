"""The account's balance: every movement of money is an entry, a `balance_transaction`. Amounts are in minor units."""

from __future__ import annotations

from apps.sandbox import ids
from apps.sandbox.call import Call
from apps.sandbox.store import Object

AVAILABLE_SECONDS = 2 * 86400  # how long money stays pending


def enter(
    call: Call,
    kind: str,
    amount: int,
    *,
    source: str,
    currency: str,
    description: str | None,
    category: str | None = None,
    fee: int = 0,
    fee_text: str = "Stripe processing fees",
    waits: bool = True,
) -> Object:
    """Record one movement; negative amounts leave the account. `category` is the reporting category.

    `waits`: it becomes available two days later, otherwise at once.
    """
    entry: Object = {
        "id": ids.new("balance_transaction"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": call.now + (AVAILABLE_SECONDS if waits else 0),
        "balance_type": "payments",
        "created": call.now,
        "currency": currency,
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [],
        "net": amount - fee,
        "reporting_category": category or kind,
        "source": source,
        "status": "pending" if waits else "available",
        "type": kind,
    }
    if fee:
        entry["fee_details"] = [
            {
                "amount": fee,
                "application": None,
                "currency": currency,
                "description": fee_text,
                "type": "stripe_fee",
            }
        ]
    if waits:
        call.tx.schedule("release_money", entry["id"], seconds=AVAILABLE_SECONDS)
    return call.tx.put(entry)


def release(call: Call, entry_id: str) -> None:
    """The waiting time is over: the money can be paid out."""
    entry = call.tx.find(entry_id, "balance_transaction")
    if entry is not None:
        call.tx.put(entry | {"status": "available"})


def sums(call: Call, status: str) -> list[Object]:
    """Net sums of the entries in a status, by currency; a zero in dollars for an account without any."""
    rows = call.tx.sql(
        "SELECT json_extract(body, '$.currency') AS currency,"
        " sum(CASE json_extract(body, '$.status') WHEN ? THEN json_extract(body, '$.net') ELSE 0 END)"
        " FROM objects WHERE kind = 'balance_transaction' GROUP BY currency ORDER BY currency",
        (status,),
    ).fetchall()
    return [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in rows or [("usd", 0)]
    ]
