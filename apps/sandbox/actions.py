"""What can be done to the sandbox from outside, for `/_control/` and the control panel alike."""

from __future__ import annotations

import re
import time
from typing import Any

from apps.sandbox import buyers, checkout, courier, delivery_rules, due_work, faults, methods
from apps.sandbox.call import Call
from apps.sandbox.cards import BY_IBAN
from apps.sandbox.pages import authenticate
from apps.sandbox.runtime import Sandbox
from apps.sandbox.store import Object, Transaction, public

QUERY = ("object", "limit", "type", "id")
MAX_COPIES = 200


class Refused(Exception):
    """The call makes no sense; one sentence says why."""

    def __init__(self, sentence: str, *, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


# Looking


def state(sandbox: Sandbox) -> dict[str, Any]:
    """Counts, rules in force, work that waits."""
    with sandbox.store.read() as tx:
        kinds = dict(tx.sql("SELECT kind, count(*) FROM objects GROUP BY kind").fetchall())
        deliveries = dict(tx.sql("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall())
        waiting = tx.sql("SELECT task, target, due FROM due_work ORDER BY due LIMIT 100").fetchall()
        return {
            "objects": kinds,
            "deliveries": deliveries,
            "rules": delivery_rules.listed(tx),
            "due_work": [{"task": t, "target": i, "in_seconds": round(due - time.time(), 1)} for t, i, due in waiting],
        }


def events(sandbox: Sandbox, limit: str = "100", type: str = "*") -> dict[str, Any]:
    """Events, newest first, each with its deliveries."""
    with sandbox.store.read() as tx:
        found = tx.page("event", filters={"type": [type]}, limit=int(limit))
        return {"data": [{**courier.with_pending(tx, e), "deliveries": deliveries_of(tx, e["id"])} for e in found]}


def deliveries_of(tx: Transaction, event_id: str) -> list[dict[str, Any]]:
    rows = tx.sql(
        "SELECT id, endpoint, state, attempts, due, answer FROM deliveries WHERE event = ? ORDER BY id", (event_id,)
    ).fetchall()
    return [
        {
            "id": n,
            "endpoint": endpoint,
            "state": state,
            "attempts": attempts,
            "next_attempt_in": round(max(0.0, due - time.time()), 1) if state == "pending" else None,
            "answer": answer,
        }
        for n, endpoint, state, attempts, due, answer in rows
    ]


def objects(sandbox: Sandbox, object: str = "", limit: str = "100", id: str = "") -> dict[str, Any]:
    """Objects of a kind, newest first, or the one with an id."""
    with sandbox.store.read() as tx:
        if id:
            found = tx.find(id)
            return {"data": [_shown(found)] if found else []}
        if not object:
            raise Refused("Name a kind, e.g. /_control/objects?object=checkout.session.")
        return {"data": [_shown(o) for o in tx.page(object, limit=int(limit))]}


def _shown(document: Object) -> Object:
    return {k: v for k, v in public(document).items() if k not in ("client_secret", "secret")}


# Deliveries


def deliver(sandbox: Sandbox, event: str, times: int = 1, delay: float = 0, parallel: bool = False) -> dict[str, Any]:
    """Deliver an event now (the answers are returned) or `delay` seconds later, whatever the rules say."""
    if not 1 <= int(times) <= MAX_COPIES:
        raise Refused(f"times must lie between 1 and {MAX_COPIES}.")
    with sandbox.store.write() as tx:
        found = tx.find(event, "event")
        if found is None:
            raise Refused(f"There is no event {event}.", status=404)
        # An hour ahead keeps the courier from sending what is sent here.
        made = courier.requeue(tx, found, copies=int(times), delay=float(delay) or 3600)
    if delay:
        return {"queued": made}
    return {"answers": sandbox.courier.send_all(made, parallel=bool(parallel))}


def hold(sandbox: Sandbox, types: list[str] | None = None) -> dict[str, Any]:
    """Keep every new event (or those of these types) back until `release`."""
    return _rule(sandbox, "hold", types=types)


def release(sandbox: Sandbox, order: list[str] | None = None, parallel: bool = False) -> dict[str, Any]:
    """End the hold and send what was kept, one after another in `order` (event ids), or as it happened.

    Held events that `order` does not name follow in their own order. The answers are returned.
    """
    with sandbox.store.write() as tx:
        delivery_rules.remove(tx, "hold")
        rows = tx.sql("SELECT id, event FROM deliveries WHERE state = 'held' ORDER BY id").fetchall()
        places = {event: place for place, event in enumerate(order or [])}
        rows.sort(key=lambda row: (places.get(row[1], len(places)), row[0]))
        for number, _ in rows:
            tx.sql("UPDATE deliveries SET state = 'pending', due = ? WHERE id = ?", (time.time() + 3600, number))
    answers = sandbox.courier.send_all([n for n, _ in rows], parallel=bool(parallel))
    return {"answers": [{"event": row[1], **a} for row, a in zip(rows, answers, strict=True)]}


def drop(sandbox: Sandbox, types: list[str] | None = None, next: int | None = 1) -> dict[str, Any]:
    """Never deliver the `next` events (null: all from now on), or those of these types among them."""
    return _rule(sandbox, "drop", types=types, remaining=next)


def delay(sandbox: Sandbox, seconds: float, types: list[str] | None = None, next: int | None = 1) -> dict[str, Any]:
    """Deliver the `next` events so many seconds late."""
    return _rule(sandbox, "delay", types=types, remaining=next, seconds=float(seconds))


def duplicate(
    sandbox: Sandbox, copies: int = 2, types: list[str] | None = None, next: int | None = 1
) -> dict[str, Any]:
    """Deliver the `next` events `copies` times each, in parallel."""
    if not 1 <= int(copies) <= MAX_COPIES:
        raise Refused(f"copies must lie between 1 and {MAX_COPIES}.")
    return _rule(sandbox, "duplicate", types=types, remaining=next, copies=int(copies))


def reorder(sandbox: Sandbox, next: int, types: list[str] | None = None, gap: float = 0.5) -> dict[str, Any]:
    """Collect the `next` events and deliver them newest first, `gap` seconds apart."""
    return _rule(sandbox, "reorder", types=types, remaining=int(next), gap=float(gap))


def _rule(sandbox: Sandbox, kind: str, **body: Any) -> dict[str, Any]:
    types, remaining = body.get("types"), body.get("remaining")
    if types is not None and not (isinstance(types, list) and all(isinstance(t, str) for t in types)):
        raise Refused("types must be a list of event types; * is a wildcard.")
    if remaining is not None and int(remaining) < 1:
        raise Refused("next must be at least 1, or null for no end.")
    with sandbox.store.write() as tx:
        return {"rule": delivery_rules.add(tx, kind, body)}


def clear_rules(sandbox: Sandbox) -> dict[str, Any]:
    """Forget all rules and faults. What is held stays held until `release`."""
    with sandbox.store.write() as tx:
        delivery_rules.remove(tx)
    return {"rules": []}


# Time


def advance(sandbox: Sandbox, seconds: float) -> dict[str, Any]:
    """Let time pass: sessions expire, debits settle, retries come due. Done when this returns."""
    if float(seconds) < 0:
        raise Refused("Time passes forwards only.")
    with sandbox.store.write() as tx:
        due_work.advance(tx, float(seconds))
    return {"done": sandbox.run_due_work()}


def settle(sandbox: Sandbox, payment_intent: str | None = None) -> dict[str, Any]:
    """Let the bank answer now, for one debit or for all that are on their way."""
    with sandbox.store.write() as tx:
        if payment_intent is None:
            tx.sql("UPDATE due_work SET due = 0 WHERE task = 'settle_debit'")
        elif not due_work.bring_forward(tx, "settle_debit", payment_intent):
            raise Refused(f"No bank debit of {payment_intent} is on its way.", status=404)
    return {"done": sandbox.run_due_work()}


# Sessions


def expire_session(sandbox: Sandbox, session_id: str) -> dict[str, Any]:
    def expire(call: Call) -> Object:
        session = _session(call, session_id)
        if session["status"] != "open":
            raise Refused(f"The session is {session['status']}.", status=409)
        return public(checkout.expire(call, session))

    return {"session": sandbox.run(expire)}


def pay_session(
    sandbox: Sandbox,
    session_id: str,
    payment_method: str | None = None,
    email: str = "buyer@example.com",
    name: str = "Sandbox Buyer",
    shipping: dict[str, Any] | None = None,
    wait: bool = False,
    save: bool = False,
) -> dict[str, Any]:
    """Pay as the page does. Raises ApiError 402 when declined.

    `payment_method`: a test id, a card number, an IBAN, or the id of a saved card that the page offers. `save`: the
    box to save the card is ticked. `wait`: return once the webhook has answered, as the page does before it redirects.
    """

    def pay(call: Call) -> tuple[Object, str | None]:
        session = checkout.refresh(call, _session(call, session_id))
        method = None
        if session["amount_total"]:
            method = _typed_method(call, session, payment_method or "pm_card_visa", {"email": email, "name": name})
        collects = session["shipping_address_collection"]
        home = shipping or _home(collects, name)
        paid = checkout.pay(call, session, method, email=email, shipping=home, save=bool(save))
        return paid, call.tx.emitted.get("checkout.session.completed")

    session, completed = sandbox.run(pay)
    return _paid(sandbox, session, completed, wait)


def authenticate_session(sandbox: Sandbox, session_id: str, passed: bool = True, wait: bool = False) -> dict[str, Any]:
    """Answer the 3-D Secure page of a session whose card asked for it."""

    def answer(call: Call) -> tuple[Object, str | None]:
        intent_id = _session(call, session_id)["payment_intent"]
        if intent_id is None:
            raise Refused("The session waits for no authentication.", status=409)
        return authenticate.answer(call, intent_id, bool(passed)), call.tx.emitted.get("checkout.session.completed")

    session, completed = sandbox.run(answer)
    return _paid(sandbox, session, completed, wait)


def _paid(sandbox: Sandbox, session: Object, completed: str | None, wait: bool) -> dict[str, Any]:
    if wait:
        sandbox.courier.wait_for(completed)
    redirect = (session["success_url"] or "").replace("{CHECKOUT_SESSION_ID}", session["id"])
    return {
        "session": public(session),
        "redirect": redirect if session["status"] == "complete" else None,
        "requires_action": session["status"] == "open",
    }


def _session(call: Call, session_id: str) -> Object:
    session = call.tx.find(session_id, "checkout.session")
    if session is None:
        raise Refused(f"There is no session {session_id}.", status=404)
    return session


def _typed_method(call: Call, session: Object, given: str, billing: dict[str, Any]) -> Object:
    text = re.sub(r"\s", "", given)
    if text.upper() in BY_IBAN or re.match(r"[A-Za-z]{2}\d", text):
        return methods.from_iban(call, text, billing_details=billing)
    if text.isdigit():
        return methods.from_card(call, methods.check_card(text, 12, 2034, None), billing_details=billing)
    method = methods.resolve(call, given)
    if method["customer"] is not None:
        if method["id"] not in [m["id"] for m in buyers.offered(call, session)]:
            raise Refused(f"The page does not offer {given}.", status=409)
        return method
    return call.tx.put(method | {"billing_details": methods.billing(billing)})


def _home(collection: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    """An address for sessions that ask for one, in the first country that they take."""
    if not collection:
        return None
    address = {"line1": "1 Main Street", "city": "Springfield", "state": "CA", "postal_code": "94103"}
    return {"name": name, "address": {**address, "country": collection["allowed_countries"][0]}}


# Faults


def add_fault(
    sandbox: Sandbox,
    kind: str,
    path: str = "*",
    method: str = "*",
    times: int | None = 1,
    seconds: float = 30,
) -> dict[str, Any]:
    """Make the next `times` API calls (null: all) whose path begins with `path` fail. Returns the rule."""
    if str(kind) not in faults.KINDS:
        raise Refused(f"kind must be one of {', '.join(faults.KINDS)}.")
    if not 0 <= float(seconds) <= faults.MAX_SECONDS:
        raise Refused(f"seconds must lie between 0 and {faults.MAX_SECONDS:g}.")
    body = {"fault": str(kind), "path": path, "method": method.upper(), "seconds": float(seconds)}
    return _rule(sandbox, faults.RULE, **body, remaining=times)


def reset(sandbox: Sandbox) -> dict[str, Any]:
    """Forget everything but the endpoint of the command line."""
    sandbox.store.clear()
    sandbox.ensure_endpoint()
    return {"objects": {}}
