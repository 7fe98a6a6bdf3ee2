"""The hosted pay page at a session's `url`."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from apps.sandbox import buyers, checkout, methods, runtime, saved
from apps.sandbox.call import Call
from apps.sandbox.cards import BY_IBAN
from apps.sandbox.customers import EMAIL
from apps.sandbox.errors import ApiError
from apps.sandbox.money import shown
from apps.sandbox.pages.countries import NAMES
from apps.sandbox.store import Object

SHIPPING_FIELDS = ("line1", "line2", "city", "state", "postal_code", "country")
SHOWN_CARDS = (
    ("4242 4242 4242 4242", "succeeds"),
    ("4000 0025 0000 3155", "asks for 3-D Secure"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "has insufficient funds"),
)


BRANDS = {"amex": "Amex", "diners": "Diners Club", "jcb": "JCB", "unionpay": "UnionPay"}


class FormError(Exception):
    """What the buyer typed cannot be used: the field and a sentence about it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field, self.message = field, message


def view(request: HttpRequest, session_id: str) -> HttpResponse:
    if request.method == "POST":
        return _remove(request, session_id) if "remove" in request.POST else _pay(request, session_id)
    return again(request, session_id)


def show(request: HttpRequest, call: Call, session: Object, **more: Any) -> HttpResponse:
    """The page with the form; `more` brings back what was typed and what was wrong with it."""
    code = session["currency"]
    lines = [
        {
            "name": line["description"],
            "quantity": line["quantity"],
            "total": shown(line["amount_total"], code),
            "each": shown(line["price"]["unit_amount"] or 0, code) if line["quantity"] > 1 else "",
            **_product(call, line),
        }
        for line in checkout.lines(call, session)
    ]
    countries = (session["shipping_address_collection"] or {}).get("allowed_countries", [])
    customer, kept = buyers.customer_of(call, session), buyers.offered(call, session)
    keeps = customer is not None or session["customer_creation"] == "always"
    values = {
        "session": session,
        "lines": lines,
        "total": shown(session["amount_total"], code),
        "free": session["amount_total"] == 0,
        "ships": bool(countries),
        "countries": sorted(((c, NAMES.get(c, c)) for c in countries), key=lambda pair: pair[1]),
        "card": "card" in session["payment_method_types"],
        "sepa": "sepa_debit" in session["payment_method_types"],
        "several": len(kept) + len(session["payment_method_types"]) > 1,
        "email": buyers.fixed_email(call, session),
        "saved": [_saved_card(m) for m in kept],
        "saves": keeps and buyers.option(session, "payment_method_save"),
        "removes": buyers.option(session, "payment_method_remove"),
        "keeps_for": session["_intent_data"].get("setup_future_usage") if keeps else None,
        "typed": _known_of(customer),
        "cards": SHOWN_CARDS,
        "accounts": [(_spaced(a.iban), a.label) for a in BY_IBAN.values()],
        **more,
    }
    choices = [*(m["id"] for m in kept), *session["payment_method_types"]]
    chosen = values["typed"].get("method", choices[0])
    chosen = chosen if chosen in choices else session["payment_method_types"][0]
    return render(request, "sandbox/pay.html", {**values, "chosen": chosen})


def _product(call: Call, line: Object) -> dict[str, str]:
    product = call.tx.find(line["price"]["product"], "product") or {}
    images = [url for url in product.get("images", []) if url.startswith("https://")]
    return {"detail": product.get("description") or "", "image": images[0] if images else ""}


def _saved_card(method: Object) -> dict[str, str]:
    card = method["card"]
    return {
        "id": method["id"],
        "brand": BRANDS.get(card["brand"], card["brand"].title()),
        "last4": card["last4"],
        "expiry": f"{card['exp_month']:02} / {card['exp_year'] % 100:02}",
    }


def _known_of(customer: Object | None) -> dict[str, str]:
    """What the form is filled with before anything was typed."""
    shipping = (customer or {}).get("shipping") or {}
    known = {"card_name": (customer or {}).get("name"), "shipping_name": shipping.get("name")}
    known |= shipping.get("address", {})
    return {field: value for field, value in known.items() if value}


def _spaced(number: str) -> str:
    return " ".join(number[i : i + 4] for i in range(0, len(number), 4))


def closed(request: HttpRequest, session: Object) -> HttpResponse:
    return render(request, "sandbox/closed.html", {"state": session["status"], "session": session})


def _pay(request: HttpRequest, session_id: str) -> HttpResponse:
    typed = request.POST.dict()

    def submit(call: Call) -> tuple[Object, str | None] | None:
        found = call.tx.find(session_id, "checkout.session")
        session = checkout.refresh(call, found) if found else None
        if session is None or session["status"] != "open":
            return None
        return _submit(call, session, typed), call.tx.emitted.get("checkout.session.completed")

    try:
        done = runtime.running().run(submit)
    except FormError as error:
        return again(request, session_id, typed=typed, wrong=error.field, problem=error.message)
    except ApiError as error:
        field = FIELDS.get(error.error.get("param", ""))
        return again(request, session_id, typed=typed, wrong=field, problem=error.message)
    return after_payment(*done) if done else again(request, session_id)


def _remove(request: HttpRequest, session_id: str) -> HttpResponse:
    """Detach a saved card that the buyer does not want to see again, where the session lets them."""

    def remove(call: Call) -> None:
        session = call.tx.find(session_id, "checkout.session")
        if session is None or session["status"] != "open" or not buyers.option(session, "payment_method_remove"):
            return
        for method in buyers.offered(call, session):
            if method["id"] == request.POST["remove"]:
                saved.detach(call, method)

    runtime.running().run(remove)
    response = HttpResponse(status=303)
    response["Location"] = request.path
    return response


def again(request: HttpRequest, session_id: str, **more: Any) -> HttpResponse:
    """The page as it stands now, after a try that did not pay."""
    with runtime.running().work() as call:
        session = call.tx.find(session_id, "checkout.session")
        if session is None:
            return render(request, "sandbox/closed.html", {"state": "unknown"}, status=404)
        session = checkout.refresh(call, session)
        return show(request, call, session, **more) if session["status"] == "open" else closed(request, session)


def after_payment(session: Object, completed: str | None) -> HttpResponse:
    """Where the buyer goes next: the bank's check, or back to the shop once its webhook has answered."""
    sandbox = runtime.running()
    if session["status"] != "complete":
        return HttpResponseRedirect(f"/authenticate/{session['payment_intent']}")
    sandbox.courier.wait_for(completed)
    if session["success_url"] is None:
        return HttpResponseRedirect(f"/c/pay/{session['id']}")
    response = HttpResponse(status=303)
    response["Location"] = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
    return response


def _submit(call: Call, session: Object, typed: dict[str, str]) -> Object:
    email = buyers.fixed_email(call, session) or typed.get("email", "").strip()
    if EMAIL.fullmatch(email) is None:
        raise FormError("email", "Your email is incomplete.")
    shipping = _shipping(session, typed)
    phone = typed.get("phone", "").strip() or None
    if session["phone_number_collection"]["enabled"] and not phone:
        raise FormError("phone", "A phone number is required.")
    method = None if session["amount_total"] == 0 else _method(call, session, typed, email, shipping)
    save = typed.get("save") == "yes" and method is not None and method["type"] == "card" and not method["customer"]
    return checkout.pay(call, session, method, email=email, shipping=shipping, phone=phone, save=save)


def _shipping(session: Object, typed: dict[str, str]) -> dict[str, Any] | None:
    collection = session["shipping_address_collection"]
    if not collection:
        return None
    name = typed.get("shipping_name", "").strip()
    address = {field: typed.get(field, "").strip() for field in SHIPPING_FIELDS}
    if not name:
        raise FormError("shipping_name", "A full name is required.")
    for field, label in (("line1", "An address"), ("city", "A city"), ("postal_code", "A postal code")):
        if not address[field]:
            raise FormError(field, f"{label} is required.")
    if address["country"] not in collection["allowed_countries"]:
        raise FormError("country", "Please choose a country from the list.")
    return {"name": name, "address": address}


def _method(call: Call, session: Object, typed: dict[str, str], email: str, shipping: dict[str, Any] | None) -> Object:
    for method in buyers.offered(call, session):
        if method["id"] == typed.get("method"):
            return method
    fallback = (shipping or {}).get("name", "")
    address = {"country": (shipping or {}).get("address", {}).get("country")}
    if "card" not in session["payment_method_types"] or (
        typed.get("method") == "sepa_debit" and "sepa_debit" in session["payment_method_types"]
    ):
        name = typed.get("account_name", "").strip() or fallback
        if not name:
            raise FormError("account_name", "The account holder's name is required.")
        if not typed.get("iban", "").strip():
            raise FormError("iban", "Your IBAN is incomplete.")
        return methods.from_iban(call, typed["iban"], billing_details={"email": email, "name": name})
    name = typed.get("card_name", "").strip() or fallback
    if not name:
        raise FormError("card_name", "The name on the card is required.")
    expiry = re.fullmatch(r"\s*(\d{1,2})\s*/\s*(\d{2}|\d{4})\s*", typed.get("expiry", ""), re.ASCII)
    if expiry is None:
        raise FormError("expiry", "Your card's expiration date is incomplete.")
    month, year = int(expiry[1]), int(expiry[2])
    card = methods.check_card(typed.get("number", ""), month, year, typed.get("cvc", "").strip())
    details = {"email": email, "name": name, "address": address}
    return methods.from_card(call, card, exp_month=month, exp_year=year, billing_details=details)


FIELDS = {
    "number": "number",
    "exp_month": "expiry",
    "exp_year": "expiry",
    "cvc": "cvc",
    "sepa_debit[iban]": "iban",
}
