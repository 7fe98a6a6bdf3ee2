"""What each visitor means to do: it depends on the seed and the visit's number alone, so a storm can be replayed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

VISA, DECLINED, SECURE = "pm_card_visa", "4000000000000002", "4000002500003155"
SLOW_REFUND, FAILING_REFUND, DISPUTED = "4000000000007726", "4000000000005126", "4000000000000259"
DEBIT, FAILING_DEBIT = "AT611904300234573201", "AT861904300235473202"

CARDS = ((VISA, 80), (SECURE, 8), (SLOW_REFUND, 4), (FAILING_REFUND, 4), (DISPUTED, 4))
DEBITS = ((VISA, 50), (DEBIT, 35), (FAILING_DEBIT, 15))
WAYS = (("page", 73), ("intent", 19), ("course", 8))
ENDINGS = (("pay", 84), ("leave", 4), ("cancel", 6), ("expire_and_retry", 3), ("pay_and_cancel", 3))
AFTERWARDS = (
    ("nothing", 78),
    ("dashboard_refund", 4),
    ("dashboard_part", 4),
    ("staff_restock", 5),
    ("staff_twice", 3),
    ("dispute_won", 2),
    ("dispute_lost", 2),
    ("dispute_open", 1),
    ("cancel", 1),
)


@dataclass(frozen=True)
class Plan:
    """One visit. `rules` are what happens to the events that it causes: control calls of the stand-in."""

    number: int
    member: bool
    way: str
    currency: str
    picks: list[tuple[float, int]]
    card: str
    declined_first: bool
    ending: str
    afterwards: str
    watches: bool
    rules: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def _pick(chance: random.Random, table: tuple[tuple[str, int], ...]) -> str:
    return chance.choices([name for name, _ in table], [weight for _, weight in table])[0]


def plan(seed: int, number: int) -> Plan:
    chance = random.Random(f"{seed}:visit:{number}")
    way = _pick(chance, WAYS)
    currency = "EUR" if way == "page" and chance.random() < 0.15 else "USD"
    return Plan(
        number=number,
        member=chance.random() < 0.4,
        way=way,
        currency=currency,
        picks=[(chance.random(), chance.randint(1, 3)) for _ in range(chance.randint(1, 3))],
        card=_pick(chance, DEBITS if currency == "EUR" else CARDS),
        declined_first=chance.random() < 0.06,
        ending=_pick(chance, ENDINGS),
        afterwards=_pick(chance, AFTERWARDS),
        watches=chance.random() < 0.3,
        rules=_rules(chance),
    )


def _rules(chance: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """A visit causes about seven events: of all, 10 % come twice or more, 10 % out of order, 5 % late."""
    found: list[tuple[str, dict[str, Any]]] = []
    if chance.random() < 0.7:
        found.append(("duplicate", {"copies": chance.choice((2, 2, 2, 3, 5)), "next": 1}))
    if chance.random() < 0.18:
        found.append(("reorder", {"next": 4, "gap": 0.05}))
    if chance.random() < 0.35:
        found.append(("delay", {"seconds": round(chance.uniform(1, 20), 1), "next": 1}))
    return found
