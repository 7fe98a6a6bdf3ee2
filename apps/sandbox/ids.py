"""Random ids that look like Stripe's."""

from __future__ import annotations

import secrets
import string

ALPHABET = string.ascii_letters + string.digits
PREFIXES = {
    "checkout.session": "cs_test_a1",
    "payment_intent": "pi_3",
    "charge": "ch_3",
    "refund": "re_3",
    "dispute": "dp_1",
    "payment_method": "pm_1",
    "event": "evt_1",
    "product": "prod_",
    "price": "price_1",
    "webhook_endpoint": "we_1",
    "item": "li_1",
    "mandate": "mandate_1",
    "balance_transaction": "txn_3",
    "payout": "po_1",
    "customer": "cus_",
    "setup_intent": "seti_1",
    "setup_attempt": "setatt_1",
}


def text(length: int) -> str:
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in secrets.token_bytes(length))


def new(kind: str) -> str:
    """An unused id for an object of this kind."""
    prefix = PREFIXES[kind]
    if kind == "checkout.session":
        return prefix + text(56)
    return prefix + text(14 if kind in ("product", "customer") else 23)
