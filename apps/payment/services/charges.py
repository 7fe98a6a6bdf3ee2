"""What charges tell about a payment beside the money: the card, the receipt, why it was declined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from apps.payment.declines import sentence_for
from apps.payment.gateway import id_of
from apps.payment.services.attempts import save, write_log
from apps.payment.services.settlement import lock_by_reference


@dataclass(frozen=True, slots=True)
class ChargeFacts:
    id: str
    payment_intent_id: str
    method_type: str
    brand: str
    last4: str
    receipt_url: str

    @classmethod
    def of_snapshot(cls, charge: Mapping[str, Any]) -> ChargeFacts:
        details = charge.get("payment_method_details") or {}
        kind = str(details.get("type") or "")
        told = details.get(kind)
        method: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
        receipt = charge.get("receipt_url") or ""
        return cls(
            id=id_of(charge["id"]),
            payment_intent_id=id_of(charge.get("payment_intent")),
            method_type=kind[:40],
            brand=str(method.get("brand") or "")[:40],
            last4=str(method.get("last4") or "")[:4],
            receipt_url=receipt if isinstance(receipt, str) and receipt.startswith(_receipt_origins()) else "",
        )


def _receipt_origins() -> tuple[str, ...]:
    """Where a receipt may live, since people click on it: https, or the address that the shop talks to as Stripe."""
    return ("https://", settings.STRIPE_API_BASE) if settings.STRIPE_API_BASE else ("https://",)


def note_charge(*, reference: str, charge: ChargeFacts, event_id: str) -> None:
    """Fill in what the payment does not have yet, in the caller's transaction. Raises UnknownPayment."""
    payment = lock_by_reference(reference)
    told = {
        "stripe_charge_id": charge.id,
        "stripe_payment_intent_id": charge.payment_intent_id,
        "method_type": charge.method_type,
        "brand": charge.brand,
    }
    if payment.erased_at is None:
        told |= {"last4": charge.last4, "receipt_url": charge.receipt_url}
    new = {name: value for name, value in told.items() if value and not getattr(payment, name)}
    if not new:
        return
    save(payment, **new)
    write_log(payment, "charge", before=payment.status, object_id=charge.id, event_id=event_id)


def note_decline(*, reference: str, object_id: str, code: str, event_id: str) -> None:
    """Keep why a try failed. A payment that has succeeded since keeps its success. Raises UnknownPayment."""
    payment = lock_by_reference(reference)
    write_log(payment, "declined", before=payment.status, object_id=object_id, event_id=event_id, detail=code)
    if payment.is_open:
        save(payment, failure_code=code[:80], failure_message=sentence_for(code))
