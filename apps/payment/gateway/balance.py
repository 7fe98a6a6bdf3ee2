"""What Stripe booked on the account's balance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.payment.gateway.calls import call_stripe
from apps.payment.gateway.lists import PER_PAGE, Span, pages
from apps.payment.gateway.values import id_of

BALANCE = "/v1/balance_transactions"


@dataclass(frozen=True, slots=True)
class BalanceMovement:
    """One balance transaction. Amounts are in minor units of `currency`, in upper case; negative ones went out."""

    id: str
    kind: str
    category: str
    source_id: str
    amount: int
    fee: int
    net: int
    currency: str
    created: datetime
    available_on: datetime


def balance_movements(span: Span) -> Iterator[list[BalanceMovement]]:
    """What was booked in a span of time, newest first, a page at a time. Raises StripeUnavailable, StripeRefused."""
    for page in pages(BALANCE, span):
        yield [_movement(each) for each in page.objects]


def movements_of_payout(payout_id: str) -> Iterator[list[str]]:
    """The ids of what an automatic payout is made of, a page at a time. Raises StripeRefused for a manual one."""
    params: dict[str, Any] = {"payout": payout_id, "limit": PER_PAGE}
    while True:
        answer = call_stripe(lambda c: c.raw_request("get", BALANCE, **params)).data
        found = [str(each["id"]) for each in answer["data"]]
        yield found
        if not answer["has_more"]:
            return
        params["starting_after"] = found[-1]


def _movement(data: Mapping[str, Any]) -> BalanceMovement:
    return BalanceMovement(
        id=str(data["id"]),
        kind=str(data["type"]),
        category=str(data.get("reporting_category") or ""),
        source_id=id_of(data.get("source")),
        amount=int(data["amount"]),
        fee=int(data["fee"]),
        net=int(data["net"]),
        currency=str(data["currency"]).upper(),
        created=datetime.fromtimestamp(int(data["created"]), tz=UTC),
        available_on=datetime.fromtimestamp(int(data["available_on"]), tz=UTC),
    )
