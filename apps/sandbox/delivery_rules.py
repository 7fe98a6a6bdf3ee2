"""What the control panel may do to deliveries: hold, drop, delay, duplicate, reorder.

Rules live in the sandbox's file, so that a restart does not change an experiment. `remaining` counts down
with each event a rule touches; None means until it is removed.
"""

from __future__ import annotations

import fnmatch
import json
import time
from typing import Any

from apps.sandbox.store import Object, Transaction

KINDS = ("hold", "drop", "delay", "duplicate", "reorder")


def add(tx: Transaction, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    cursor = tx.sql("INSERT INTO rules (kind, body) VALUES (?, ?)", (kind, json.dumps(body)))
    return {"id": cursor.lastrowid, "kind": kind, **body}


def listed(tx: Transaction, *kinds: str) -> list[dict[str, Any]]:
    rows = tx.sql("SELECT id, kind, body FROM rules ORDER BY id").fetchall()
    return [{"id": n, "kind": kind, **json.loads(body)} for n, kind, body in rows if not kinds or kind in kinds]


def remove(tx: Transaction, *kinds: str) -> None:
    for rule in listed(tx, *kinds):
        tx.sql("DELETE FROM rules WHERE id = ?", (rule["id"],))


def use(tx: Transaction, rule: dict[str, Any]) -> int | None:
    """Count one use; the number of uses that are left, None for a rule without an end."""
    if rule.get("remaining") is None:
        return None
    left = int(rule["remaining"]) - 1
    if left <= 0:
        tx.sql("DELETE FROM rules WHERE id = ?", (rule["id"],))
    else:
        body = {k: v for k, v in rule.items() if k not in ("id", "kind")} | {"remaining": left}
        tx.sql("UPDATE rules SET body = ? WHERE id = ?", (json.dumps(body), rule["id"]))
    return left


def queue(tx: Transaction, event: Object, endpoints: list[Object]) -> None:
    """Queue an event for its endpoints, as the rules want it; it counts once, however many there are."""
    state, due, copies, batch, full = "pending", time.time(), 1, None, None
    for rule in listed(tx, *KINDS):
        if not any(fnmatch.fnmatchcase(event["type"], wanted) for wanted in rule.get("types") or ["*"]):
            continue
        left = use(tx, rule)
        if rule["kind"] == "hold":
            state = "held"
        elif rule["kind"] == "drop":
            state = "dropped"
        elif rule["kind"] == "delay":
            due += float(rule["seconds"])
        elif rule["kind"] == "duplicate":
            copies = int(rule["copies"])
        elif rule["kind"] == "reorder":
            state, batch = "held", rule["id"]
            full = rule if left == 0 else None
        if state != "pending":
            break
    for endpoint in endpoints * copies:
        tx.sql(
            "INSERT INTO deliveries (event, endpoint, state, due, batch) VALUES (?, ?, ?, ?, ?)",
            (event["id"], endpoint["id"], state, due, batch),
        )
    if full is not None:
        _release_reordered(tx, full)


def _release_reordered(tx: Transaction, rule: dict[str, Any]) -> None:
    """Send a full batch newest first, half a second apart so that the order is the order of arrival."""
    rows = tx.sql("SELECT id FROM deliveries WHERE batch = ? ORDER BY id DESC", (rule["id"],)).fetchall()
    for place, (delivery,) in enumerate(rows):
        tx.sql(
            "UPDATE deliveries SET state = 'pending', due = ?, batch = NULL WHERE id = ?",
            (time.time() + place * float(rule.get("gap", 0.5)), delivery),
        )
