"""What the shop can tell a buyer's bank about a disputed payment, in Stripe's own fields.

Only texts: what Stripe takes as uploaded files (receipts, signatures, shipping papers) is added in its Dashboard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from apps.common.errors import InvalidInput
from apps.common.money import Money
from apps.orders.models import Order, OrderItem, OrderTransition
from apps.payment.models import Dispute, Payment, PaymentLog, Refund

MAX_CHARACTERS = 150_000
"""Of all texts together."""

LONG = 20_000

TEXTS: dict[str, int] = {
    "access_activity_log": LONG,
    "billing_address": MAX_CHARACTERS,
    "cancellation_policy_disclosure": LONG,
    "cancellation_rebuttal": LONG,
    "customer_email_address": MAX_CHARACTERS,
    "customer_name": MAX_CHARACTERS,
    "customer_purchase_ip": MAX_CHARACTERS,
    "duplicate_charge_explanation": LONG,
    "duplicate_charge_id": MAX_CHARACTERS,
    "product_description": LONG,
    "refund_policy_disclosure": LONG,
    "refund_refusal_explanation": LONG,
    "service_date": MAX_CHARACTERS,
    "shipping_address": MAX_CHARACTERS,
    "shipping_carrier": MAX_CHARACTERS,
    "shipping_date": MAX_CHARACTERS,
    "shipping_tracking_number": MAX_CHARACTERS,
    "uncategorized_text": LONG,
}
"""Stripe's evidence fields that take a text, and how many characters each may have."""


def draft_evidence(dispute: Dispute) -> dict[str, str]:
    """What the shop knows that speaks for a disputed payment, by Stripe's field names; nothing is stored.

    A person reads it, adds what only people know, and decides. Fields without anything to say are left out.
    """
    payment = Payment.objects.select_related("order__user").get(pk=dispute.payment_id)
    order = payment.order
    items = list(order.items.all())
    course = list(order.log.all())
    goods = any(item.kind == "physical" for item in items)
    told = {
        "customer_name": _name(order),
        "customer_email_address": order.email,
        "product_description": _fit([_line(item, order.currency) for item in items]),
        "uncategorized_text": _fit([*_receipt(payment, items), "", *_history(payment, course)]),
    }
    if goods:
        told |= {
            "shipping_address": _address(order),
            "shipping_date": _day_of(course, Order.Status.SHIPPED),
            "shipping_tracking_number": order.tracking_number,
        }
    else:
        told["service_date"] = _day_of(course, Order.Status.DELIVERED)
    return {name: text for name, text in told.items() if text}


def check_evidence(evidence: Mapping[str, str]) -> dict[str, str]:
    """The texts without the space around them; empty ones are left out. Raises InvalidInput for what Stripe refuses."""
    found = {name: text.strip() for name, text in evidence.items()}
    wrong = {name: ["Stripe knows no such text."] for name in found if name not in TEXTS}
    for name, text in found.items():
        if name in TEXTS and len(text) > TEXTS[name]:
            wrong[name] = [f"Stripe takes {TEXTS[name]:,} characters; these are {len(text):,}."]
    total = sum(map(len, found.values()))
    if not wrong and total > MAX_CHARACTERS:
        longest = max(found, key=lambda name: len(found[name]))
        wrong[longest] = [f"Stripe takes {MAX_CHARACTERS:,} characters in all; these are {total:,}."]
    if wrong:
        raise InvalidInput(fields=wrong)
    return {name: text for name, text in found.items() if text}


def _name(order: Order) -> str:
    address = order.shipping_address or {}
    return str(address.get("name") or (order.user.name if order.user else ""))


def _address(order: Order) -> str:
    told = order.shipping_address or {}
    place = " ".join(str(told[part]) for part in ("postal_code", "city", "state") if told.get(part))
    lines = [told.get("name"), told.get("line1"), told.get("line2"), place, told.get("country")]
    return "\n".join(str(line) for line in lines if line)


def _line(item: OrderItem, currency: str) -> str:
    return f"{item.quantity} × {item.name} ({item.sku}), {item.kind}: {Money(item.line_total, currency)}"


def _receipt(payment: Payment, items: Sequence[OrderItem]) -> Iterator[str]:
    order = payment.order
    yield f"Receipt of order {order.number}, placed {_moment(order.created_at)}"
    for item in items:
        yield _line(item, order.currency)
    yield f"Total: {Money(order.total, order.currency)}"
    card = f"{payment.brand} ending in {payment.last4}" if payment.last4 else payment.method_type
    paid = f" {_moment(payment.paid_at)}" if payment.paid_at else ""
    yield f"Paid{paid}: {Money(payment.amount_captured, payment.currency)}{f' with {card}' if card else ''}"
    for refund in payment.refunds.filter(status=Refund.Status.SUCCEEDED).order_by("pk"):
        yield f"Given back{f' {_moment(refund.succeeded_at)}' if refund.succeeded_at else ''}: {refund.money}"
    if payment.receipt_url:
        yield f"Receipt of the payment: {payment.receipt_url}"


def _history(payment: Payment, course: Sequence[OrderTransition]) -> Iterator[str]:
    """Order and payment in the order of time, without the dispute's own rows."""
    rows = [(step.at, f"order {step.reason}: {step.to_status}, {step.to_payment_status}") for step in course]
    log = PaymentLog.objects.filter(payment=payment).exclude(kind__startswith="dispute_")
    rows += [(row.at, f"payment {row.kind.replace('_', ' ')}: {row.to_status}") for row in log]
    yield "What happened"
    for at, text in sorted(rows, key=lambda row: row[0]):
        yield f"{_moment(at)}  {text}"


def _day_of(course: Sequence[OrderTransition], status: str) -> str:
    """The day on which an order came to a status; empty if it never did."""
    found = next((step.at for step in course if step.to_status == status != step.from_status), None)
    return f"{found.day} {found:%B %Y}" if found else ""


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _fit(lines: Sequence[str]) -> str:
    """As many of the lines as a long text takes, and how many are missing."""
    text = "\n".join(lines)
    kept = len(lines)
    while len(text) > LONG:
        kept -= 1
        text = "\n".join([*lines[:kept], f"… and {len(lines) - kept} more lines"])
    return text
