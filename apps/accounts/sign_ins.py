"""The log of sign-ins, and what is left of them when they are over."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.request import Request

from apps.accounts.models import User
from apps.audit.images import clean
from apps.common import client
from apps.common.retention import drop_old

KEPT = timedelta(days=90)
"""How long it is known who signed in, or failed to, from where."""


def forget_old_sign_ins() -> int:
    """Remove sessions and tokens that have run out, and what is known of sign-ins of long ago. Returns how many."""
    now = timezone.now()
    gone = Session.objects.filter(expire_date__lt=now).delete()[0]
    gone += AuthToken.objects.filter(expiry__lt=now).delete()[0]
    for model in (AccessAttempt, AccessFailureLog, AccessLog):
        gone += drop_old(model, "attempt_time", before=now - KEPT)
    return int(gone)


def note_sign_in(request: HttpRequest, user: User) -> None:
    """Keep that somebody signed in where no session began: at the API, or with the second factor."""
    if settings.AXES_ENABLED:
        AccessLog.objects.create(**_seen(request, user))


def note_refused(request: HttpRequest, user: User) -> None:
    """Keep that a second factor was not right. A wrong password is kept by axes."""
    if settings.AXES_ENABLED:
        AccessFailureLog.objects.create(**_seen(request, user), locked_out=False)


class NoteSignIn:
    """Registered with `on_sign_in` by the composition root."""

    name = "sign_in_log"

    def before(self, request: Request) -> None:
        """Whoever may not sign in has been refused by then."""

    def after(self, request: Request, user: Any) -> None:
        note_sign_in(request._request, user)


def _seen(request: HttpRequest, user: User) -> dict[str, Any]:
    try:
        address = str(ipaddress.ip_address(client.address(request)))
    except ValueError:
        address = None
    return {
        "username": user.email,
        "ip_address": address,
        "user_agent": clean(request.headers.get("User-Agent", ""))[:255],
        "http_accept": clean(request.headers.get("Accept", ""))[:1025],
        "path_info": clean(request.path_info)[:255],
    }
