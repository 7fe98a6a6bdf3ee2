"""Orders in every state that Stripe's events lead to, and the events that told of each."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from apps.catalog.models import ProductVariant
from apps.inventory.models import StockHold, StockMovement
from apps.orders.models import Order, OrderItem
from apps.payment.models import Dispute, Payment, Refund
from tests.hostile.mutations import Known
from tests.support.shop import Shop, Stripe, deliver, make_user, make_variant, work

ADDRESS = {
    "name": "Ada",
    "line1": "1 Main St",
    "city": "Boston",
    "state": "MA",
    "postal_code": "02101",
    "country": "US",
}
OWN_IDS = re.compile(r"\b(?:pp_[A-Za-z0-9]+|(?:cs_test|pi|ch|py|re|pyr|du|dp|txn|src)_[A-Za-z0-9_]+)")
"""Ids that belong to one order alone; customers, cards and products are shared."""


@dataclass
class Bought:
    """One order and what Stripe said of it."""

    order_id: int
    ids: set[str]
    events: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Round:
    """Fresh orders: some of them are attacked, and nothing may happen to the others."""

    targets: list[Bought]
    bystanders: list[Bought]
    shared_events: list[dict[str, Any]]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for each in self.targets for event in each.events] + self.shared_events

    def known(self) -> Known:
        ids = sorted({name for each in self.targets for name in each.ids})
        ids += sorted(set(re.findall(r"\b(?:cus|pm|seti|evt)_[A-Za-z0-9]+", json.dumps(self.shared_events))))[:40]
        return Known(ids=ids, references=[name for name in ids if name.startswith("pp_")])


def by_session(stripe: Stripe, variant: ProductVariant, act: Callable[[Stripe, dict[str, Any]], None]) -> int:
    buyer = Shop()
    buyer.add(variant, 2)
    answer = buyer.checkout()
    assert answer.status_code == 201, answer.content
    act(stripe, answer.json())
    return Order.objects.get(number=answer.json()["order_number"]).pk


def by_intent(stripe: Stripe, variant: ProductVariant, card: str) -> int:
    buyer = Shop()
    buyer.add(variant)
    placed = buyer.post("/api/orders/", {"email": "buyer@example.com", "shipping_address": ADDRESS}).json()
    answer = buyer.post(
        "/api/payment/intents/", {"order_number": placed["number"]}, **{"X-Order-Token": placed["order_token"]}
    )
    assert answer.status_code == 201, answer.content
    if card:
        confirm(stripe, answer.json()["payment_intent_id"], card)
    return Order.objects.get(number=placed["number"]).pk


def confirm(stripe: Stripe, intent_id: str, card: str) -> None:
    requests.post(
        f"{stripe.sandbox.address}/v1/payment_intents/{intent_id}/confirm",
        data={"payment_method": card, "return_url": "http://localhost/"},
        headers={"Authorization": "Bearer sk_test_proshop"},
        timeout=10,
    )


def pay(card: str) -> Callable[[Stripe, dict[str, Any]], None]:
    def act(stripe: Stripe, bought: dict[str, Any]) -> None:
        # A declined card is an answer too, so `Sandbox.control` with its assertion does not serve.
        path = f"{stripe.sandbox.address}/_control/sessions/{bought['session_id']}/pay"
        requests.post(path, json={"payment_method": card, "email": "buyer@example.com"}, timeout=20)

    return act


def pay_and(what: str, **facts: Any) -> Callable[[Stripe, dict[str, Any]], None]:
    def act(stripe: Stripe, bought: dict[str, Any]) -> None:
        session = stripe.pay(bought["session_id"])["session"]
        intent = session["payment_intent"]
        if what == "refund":
            stripe.sandbox.control("refund", payment_intent=intent, **facts)
        else:
            stripe.sandbox.control(f"charges/{intent}/dispute", **facts)

    return act


def expire(stripe: Stripe, bought: dict[str, Any]) -> None:
    stripe.sandbox.control(f"sessions/{bought['session_id']}/expire")


WAYS: tuple[Callable[[Stripe, ProductVariant], int], ...] = (
    lambda stripe, variant: by_session(stripe, variant, pay("pm_card_visa")),
    lambda stripe, variant: by_session(stripe, variant, pay("pm_card_chargeDeclined")),
    lambda stripe, variant: by_session(stripe, variant, pay("pm_card_authenticationRequired")),
    lambda stripe, variant: by_session(stripe, variant, pay_and("refund", amount=300)),
    lambda stripe, variant: by_session(stripe, variant, pay_and("refund")),
    lambda stripe, variant: by_session(stripe, variant, pay_and("dispute", reason="fraudulent", amount=900)),
    lambda stripe, variant: by_session(stripe, variant, expire),
    lambda stripe, variant: by_intent(stripe, variant, "pm_card_visa"),
    lambda stripe, variant: by_intent(stripe, variant, "pm_card_chargeDeclined"),
    lambda stripe, variant: by_intent(stripe, variant, ""),
)


def open_round(stripe: Stripe, rng: random.Random, tag: str) -> Round:
    """One order of each way to attack and one to leave alone. Some of their events have reached the shop already."""
    variants = [make_variant(f"R{tag}-{n}", price=1000 + 250 * n, stock=500) for n in range(3)]
    made = [[Bought(way(stripe, rng.choice(variants)), set()) for way in WAYS] for _ in range(2)]
    save_a_card(stripe, tag)
    stripe.sandbox.control("advance", seconds=30)
    shared = gather(stripe.new_events(), [*made[0], *made[1]])
    for each in made[0]:
        for event in each.events[: rng.choice((0, 1, len(each.events)))]:
            deliver(event)
    for each in made[1]:
        for event in each.events:
            deliver(event)
    work(mails=False)
    return Round(targets=made[0], bystanders=made[1], shared_events=shared)


def save_a_card(stripe: Stripe, tag: str) -> None:
    person = Shop(make_user(f"r{tag}@example.com"))
    setup = person.post("/api/payment/methods/setup/").json()["setup_intent_id"]
    stripe.sandbox.post(f"/v1/setup_intents/{setup}/confirm", payment_method="pm_card_visa")
    assert person.post("/api/payment/methods/", {"setup_intent": setup}).status_code == 201


def gather(events: Iterable[dict[str, Any]], bought: list[Bought]) -> list[dict[str, Any]]:
    """Hand each order its events, by the ids that they share. Returns those of no order."""
    for each in bought:
        each.ids |= set(Payment.objects.filter(order_id=each.order_id).values_list("reference", flat=True))
    waiting = [(event, set(OWN_IDS.findall(json.dumps(event)))) for event in events]
    while True:
        left = []
        for event, ids in waiting:
            owner = next((each for each in bought if each.ids & ids), None)
            if owner is None:
                left.append((event, ids))
                continue
            owner.ids |= ids
            owner.events.append(event)
        if len(left) == len(waiting):
            break
        waiting = left
    for each in bought:
        each.events.sort(key=lambda event: event["created"])
    return [event for event, _ in waiting]


def owners_of_ids(world: Round) -> dict[str, int]:
    """The order of each id that belongs to one, of earlier rounds too: late events of theirs may still come."""
    found = {name: each.order_id for each in (*world.targets, *world.bystanders) for name in each.ids}
    columns = ("reference", "stripe_session_id", "stripe_payment_intent_id", "stripe_charge_id")
    for order_id, *ids in Payment.objects.values_list("order_id", *columns):
        found |= {name: order_id for name in ids if name}
    return found


MONEY: dict[Any, tuple[str, tuple[str, ...]]] = {
    Order: ("pk", ("status", "payment_status", "total", "currency", "paid_at", "disputed")),
    OrderItem: ("order_id", ("quantity", "unit_price", "refunded_quantity")),
    Payment: (
        "order_id",
        tuple(
            (
                "status applied problem amount amount_captured amount_refunded amount_lost currency disputed "
                "stripe_session_id stripe_payment_intent_id stripe_charge_id"
            ).split()
        ),
    ),
    Refund: ("payment__order_id", ("amount", "currency", "status", "stripe_refund_id")),
    Dispute: ("payment__order_id", ("amount", "currency", "status", "stripe_dispute_id")),
    StockHold: ("order_id", ("quantity", "variant_id", "state")),
    StockMovement: ("order_id", ("quantity", "kind", "variant_id")),
}


def money_of_all() -> Mapping[int, str]:
    """A digest of everything that is about money and stock, per order."""
    rows: dict[int, list[str]] = {}
    for model, (owner, fields) in MONEY.items():
        for order_id, *values in model.objects.order_by("pk").values_list(owner, "pk", *fields):
            rows.setdefault(order_id, []).append(f"{model.__name__}{values}")
    return {
        order_id: hashlib.sha256("\n".join(told).encode()).hexdigest() for order_id, told in rows.items() if order_id
    }
