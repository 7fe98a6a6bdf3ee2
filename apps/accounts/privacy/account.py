"""What accounts keep: the account itself, its sign-ins, and failed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.utils import timezone
from knox.models import AuthToken

from apps.accounts.models import User
from apps.accounts.privacy.holders import Holder, Rows, Subject

SIGN_INS = {AccessAttempt: "failed sign-ins", AccessFailureLog: "refused sign-ins", AccessLog: "sign-ins to the admin"}


def close_account(user_id: int) -> None:
    """Nobody signs in to it any more, and whoever is signed in is not. In the caller's transaction."""
    User.objects.filter(pk=user_id).update(is_active=False, password=make_password(None))
    AuthToken.objects.filter(user=user_id).delete()


def _export(subject: Subject) -> dict[str, Any]:
    columns = ("id", "email", "name", "language", "is_active", "date_joined", "last_login")
    seen = ("attempt_time", "username", "ip_address", "user_agent", "path_info")
    return {
        "account": _account(subject).values(*columns).first(),
        "tokens": list(_tokens(subject).values("created", "expiry")),
        "sessions": _sessions(subject).count(),
        **{what.replace(" ", "_"): list(_seen(model, subject).values(*seen)) for model, what in SIGN_INS.items()},
    }


def _rows(subject: Subject) -> Sequence[Rows]:
    return [
        Rows("account", "closed; e-mail address, name and language", _account(subject)),
        Rows("tokens", "deleted", _tokens(subject)),
        Rows("sessions", "deleted", _sessions(subject)),
        *(Rows(what, "deleted", _seen(model, subject)) for model, what in SIGN_INS.items()),
    ]


def _erase(subject: Subject) -> None:
    with transaction.atomic(durable=True):
        _tokens(subject).delete()
        _sessions(subject).delete()
        for model in SIGN_INS:
            _seen(model, subject).delete()
        for user in _account(subject):
            user.groups.clear()
            user.user_permissions.clear()
        _account(subject).update(email=subject.stand_in, name="", language="", last_login=None)


def _account(subject: Subject) -> QuerySet[User]:
    return User.objects.none() if subject.user_id is None else User.objects.filter(pk=subject.user_id)


def _tokens(subject: Subject) -> QuerySet[Any]:
    found: QuerySet[Any] = AuthToken.objects.filter(user=subject.user_id)
    return found


def _sessions(subject: Subject) -> QuerySet[Session]:
    """Sessions that the person signed in to. What a session says is inside it, so every one is looked into."""
    if subject.user_id is None:
        return Session.objects.none()
    live = Session.objects.filter(expire_date__gt=timezone.now())
    person = str(subject.user_id)
    keys = [row.pk for row in live.iterator(chunk_size=1000) if row.get_decoded().get(SESSION_KEY) == person]
    return Session.objects.filter(pk__in=keys)


def _seen(model: Any, subject: Subject) -> QuerySet[Any]:
    found: QuerySet[Any] = model.objects.alias(address=Lower("username"))
    return found.filter(address__in=subject.addresses)


HOLDER = Holder("account", export=_export, rows=_rows, erase=_erase)
