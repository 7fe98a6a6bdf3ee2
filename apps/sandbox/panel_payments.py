"""The panel's payments: what was refunded or disputed of each, and the buttons that do so."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.sandbox import disputes, refunds, reversals
from apps.sandbox.actions import Refused
from apps.sandbox.money import MAX_AMOUNT, decimals, shown
from apps.sandbox.runtime import Sandbox
from apps.sandbox.store import Object, Transaction

SHOWN_PAYMENTS = 15
# What the bank may say about a payment.
CLAIMS = (
    ("fraudulent", "Fraudulent"),
    ("product_not_received", "Not received"),
    ("product_unacceptable", "Not as described"),
    ("inquiry", "Only an inquiry"),
)
TONES = {
    "succeeded": "complete",
    "won": "complete",
    "warning_closed": "complete",
    "failed": "bad",
    "lost": "bad",
    "canceled": "",
}


def rows(tx: Transaction) -> list[dict[str, Any]]:
    """The newest paid charges, each with its refunds and disputes."""
    found = [c for c in tx.page("charge", limit=4 * SHOWN_PAYMENTS) if c["paid"] and c["captured"]]
    return [_payment(tx, charge) for charge in found[:SHOWN_PAYMENTS]]


def _payment(tx: Transaction, charge: Object) -> dict[str, Any]:
    of_charge = {"charge": [charge["id"]]}
    disputed = tx.page("dispute", filters=of_charge, limit=10)
    left, details = refunds.remaining(charge), charge["payment_method_details"]
    return {
        "id": charge["id"],
        "intent": charge["payment_intent"],
        "created": charge["created"],
        "amount": shown(charge["amount_captured"], charge["currency"]),
        "email": charge["billing_details"]["email"] or "",
        "method": f"{details[details['type']].get('brand', 'SEPA')} ·{details[details['type']]['last4']}",
        "refunded": charge["refunded"],
        "partly": 0 < charge["amount_refunded"] < charge["amount"],
        "disputed": charge["disputed"],
        "left": f"{Decimal(left).scaleb(-decimals(charge['currency'])):f}" if left else "",
        "refundable": left and all(d["is_charge_refundable"] for d in disputed),
        "disputable": all(d["status"] not in disputes.OPEN for d in disputed),
        "refunds": [_refund(r) for r in tx.page("refund", filters=of_charge, limit=10)],
        "disputes": [_dispute(d) for d in disputed],
    }


def _refund(refund: Object) -> dict[str, Any]:
    return {
        "id": refund["id"],
        "amount": shown(refund["amount"], refund["currency"]),
        "status": refund["status"].replace("_", " "),
        "tone": TONES.get(refund["status"], "waiting"),
        "why": (refund.get("failure_reason") or refund["reason"] or "").replace("_", " "),
        "others": [(s, s.replace("_", " ")) for s in refunds.STATUSES if s != refund["status"]],
    }


def _dispute(dispute: Object) -> dict[str, Any]:
    inquiry = disputes.is_inquiry(dispute)
    return {
        "id": dispute["id"],
        "kind": "Inquiry" if inquiry else "Dispute",
        "amount": shown(dispute["amount"], dispute["currency"]),
        "status": dispute["status"].removeprefix("warning_").replace("_", " "),
        "tone": TONES.get(dispute["status"], "waiting"),
        "why": dispute["reason"].replace("_", " "),
        "outcomes": _outcomes(dispute["status"], inquiry),
    }


def _outcomes(status: str, inquiry: bool) -> tuple[tuple[str, str], ...]:
    if status not in disputes.OPEN:
        return ()
    return (("warning_closed", "Close"), ("escalate", "Escalate")) if inquiry else (("won", "Won"), ("lost", "Lost"))


def minor(text: str, code: str) -> int | None:
    """What a person typed, in minor units; None for an empty field. Raises Refused for what is no amount."""
    if not text.strip():
        return None
    try:
        value = Decimal(text.strip().replace(",", ".")).scaleb(decimals(code))
    except InvalidOperation:
        raise Refused("The amount is not a number.") from None
    if not abs(value) <= MAX_AMOUNT or value != int(value):
        raise Refused(f"{code.upper()} has no such amount.")
    return int(value)


def _refund_payment(sandbox: Sandbox, form: dict[str, str]) -> str:
    with sandbox.store.read() as tx:
        charge = tx.find(form["charge"], "charge")
    if charge is None:
        raise Refused("There is no such payment.", status=404)
    made = reversals.refund(sandbox, charge=charge["id"], amount=minor(form.get("amount", ""), charge["currency"]))
    return f"{shown(made['refund']['amount'], charge['currency'])} refunded, as from the Dashboard."


def _dispute_payment(sandbox: Sandbox, form: dict[str, str]) -> str:
    claim = form["claim"]
    inquiry = claim == "inquiry"
    reversals.dispute(sandbox, form["charge"], reason="general" if inquiry else claim, inquiry=inquiry)
    return "The bank asks about the payment." if inquiry else "The bank has taken the money back."


def _set_refund(sandbox: Sandbox, form: dict[str, str]) -> str:
    moved = reversals.set_refund(sandbox, form["refund"], form["status"])["refund"]
    return f"The refund is {moved['status'].replace('_', ' ')}."


def _decide(sandbox: Sandbox, form: dict[str, str]) -> str:
    ended = reversals.decide(sandbox, form["dispute"], form["outcome"])["dispute"]
    if form["outcome"] == "escalate":
        return "The inquiry is a dispute now: the money is gone."
    return f"The bank has decided: {ended['status'].removeprefix('warning_')}."


BUTTONS: dict[str, Callable[[Sandbox, dict[str, str]], str]] = {
    "refund": _refund_payment,
    "dispute": _dispute_payment,
    "set_refund": _set_refund,
    "decide": _decide,
}
