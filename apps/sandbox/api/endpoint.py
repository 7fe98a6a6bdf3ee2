"""The one view behind /v1/: who asks, which version, which call, its parameters, its answer."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.sandbox import errors, faults, forms, idempotency, ids, params, runtime
from apps.sandbox.api import keys, publishable
from apps.sandbox.api.routing import Route, find
from apps.sandbox.call import API_VERSION, Call
from apps.sandbox.errors import ApiError
from apps.sandbox.expand import expand
from apps.sandbox.forms import Form
from apps.sandbox.idempotency import Kept
from apps.sandbox.store import public

log = logging.getLogger(__name__)
ENDIVE = "2026-09-30"  # from this version on payment_method_types is refused
HTML_ERROR = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def view(request: HttpRequest) -> HttpResponse:
    """Answer one API call. Raises Cut where a fault wants the connection closed."""
    response = publishable.preflight(request) if request.method == "OPTIONS" else _guarded(request)
    return publishable.share(request, response)


def _guarded(request: HttpRequest) -> HttpResponse:
    request_id = f"req_{ids.text(14)}"
    try:
        return _answer(request, request_id)
    except faults.Html:
        return HttpResponse(HTML_ERROR, status=502, content_type="text/html")
    except ApiError as error:
        return _response(request, Kept(error.status, _dump(error.body()), request_id))
    except Exception:
        log.exception("The sandbox failed at %s %s", request.method, request.path)
        return _response(request, Kept(500, _dump(faults.server_error().body()), request_id))


def _answer(request: HttpRequest, request_id: str) -> HttpResponse:
    sandbox = runtime.running()
    method, path = request.method or "", request.path
    rule = faults.take(sandbox.store, method, path)
    if rule is not None:
        faults.before(rule)
    keys.check(request, sandbox.config)
    found = find(method, path)
    if found is None:
        raise errors.unknown_url(method, path)
    text = request.META.get("QUERY_STRING", "")
    if method == "POST":
        body = request.body.decode("utf-8", "replace")
        text = "&".join(part for part in (text, body) if part)
    key = request.headers.get("Idempotency-Key") if method == "POST" else None
    form = forms.parse(text)
    secret = publishable.admit(method, path, form) if keys.is_publishable(request) else None
    with idempotency.exclusive(key):
        kept = _execute(request, found, form, key, request_id, rule, secret)
    sandbox.wake()
    if rule is not None and rule["fault"] in ("reset_after", "timeout_after"):
        faults.cut(rule)
    return _response(request, kept, key)


def _execute(
    request: HttpRequest,
    found: tuple[Route, tuple[str, ...]],
    form: Form,
    key: str | None,
    request_id: str,
    rule: dict[str, Any] | None,
    secret: str | None,
) -> Kept:
    sandbox, (route, path_ids) = runtime.running(), found
    mark = idempotency.fingerprint(route.method, request.path, form)
    writes = route.method != "GET"
    with sandbox.store.write() if writes else sandbox.store.read() as tx:
        if secret is not None:
            publishable.check_secret(tx, path_ids[0], secret)
        if key is not None:
            before = idempotency.recall(tx, key, mark)
            if before is not None:
                return replace(before, replayed=True)
        call = sandbox.call_in(tx)
        call.request_id, call.idempotency_key = request_id, key
        call.params = _parameters(request, route, form)
        if rule is not None and rule["fault"] == "500":
            answer = _failed(faults.server_error(), request_id)
        else:
            answer = _run(call, route, path_ids, request_id)
        if rule is not None and rule["fault"] == "500_after":
            answer = _failed(faults.server_error(), request_id)
        if key is not None:
            idempotency.keep(tx, key, mark, answer)
    return answer


def _run(call: Call, route: Route, path_ids: tuple[str, ...], request_id: str) -> Kept:
    paths = call.params.pop("expand", [])
    try:
        answer = public(route.handler(call, *path_ids))
        return Kept(200, _dump(expand(call, answer, paths)), request_id)
    except ApiError as error:
        if not error.keep_effects:
            raise
        return _failed(error, request_id)


def _failed(error: ApiError, request_id: str) -> Kept:
    return Kept(error.status, _dump(error.body()), request_id)


def _parameters(request: HttpRequest, route: Route, form: Form) -> dict[str, Any]:
    version = request.headers.get("Stripe-Version")
    if version is not None and re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.\w+)?", version) is None:
        raise ApiError(f"Invalid Stripe API version: {version[:40]}", code="invalid_api_version")
    types = form.get("payment_method_types") if route.versioned else None
    if types is not None and version is not None and version[:10] >= ENDIVE:
        raise ApiError(
            "payment_method_types is no longer supported from API version 2026-09-30.endive on. Use"
            " allowed_payment_method_types, excluded_payment_method_types or payment_method_configuration.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )
    known = {name: value for name, value in form.items() if types is None or name != "payment_method_types"}
    result = params.read(known, route.params)
    if types is not None:
        result["payment_method_types"] = [str(kind) for kind in forms.items(types) or []]
    return result


def _dump(body: dict[str, Any]) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)


def _response(request: HttpRequest, kept: Kept, key: str | None = None) -> HttpResponse:
    body = kept.body
    if keys.is_publishable(request):
        body = _dump(publishable.visible(json.loads(body)))
    response = HttpResponse(body, status=kept.status, content_type="application/json")
    response["Request-Id"] = kept.request_id
    response["Stripe-Version"] = request.headers.get("Stripe-Version") or API_VERSION
    response["Cache-Control"] = "no-cache, no-store"
    if key is not None:
        response["Idempotency-Key"] = key
    if kept.replayed:
        response["Idempotent-Replayed"] = "true"
        response["Original-Request"] = kept.request_id
    return response
