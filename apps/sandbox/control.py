"""`/_control/`: JSON calls that steer the sandbox and look into it. README.md shows each with curl."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.sandbox import actions, card_actions, reversals, runtime
from apps.sandbox.actions import Refused
from apps.sandbox.errors import ApiError

log = logging.getLogger(__name__)
Action = Callable[..., dict[str, Any]]

READ: dict[str, Action] = {
    "state": actions.state,
    "events": actions.events,
    "objects": actions.objects,
}
WRITE: dict[str, Action] = {
    "deliver": actions.deliver,
    "hold": actions.hold,
    "release": actions.release,
    "drop": actions.drop,
    "delay": actions.delay,
    "duplicate": actions.duplicate,
    "reorder": actions.reorder,
    "advance": actions.advance,
    "settle": actions.settle,
    "refund": reversals.refund,
    "payout": reversals.pay_out,
    "faults": actions.add_fault,
    "rules/clear": actions.clear_rules,
    "reset": actions.reset,
}
# Calls about one object: sessions/cs_…/pay.
ON_OBJECT: dict[tuple[str, str], Action] = {
    ("sessions", "expire"): actions.expire_session,
    ("sessions", "pay"): actions.pay_session,
    ("sessions", "authenticate"): actions.authenticate_session,
    ("payment_intents", "authenticate"): card_actions.authenticate_intent,
    ("setup_intents", "authenticate"): card_actions.authenticate_intent,
    ("payment_methods", "replace"): card_actions.replace_card,
    ("charges", "dispute"): reversals.dispute,
    ("disputes", "decide"): reversals.decide,
    ("refunds", "set"): reversals.set_refund,
}


def view(request: HttpRequest, name: str) -> HttpResponse:
    name = name.strip("/")
    try:
        return JsonResponse(_answer(request, name), json_dumps_params={"indent": 2})
    except Refused as error:
        return JsonResponse({"error": str(error)}, status=error.status)
    except ApiError as error:
        return JsonResponse(error.body(), status=error.status)


def _answer(request: HttpRequest, name: str) -> dict[str, Any]:
    if request.method == "GET":
        if name not in READ:
            raise Refused(f"There is no GET /_control/{name}.", status=404)
        return READ[name](runtime.running(), **{k: v for k, v in request.GET.items() if k in actions.QUERY})
    if request.method != "POST":
        raise Refused("Only GET and POST are known here.", status=405)
    body = _body(request)
    parts = name.split("/")
    if len(parts) == 3 and (parts[0], parts[2]) in ON_OBJECT:
        return _call(ON_OBJECT[parts[0], parts[2]], body, parts[1])
    if name not in WRITE:
        raise Refused(f"There is no POST /_control/{name}.", status=404)
    return _call(WRITE[name], body)


def _call(action: Action, body: dict[str, Any], *arguments: str) -> dict[str, Any]:
    try:
        return action(runtime.running(), *arguments, **body)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise Refused(f"Unknown or missing field: {str(error).partition(') ')[2] or error}.") from None
    except ValueError as error:
        raise Refused(f"A field has a wrong value: {error}.") from None


def _body(request: HttpRequest) -> dict[str, Any]:
    if not request.body.strip():
        return {}
    try:
        body = json.loads(request.body)
    except ValueError:
        raise Refused("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise Refused("The body must be a JSON object.")
    return body
