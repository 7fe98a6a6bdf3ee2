"""Money that moves without the shop asking: the Dashboard's refunds, what banks decide, payouts. Minor units."""

from __future__ import annotations

from typing import Any

from apps.sandbox import disputes, payouts, refunds
from apps.sandbox.actions import Refused
from apps.sandbox.api.refunds import charge_of
from apps.sandbox.call import Call
from apps.sandbox.runtime import Sandbox
from apps.sandbox.store import Object, public

REFUND_REASONS = ("duplicate", "fraudulent", "requested_by_customer")
OUTCOMES = ("won", "lost", "warning_closed", "escalate")


def refund(
    sandbox: Sandbox,
    payment_intent: str | None = None,
    charge: str | None = None,
    amount: int | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Refund as a person does in the Dashboard: it carries nothing of the shop's. Raises ApiError as the API."""
    if reason not in (None, *REFUND_REASONS):
        raise Refused(f"reason must be one of {', '.join(REFUND_REASONS)}.")
    named = {"payment_intent": payment_intent, "charge": charge}
    wanted = None if amount is None else int(amount)

    def create(call: Call) -> Object:
        return refunds.create(call, charge_of(call, named), amount=wanted, reason=reason)

    return {"refund": public(sandbox.run(create))}


def pay_out(sandbox: Sandbox) -> dict[str, Any]:
    """Pay out what is available, a payout for each currency."""
    return {"payouts": [public(payout) for payout in sandbox.run(payouts.pay_out)]}


def set_refund(sandbox: Sandbox, refund_id: str, status: str, failure_reason: str | None = None) -> dict[str, Any]:
    """Bring a refund into any status, with its events and books. One that is there already is left alone."""
    if status not in refunds.STATUSES:
        raise Refused(f"status must be one of {', '.join(refunds.STATUSES)}.")
    if failure_reason not in (None, *refunds.FAILURE_REASONS):
        raise Refused(f"failure_reason must be one of {', '.join(refunds.FAILURE_REASONS)}.")
    return {
        "refund": public(sandbox.run(lambda c: refunds.move(c, c.get("refund", refund_id), status, failure_reason)))
    }


def dispute(
    sandbox: Sandbox,
    charge_id: str,
    reason: str = "fraudulent",
    amount: int | None = None,
    inquiry: bool = False,
) -> dict[str, Any]:
    """Let the bank dispute a charge (named by its id or its payment intent's), or only ask about it."""
    if reason not in disputes.REASONS:
        raise Refused(f"reason must be one of {', '.join(disputes.REASONS)}.")
    wanted = None if amount is None else int(amount)

    def start(call: Call) -> Object:
        charge = charge_of(call, {"payment_intent" if charge_id.startswith("pi_") else "charge": charge_id})
        if charge["status"] != "succeeded" or not charge["captured"]:
            raise Refused("Only a paid charge can be disputed.", status=409)
        if wanted is not None and not 0 < wanted <= charge["amount"]:
            raise Refused(f"amount must lie between 1 and {charge['amount']}.")
        if any(d["status"] in disputes.OPEN for d in disputes.of_charge(call, charge["id"])):
            raise Refused("The charge has an open dispute already.", status=409)
        return disputes.start(call, charge, reason=reason, amount=wanted, inquiry=bool(inquiry))

    return {"dispute": public(sandbox.run(start))}


def decide(sandbox: Sandbox, dispute_id: str, outcome: str) -> dict[str, Any]:
    """Let the bank end a dispute (won, lost) or an inquiry (warning_closed, or escalate it)."""
    if outcome not in OUTCOMES:
        raise Refused(f"outcome must be one of {', '.join(OUTCOMES)}.")

    def end(call: Call) -> Object:
        found = call.get("dispute", dispute_id)
        if found["status"] not in disputes.OPEN:
            raise Refused(f"The dispute is {found['status']} already.", status=409)
        if disputes.is_inquiry(found) != (outcome in ("warning_closed", "escalate")):
            kind = "An inquiry" if disputes.is_inquiry(found) else "A dispute"
            raise Refused(f"{kind} cannot end as {outcome}.", status=409)
        return disputes.escalate(call, found) if outcome == "escalate" else disputes.decide(call, found, outcome)

    return {"dispute": public(sandbox.run(end))}
