"""What a handler is, and what handlers share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.payment import gateway
from apps.payment.models import Payment
from apps.payment.services.attempts import REFERENCE_PREFIX

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event is none of this shop's business."""

    reason: str


Outcome = Ignored | None


@dataclass(frozen=True, slots=True)
class Handler:
    """How an event is worked on.

    `act(event, told, asked_at)` runs in the inbox's transaction. Where a snapshot may be older than what is known,
    `ask(event)` fetches the object first, with no transaction open; `asks(event)` says whether it has to, without
    calling Stripe.
    """

    act: Callable[[Event, Any, datetime], Outcome]
    ask: Callable[[Event], Any] | None = None
    asks: Callable[[Event], bool] = lambda event: True

    def needs_stripe(self, event: Event) -> bool:
        return self.ask is not None and self.asks(event)


def of_snapshot(act: Callable[[Event], Outcome]) -> Handler:
    """A handler to which the signed event is enough."""
    return Handler(act=lambda event, told, asked_at: act(event))


STRIPE_ID = re.compile(r"[A-Za-z0-9_]{1,255}")

FOREIGN = Ignored("its object carries no reference of ours")


def told_of(event: Event) -> Mapping[str, Any]:
    """The object that an event shows."""
    found: Mapping[str, Any] = event["data"]["object"]
    return found


def asked_id(value: Any) -> str:
    """An id, or an object's id, that Stripe may be asked about. Raises ValueError for what is none.

    A proxy in front of Stripe answers an address that it cannot read as if Stripe were away, and that is waited for.
    """
    found = gateway.id_of(value)
    if not STRIPE_ID.fullmatch(found):
        raise ValueError("not an id of Stripe's")
    return found


def reference_of(found: Mapping[str, Any]) -> str:
    """Our reference of an intent or a charge: from its metadata, else by the intent that we know. Empty: not ours."""
    told = (found.get("metadata") or {}).get("proshop_payment")
    if isinstance(told, str) and told.startswith(REFERENCE_PREFIX):
        return told
    intent_id = (
        gateway.id_of(found.get("payment_intent"))
        if found.get("object") == "charge"
        else gateway.id_of(found.get("id"))
    )
    if not intent_id:
        return ""
    known = Payment.objects.filter(stripe_payment_intent_id=intent_id).values_list("reference", flat=True).first()
    return known or ""
