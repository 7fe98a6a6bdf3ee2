"""The control panel at `/`: what the sandbox holds, and a button for everything that `/_control/` can do."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from apps.sandbox import actions, courier, delivery_rules, faults, panel_customers, panel_payments, runtime
from apps.sandbox.actions import Refused
from apps.sandbox.errors import ApiError
from apps.sandbox.money import shown
from apps.sandbox.runtime import Sandbox
from apps.sandbox.store import Object, Transaction

SHOWN_SESSIONS, SHOWN_EVENTS = 25, 60
PAY_WITH = (
    ("pm_card_visa", "Card that succeeds"),
    ("pm_card_chargeDeclined", "Card that is declined"),
    ("pm_card_chargeDeclinedInsufficientFunds", "Insufficient funds"),
    ("pm_card_authenticationRequired", "3-D Secure"),
    ("AT611904300234573201", "Bank debit that settles"),
    ("AT861904300235473202", "Bank debit that fails"),
)
FAULT_WORDS = {
    "429": "429, too many requests",
    "lock_timeout": "429, object is locked",
    "500": "500, not executed",
    "500_after": "500, executed",
    "html": "502 with an HTML page",
    "reset": "Reset, not executed",
    "reset_after": "Reset, executed",
    "timeout_before": "Hangs, not executed",
    "timeout_after": "Hangs, executed",
}
# The states of a delivery in words.
STATES = {
    "pending": "waiting",
    "delivered": "delivered",
    "failed": "given up",
    "held": "held back",
    "dropped": "dropped",
    "replaced": "sent again",
}


def view(request: HttpRequest) -> HttpResponse:
    sandbox = runtime.running()
    with sandbox.store.read() as tx:
        values = {
            "base_url": sandbox.base_url,
            "endpoints": tx.page("webhook_endpoint", limit=20),
            "sessions": [_session(tx, s) for s in tx.page("checkout.session", limit=SHOWN_SESSIONS)],
            "session_count": tx.count("checkout.session"),
            "payments": [{**p, "made": _clock(p["created"])} for p in panel_payments.rows(tx)],
            "claims": panel_payments.CLAIMS,
            "customers": [{**c, "made": _clock(c["created"])} for c in panel_customers.rows(tx)],
            "setups": [{**s, "made": _clock(s["created"])} for s in panel_customers.setups(tx)],
            "events": [_event(tx, e) for e in tx.page("event", limit=SHOWN_EVENTS)],
            "event_count": tx.count("event"),
            "rules": [_rule(r) for r in delivery_rules.listed(tx)],
            "held": tx.sql("SELECT count(*) FROM deliveries WHERE state = 'held'").fetchone()[0],
            "debits": tx.sql("SELECT count(*) FROM due_work WHERE task = 'settle_debit'").fetchone()[0],
            "fault_kinds": [(kind, FAULT_WORDS[kind]) for kind in faults.KINDS],
            "pay_with": PAY_WITH,
            "said": request.GET.get("said", "")[:300],
            "bad": "bad" in request.GET,
        }
    return render(request, "sandbox/panel.html", values)


def _session(tx: Transaction, session: Object) -> dict[str, Any]:
    intent = tx.find(session["payment_intent"] or "", "payment_intent")
    status = intent["status"] if intent else ""
    return {
        "id": session["id"],
        "amount": shown(session["amount_total"], session["currency"]),
        "reference": session["client_reference_id"] or "",
        "email": (session["customer_details"] or {}).get("email") or "",
        "status": session["status"],
        "payment_status": session["payment_status"].replace("_", " "),
        "url": session["url"],
        "made": _clock(session["created"]),
        "expires": _span(session["expires_at"] - int(time.time())),
        "waits": status == "requires_action" and session["status"] == "open",
        "declined": bool(intent and intent["last_payment_error"] and session["status"] == "open"),
        "debit": intent["id"] if intent and status == "processing" else "",
    }


def _event(tx: Transaction, event: Object) -> dict[str, Any]:
    found = event["data"]["object"]
    deliveries = actions.deliveries_of(tx, event["id"])
    for delivery in deliveries:
        delivery["word"] = STATES.get(delivery["state"], delivery["state"])
        if delivery["state"] == "pending" and delivery["attempts"]:
            delivery["word"] = "failed, tried again"
    return {
        "id": event["id"],
        "type": event["type"],
        "made": _clock(event["created"]),
        "object": found.get("id", ""),
        "pending": courier.pending_webhooks(tx, event["id"]),
        "deliveries": deliveries,
    }


def _clock(seconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(seconds).astimezone()
    return moment.strftime("%H:%M:%S" if abs(time.time() - seconds) < 86400 else "%d %b %H:%M")


def _span(seconds: int) -> str:
    minutes = max(0, seconds) // 60
    return f"in {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"in {minutes} min"


def _rule(rule: dict[str, Any]) -> str:
    left = "until cleared" if rule.get("remaining") is None else f"next {rule['remaining']}"
    if rule["kind"] == faults.RULE:
        method = "" if rule["method"] == "*" else f"{rule['method']} "
        return f"API {rule['fault']} · {method}{rule['path']} · {left}"
    types = ", ".join(rule.get("types") or ["all events"])
    return f"{rule['kind']} · {types} · {left}"


# Buttons


def _types(form: dict[str, str]) -> list[str] | None:
    return form.get("types", "").replace(",", " ").split() or None


def _number(form: dict[str, str], name: str, default: float) -> float:
    return float(form.get(name) or default)


def _release(sandbox: Sandbox, form: dict[str, str]) -> str:
    return f"{len(actions.release(sandbox)['answers'])} deliveries released."


def _delivery_rule(sandbox: Sandbox, form: dict[str, str]) -> str:
    kind, types, count = form["kind"], _types(form), int(_number(form, "next", 1))
    if kind == "hold":
        actions.hold(sandbox, types=types)
    elif kind == "drop":
        actions.drop(sandbox, types=types, next=count)
    elif kind == "delay":
        actions.delay(sandbox, _number(form, "amount", 10), types=types, next=count)
    elif kind == "duplicate":
        actions.duplicate(sandbox, int(_number(form, "amount", 2)), types=types, next=count)
    elif kind == "reorder":
        actions.reorder(sandbox, max(2, count), types=types)
    return "The rule is in force."


def _fault(sandbox: Sandbox, form: dict[str, str]) -> str:
    times, seconds = int(_number(form, "times", 1)), _number(form, "seconds", 30)
    actions.add_fault(sandbox, form["kind"], path=form.get("path") or "*", times=times, seconds=seconds)
    return f"The next {times} matching calls will fail."


def _advance(sandbox: Sandbox, form: dict[str, str]) -> str:
    done = actions.advance(sandbox, _number(form, "minutes", 60) * 60)["done"]
    return f"Time has passed; {done} things happened."


def _settle(sandbox: Sandbox, form: dict[str, str]) -> str:
    actions.settle(sandbox, form.get("payment_intent") or None)
    return "The bank has answered."


def _pay(sandbox: Sandbox, form: dict[str, str]) -> str:
    paid = actions.pay_session(sandbox, form["session"], form.get("payment_method"))
    return "The card asks for 3-D Secure." if paid["requires_action"] else "The session is complete."


def _authenticate(sandbox: Sandbox, form: dict[str, str]) -> str:
    actions.authenticate_session(sandbox, form["session"], form.get("passed") == "yes")
    return "The bank's check is passed and the session complete."


def _expire(sandbox: Sandbox, form: dict[str, str]) -> str:
    actions.expire_session(sandbox, form["session"])
    return "The session is expired."


def _deliver(sandbox: Sandbox, form: dict[str, str]) -> str:
    answers = actions.deliver(sandbox, form["event"], times=int(_number(form, "times", 1)), parallel=True)["answers"]
    return f"Delivered; answers: {', '.join(str(a['status'] or a['answer']) for a in answers) or 'no endpoint'}."


def _clear(sandbox: Sandbox, form: dict[str, str]) -> str:
    actions.clear_rules(sandbox)
    return "All rules and faults are cleared."


def _reset(sandbox: Sandbox, form: dict[str, str]) -> str:
    actions.reset(sandbox)
    return "The sandbox is empty."


BUTTONS: dict[str, Callable[[Sandbox, dict[str, str]], str]] = {
    "rule": _delivery_rule,
    "release": _release,
    "fault": _fault,
    "clear": _clear,
    "advance": _advance,
    "settle": _settle,
    "pay": _pay,
    "authenticate": _authenticate,
    "expire": _expire,
    "deliver": _deliver,
    "reset": _reset,
    **panel_payments.BUTTONS,
    **panel_customers.BUTTONS,
}


def act(request: HttpRequest, action: str) -> HttpResponse:
    """Do what a button says, then show the panel with one sentence about it."""
    if request.method != "POST" or action not in BUTTONS:
        return HttpResponse("Unknown action.", status=404, content_type="text/plain")
    try:
        said, bad = BUTTONS[action](runtime.running(), request.POST.dict()), {}
    except (Refused, ApiError) as error:
        said, bad = str(error), {"bad": "1"}
    except (KeyError, ValueError):
        said, bad = "A field is missing or is not a number.", {"bad": "1"}
    return HttpResponseRedirect(f"/?{urlencode({'said': said, **bad})}")
