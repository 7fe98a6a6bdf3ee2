"""What is left of sign-ins when they are over."""

from __future__ import annotations

from datetime import timedelta

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.sessions.models import Session
from django.utils import timezone
from knox.models import AuthToken

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
