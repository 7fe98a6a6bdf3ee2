"""/v1/disputes: what the shop can answer to its buyers' banks."""

from __future__ import annotations

import copy
from typing import Any

from apps.sandbox import disputes
from apps.sandbox.call import Call, merged_metadata
from apps.sandbox.errors import ApiError, invalid, unsupported
from apps.sandbox.events import changed, emit
from apps.sandbox.pagination import page
from apps.sandbox.store import Object

URL = "/v1/disputes"
MAX_CHARACTERS = 150_000
# Ids of uploaded files, which the sandbox does not keep.
UNSUPPORTED = (
    "appeal",
    "cancellation_policy",
    "customer_communication",
    "customer_signature",
    "duplicate_charge_documentation",
    "enhanced_evidence",
    "receipt",
    "refund_policy",
    "service_documentation",
    "shipping_documentation",
    "uncategorized_file",
)


def retrieve(call: Call, dispute_id: str) -> Object:
    return call.get("dispute", dispute_id)


def update(call: Call, dispute_id: str) -> Object:
    dispute, params = call.get("dispute", dispute_id), call.params
    before = copy.deepcopy(dispute)
    if "metadata" in params:
        dispute["metadata"] = merged_metadata(dispute["metadata"], params["metadata"])
    if "intended_submission_method" in params:
        dispute["intended_submission_method"] = params["intended_submission_method"]
    if params.get("evidence"):
        _add_evidence(dispute, params["evidence"])
    if params.get("submit", "evidence" in params) and dispute["evidence_details"]["has_evidence"]:
        _refuse_answered(dispute)
        return disputes.submit(call, dispute, before)
    call.tx.put(dispute)
    emit(call, "charge.dispute.updated", dispute, changed(before, dispute))
    return dispute


def _add_evidence(dispute: Object, given: dict[str, Any]) -> None:
    for name in given:
        if name in UNSUPPORTED:
            raise unsupported(f"evidence[{name}]")
    _refuse_answered(dispute)
    dispute["evidence"] |= given
    if sum(len(value) for value in dispute["evidence"].values() if isinstance(value, str)) > MAX_CHARACTERS:
        raise invalid(f"The evidence of a dispute can have up to {MAX_CHARACTERS:,} characters in all.", "evidence")
    dispute["evidence_details"]["has_evidence"] = True


def _refuse_answered(dispute: Object) -> None:
    """Evidence is submitted once, and not after the end."""
    if dispute["status"] not in disputes.OPEN:
        raise closed()
    if dispute["status"] not in disputes.WAITING:
        raise ApiError("Evidence for this dispute has already been submitted to the bank.", param="evidence")


def closed() -> ApiError:
    return ApiError("This dispute is already closed.")


def close(call: Call, dispute_id: str) -> Object:
    """Accept a dispute: it is lost for good. An inquiry just ends."""
    dispute = call.get("dispute", dispute_id)
    if dispute["status"] not in disputes.OPEN:
        raise closed()
    if dispute["status"] not in disputes.WAITING:
        raise ApiError("This dispute is under review and cannot be closed.")
    return disputes.decide(call, dispute, "warning_closed" if disputes.is_inquiry(dispute) else "lost")


def list_all(call: Call) -> Object:
    names = ("charge", "payment_intent")
    return page(call, "dispute", URL, {name: [call.params[name]] for name in names if name in call.params})
