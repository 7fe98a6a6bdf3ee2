"""Finding orders by what people have in hand: a number, an address, a card, an id of Stripe's."""

from __future__ import annotations

import re

from django.db.models import QuerySet
from django.db.models.functions import Lower

from apps.orders.models import Order
from apps.payment.models import Dispute, Payment, Refund

STRIPE_IDS = (
    ("cs_", "stripe_session_id"),
    ("pi_", "stripe_payment_intent_id"),
    ("ch_", "stripe_charge_id"),
    ("py_", "stripe_charge_id"),
)


def orders_called(orders: QuerySet[Order], text: str) -> QuerySet[Order]:
    """Those of the orders that a text can mean. An index answers, save for the beginning of an address."""
    text = text.replace("\x00", "").strip()
    if not text:
        return orders
    for prefix, column in STRIPE_IDS:
        if text.startswith(prefix):
            return orders.filter(pk__in=Payment.objects.filter(**{column: text}).values("order"))
    if text.startswith(("re_", "pyr_")):
        return orders.filter(pk__in=Refund.objects.filter(stripe_refund_id=text).values("payment__order"))
    if text.startswith(("dp_", "du_")):
        return orders.filter(pk__in=Dispute.objects.filter(stripe_dispute_id=text).values("payment__order"))
    if re.fullmatch(r"\d{4}", text, re.ASCII):
        return orders.filter(pk__in=Payment.objects.filter(last4=text).values("order"))
    if re.match(r"(?i)ord-", text):
        return orders.filter(number__startswith=text.upper())
    if re.match(r"\d", text, re.ASCII) and "@" not in text:
        return orders.filter(number__startswith=f"ORD-{text}")
    addresses = orders.alias(address=Lower("email"))
    if re.search(r"@.+\.", text):
        return addresses.filter(address=text.lower())
    return addresses.filter(address__startswith=text.lower())
