"""The receipt behind a charge's `receipt_url`."""

from __future__ import annotations

import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.sandbox import runtime
from apps.sandbox.money import shown


def view(request: HttpRequest, charge_id: str) -> HttpResponse:
    with runtime.running().store.read() as tx:
        charge = tx.find(charge_id, "charge")
    if charge is None or not charge["paid"]:
        return render(request, "sandbox/closed.html", {"state": "unknown"}, status=404)
    details = charge["payment_method_details"]
    method = details[details["type"]]
    values = {
        "charge": charge,
        "amount": shown(charge["amount"], charge["currency"]),
        "refunded": shown(charge["amount_refunded"], charge["currency"]) if charge["amount_refunded"] else "",
        "paid_at": datetime.datetime.fromtimestamp(charge["created"], tz=datetime.UTC),
        "brand": method.get("brand", "Bank debit").capitalize(),
        "last4": method["last4"],
    }
    return render(request, "sandbox/receipt.html", values)
