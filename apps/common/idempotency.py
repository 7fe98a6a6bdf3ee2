"""`Idempotency-Key`: the same request under the same key does its work once and gives the same answer again.

What is kept is the status and the object's id; the answer is rendered from the object each time, so a replay never
shows a stale body and no body is stored. Access is to be checked before `run_once` is called.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api import private
from apps.common.errors import Conflict, DomainError, InvalidInput
from apps.common.models import IdempotencyKey

KEPT_FOR = timedelta(hours=24)
LEASE = timedelta(seconds=60)
"""How long a first run may take; after it a crashed one is taken over."""
NOT_KEPT = frozenset({401, 403, 415, 429})

Work = Callable[[], tuple[int, str]]
Render = Callable[[str], Any]


def run_once(request: Request, *, caller: str | None, work: Work, render: Render) -> Response:
    """Do `work` (status and id of its object) and render its answer, once per caller and key.

    Without the header it simply does so. Raises InvalidInput, and DomainError `idempotency_needs_caller` (400),
    `idempotency_key_reused` (422), `idempotency_key_in_use` (409).
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        status, object_id = work()
        return private(render(object_id), status)
    if not 1 <= len(key) <= 255 or "\x00" in key:
        raise InvalidInput(fields={"Idempotency-Key": ["1 to 255 characters."]})
    if caller is None:
        raise DomainError("An Idempotency-Key needs a user, a cart or an order.", code="idempotency_needs_caller")
    row, mine = _claim(caller, key, _fingerprint(request))
    if not mine:
        return _replay(row, render)
    try:
        status, object_id = work()
    except DomainError as refusal:
        _keep_refusal(row, refusal)
        raise
    except BaseException:
        _held(row).delete()
        raise
    _held(row).update(status=status, object_id=object_id, lease_until=None)
    return private(render(object_id), status)


def forget_expired() -> int:
    """Remove keys that are older than a day. Returns how many."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()[0]


def _claim(caller: str, key: str, fingerprint: str) -> tuple[IdempotencyKey, bool]:
    """The key's row, and whether this request is the one to do the work."""
    now = timezone.now()
    mine = IdempotencyKey.objects.filter(caller=caller, key=key)
    mine.filter(created_at__lt=now - KEPT_FOR).delete()
    # A new row's lease is already over, so the first run and one that takes over from a dead one claim alike.
    fresh = IdempotencyKey(caller=caller, key=key, fingerprint=fingerprint, lease_until=now, created_at=now)
    IdempotencyKey.objects.bulk_create([fresh], ignore_conflicts=True)
    row = mine.first()
    if row is None:  # the first run failed just now and gave the key back
        raise _in_use()
    if row.fingerprint != fingerprint:
        raise DomainError(
            "This Idempotency-Key was used for another request.", code="idempotency_key_reused", status=422
        )
    if row.lease_until is None:
        return row, False
    # Of many that see the same lease, one moves it.
    if row.lease_until > now or not _held(row).update(lease_until=now + LEASE):
        raise _in_use()
    row.lease_until = now + LEASE
    return row, True


def _held(row: IdempotencyKey) -> QuerySet[IdempotencyKey]:
    """The row while its lease is the one we saw: empty once another run took over."""
    return IdempotencyKey.objects.filter(pk=row.pk, lease_until=row.lease_until)


def _in_use() -> Conflict:
    return Conflict("The first request with this Idempotency-Key is still running.", code="idempotency_key_in_use")


def _replay(row: IdempotencyKey, render: Render) -> Response:
    status = row.status or 500
    body = {"error": row.error_text, "code": row.error_code} if row.error_code else render(row.object_id)
    return private(body, status, {"Idempotent-Replayed": "true"})


def _keep_refusal(row: IdempotencyKey, refusal: DomainError) -> None:
    """A refusal after work began is the answer for a day; what may pass by itself is not kept."""
    if refusal.status in NOT_KEPT or refusal.status >= 500:
        _held(row).delete()
        return
    _held(row).update(
        status=refusal.status, error_code=refusal.code, error_text=refusal.message[:300], lease_until=None
    )


def _fingerprint(request: Request) -> str:
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(f"{request.method} {request.path}\n{body}".encode()).hexdigest()
