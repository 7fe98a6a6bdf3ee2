"""Refunds: money that goes back to the buyer, at once or later, or that comes back. Amounts are in minor units."""

from __future__ import annotations

import secrets

from apps.sandbox import balance, ids
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.cards import BY_NUMBER
from apps.sandbox.errors import ApiError, invalid
from apps.sandbox.events import changed, emit
from apps.sandbox.money import check_precision, shown
from apps.sandbox.store import Object

REFERENCE_SECONDS = 1.0  # when the card network has numbered a refund, told with refund.updated

SENT = ("succeeded", "pending")  # the money has left the balance
STANDING = (*SENT, "requires_action")  # counted in the charge's amount_refunded
STATUSES = (*STANDING, "failed", "canceled")
FAILURE_REASONS = (
    "charge_for_pending_refund_disputed",
    "declined",
    "expired_or_canceled_card",
    "insufficient_funds",
    "lost_or_stolen_card",
    "merchant_request",
    "unknown",
)
# Left out of the object, not null, where they do not apply.
PASSING = ("failure_reason", "next_action", "pending_reason")


def remaining(charge: Object) -> int:
    """What can still be refunded of a charge."""
    left: int = charge["amount"] - charge["amount_refunded"]
    return left


def create(
    call: Call,
    charge: Object,
    *,
    amount: int | None = None,
    reason: str | None = None,
    metadata: dict[str, str] | str | None = None,
) -> Object:
    """Give back an amount of a charge, or all that remains. Raises ApiError when it cannot be."""
    taken = _checked(call, charge, amount)
    details, after = _way_back(charge)
    refund: Object = {
        "id": ids.new("refund"),
        "object": "refund",
        "amount": taken,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": call.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": details,
        "metadata": merged_metadata({}, metadata or {}),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    if after == "settle_refund":
        refund |= {"status": "pending", "pending_reason": "processing"}
    _send(call, refund, charge)
    call.tx.put(refund)
    before = dict(charge)
    if reason == "fraudulent":
        charge["fraud_details"] = {"user_report": "fraudulent"}
    _count(call, charge, taken)
    emit(call, "refund.created", refund)
    emit(call, "charge.refunded", charge, changed(before, charge))
    seconds = REFERENCE_SECONDS if after == "number_refund" else call.settle_seconds
    call.tx.schedule(after, refund["id"], seconds=seconds)
    return refund


def _checked(call: Call, charge: Object, amount: int | None) -> int:
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise no_charge(charge["payment_intent"])
    left, code = remaining(charge), charge["currency"]
    if left == 0:
        raise ApiError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    _refuse_disputed(call, charge)
    if amount is None:
        return left
    if amount < 1:
        raise invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
    check_precision(amount, code, param="amount")
    if amount > left:
        raise too_much(amount, charge)
    return amount


def no_charge(intent_id: str) -> ApiError:
    return ApiError(f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.")


def too_much(amount: int, charge: Object) -> ApiError:
    code = charge["currency"]
    return invalid(
        f"Refund amount ({shown(amount, code)}) is greater than unrefunded amount on charge"
        f" ({shown(remaining(charge), code)})",
        "amount",
    )


def _refuse_disputed(call: Call, charge: Object) -> None:
    """The bank has taken the money back already; an inquiry leaves it here."""
    disputes = call.tx.page("dispute", filters={"charge": [charge["id"]]}, limit=100)
    if all(dispute["is_charge_refundable"] for dispute in disputes):
        return
    if charge["payment_method_details"]["type"] == "card":
        raise ApiError(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    raise ApiError("You are attempting to refund a payment that has been disputed.", code="refund_disputed_payment")


def _way_back(charge: Object) -> tuple[Object, str]:
    """`destination_details` and the work that follows: numbered, settled or failed later."""
    if charge["payment_method_details"]["type"] == "sepa_debit":
        return {"type": "sepa_debit"}, "settle_refund"
    after = BY_NUMBER[charge["_number"]].after
    if after == "refund_pending":
        return {"card": {"type": "pending"}, "type": "card"}, "settle_refund"
    return _card_details("pending"), "fail_refund" if after == "refund_fail" else "number_refund"


def _card_details(status: str, **number: str) -> Object:
    kind = "acquirer_reference_number"
    return {
        "card": {"reference_status": status, "reference_type": kind, "type": "refund", **number},
        "type": "card",
    }


def _send(call: Call, refund: Object, charge: Object) -> None:
    entry = balance.enter(
        call,
        "refund",
        -refund["amount"],
        source=refund["id"],
        currency=refund["currency"],
        description=f"REFUND FOR CHARGE ({charge['description'] or charge['id']})",
    )
    refund["balance_transaction"] = entry["id"]


def _take_back(call: Call, refund: Object, charge: Object) -> None:
    entry = balance.enter(
        call,
        "refund_failure",
        refund["amount"],
        source=refund["id"],
        currency=refund["currency"],
        description=f"REFUND FAILURE ({charge['description'] or charge['id']})",
    )
    refund["failure_balance_transaction"] = entry["id"]


def _count(call: Call, charge: Object, amount: int) -> None:
    """Add to what the charge counts as refunded."""
    charge["amount_refunded"] += amount
    charge["refunded"] = remaining(charge) == 0
    call.tx.put(charge)


def move(call: Call, refund: Object, status: str, failure_reason: str | None = None) -> Object:
    """Bring a refund into a status, with its books and events; one that is there already is left alone.

    Raises ApiError when a refund that failed is to stand again and the charge has not enough left.
    """
    if refund["status"] == status:
        return refund
    before, charge = dict(refund), call.get("charge", refund["charge"])
    stood, stands = before["status"] in STANDING, status in STANDING
    if stands and not stood and refund["amount"] > remaining(charge):
        raise too_much(refund["amount"], charge)
    for task in ("settle_refund", "fail_refund", "number_refund"):
        call.tx.unschedule(refund["id"], task)
    for name in PASSING:
        refund.pop(name, None)
    refund["status"] = status
    if status == "failed":
        refund["failure_reason"] = failure_reason or "unknown"
    elif status == "pending":
        refund["pending_reason"] = "processing"
    elif status == "requires_action":
        refund["next_action"] = _next_action(call, charge)
    elif status == "succeeded":
        _number(refund)
    if stands:
        refund.pop("failure_balance_transaction", None)
    if (before["status"] in SENT) != (status in SENT):
        (_send if status in SENT else _take_back)(call, refund, charge)
    if stands != stood:
        _count(call, charge, refund["amount"] if stands else -refund["amount"])
    call.tx.put(refund)
    if status == "failed":
        emit(call, "refund.failed", refund)
        emit(call, "charge.refund.updated", refund, changed(before, refund))
    else:
        tell_update(call, refund, before)
    return refund


def _next_action(call: Call, charge: Object) -> Object:
    """The buyer was asked by e-mail where the money should go."""
    address = charge["billing_details"]["email"] or charge["receipt_email"] or "buyer@example.com"
    sent = {"email_sent_at": call.now, "email_sent_to": address}
    return {
        "display_details": {"email_sent": sent, "expires_at": call.now + 45 * 86400},
        "type": "display_details",
    }


def _number(refund: Object) -> None:
    if refund["destination_details"]["type"] == "card":
        refund["destination_details"] = _card_details("available", reference=f"{secrets.randbelow(10**23):023}")


def tell_update(call: Call, refund: Object, before: Object) -> None:
    """Both names that Stripe has for the same news."""
    previous = changed(before, refund)
    emit(call, "refund.updated", refund, previous)
    emit(call, "charge.refund.updated", refund, previous)


# What happens by itself


def settle(call: Call, refund_id: str) -> None:
    """The bank has paid out a refund that was pending."""
    refund = call.tx.find(refund_id, "refund")
    if refund is not None and refund["status"] == "pending":
        move(call, refund, "succeeded")


def bounce(call: Call, refund_id: str) -> None:
    """The card is closed: a refund that had succeeded comes back."""
    refund = call.tx.find(refund_id, "refund")
    if refund is not None and refund["status"] == "succeeded":
        move(call, refund, "failed", "expired_or_canceled_card")


def number(call: Call, refund_id: str) -> None:
    """The card network has numbered a refund: the buyer's bank can find it by the reference."""
    refund = call.tx.find(refund_id, "refund")
    if refund is None or refund["status"] != "succeeded":
        return
    before = dict(refund)
    _number(refund)
    call.tx.put(refund)
    tell_update(call, refund, before)
