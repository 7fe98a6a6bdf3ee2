"""The bank's 3-D Secure page: pass the check or fail it."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.sandbox import checkout, payments, runtime, setups
from apps.sandbox.call import Call
from apps.sandbox.errors import ApiError
from apps.sandbox.money import shown
from apps.sandbox.pages import pay
from apps.sandbox.store import Object, Transaction


def view(request: HttpRequest, intent_id: str) -> HttpResponse:
    with runtime.running().store.read() as tx:
        intent = find(tx, intent_id)
        if intent is None or intent["status"] != "requires_action":
            return render(request, "sandbox/closed.html", {"state": "authenticated"}, status=404)
        if request.method != "POST":
            return _page(request, runtime.running().call_in(tx), intent)
        session = tx.find(intent.get("_session") or "", "checkout.session")
    passed = request.POST.get("answer") == "complete"
    if session is None:
        return _answer_api(intent, passed)

    def decide(call: Call) -> tuple[Object, str | None]:
        return answer(call, intent_id, passed), call.tx.emitted.get("checkout.session.completed")

    try:
        return pay.after_payment(*runtime.running().run(decide))
    except ApiError as error:
        typed = {"email": session["customer_details"]["email"], "method": intent["payment_method"]}
        typed |= _address_of(session)
        return pay.again(request, session["id"], typed=typed, problem=error.message)


def find(tx: Transaction, intent_id: str) -> Object | None:
    """The payment or set-up of an id."""
    return tx.find(intent_id, "payment_intent") or tx.find(intent_id, "setup_intent")


def answer(call: Call, intent_id: str, passed: bool) -> Object:
    """The buyer's answer to the check; the session afterwards, or the intent when it has none.

    Raises ApiError 402 (its effects kept) when the check failed or the card is declined after it.
    """
    intent = find(call.tx, intent_id) or call.get("payment_intent", intent_id)
    if intent["status"] != "requires_action":
        raise ApiError("This payment does not wait for authentication.")
    if intent["object"] == "setup_intent":
        return setups.authenticate(call, intent, passed)
    if not passed:
        raise payments.fail_authentication(call, intent)
    session = checkout.session_of(call, intent)
    if session is not None:
        return checkout.authenticated(call, checkout.refresh(call, session), intent)
    method = call.get("payment_method", intent["payment_method"])
    return payments.confirm(call, intent, method, authenticated=True)


def _page(request: HttpRequest, call: Call, intent: Object) -> HttpResponse:
    method = call.get("payment_method", intent["payment_method"])
    amount = shown(intent["amount"], intent["currency"]) if "amount" in intent else None
    values = {"intent": intent, "amount": amount, "last4": method["card"]["last4"]}
    return render(request, "sandbox/authenticate.html", values)


def _address_of(session: Object) -> dict[str, str]:
    """What the buyer typed before the check, so that it need not be typed again."""
    details = (session["collected_information"] or {}).get("shipping_details") or {}
    known = {"shipping_name": details.get("name"), **details.get("address", {})}
    known["card_name"] = session["customer_details"]["name"]
    return {field: value for field, value in known.items() if value}


def _answer_api(intent: Object, passed: bool) -> HttpResponse:
    """An intent that was confirmed through the API goes back to its `return_url`."""
    kind = intent["object"]
    target = (intent["next_action"] or {}).get("redirect_to_url", {}).get("return_url")
    status = "succeeded"
    try:
        runtime.running().run(lambda call: answer(call, intent["id"], passed))
    except ApiError:
        status = "failed"
    if target is None:
        return HttpResponse("You can close this window.", content_type="text/plain; charset=utf-8")
    query = urlencode(
        {
            kind: intent["id"],
            f"{kind}_client_secret": intent["client_secret"],
            "redirect_status": status,
        }
    )
    response = HttpResponse(status=303)
    response["Location"] = f"{target}{'&' if urlsplit(target).query else '?'}{query}"
    return response
