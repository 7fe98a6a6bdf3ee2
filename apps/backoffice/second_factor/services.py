"""Setting up a second factor and checking its codes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta
from math import ceil
from typing import Any

import segno
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django_otp import login, verify_token
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from apps.accounts.models import User
from apps.accounts.second_factor import is_verified
from apps.audit.services import record

RECOVERY_CODES = 10
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what looks alike on paper."""

FORGET_UNFINISHED = timedelta(hours=1)


def is_wanted(request: HttpRequest) -> bool:
    """Whether this member of staff still has to show the second factor in this session."""
    user = request.user
    if not (settings.STAFF_SECOND_FACTOR and user.is_authenticated and user.is_active and user.is_staff):
        return False
    return not is_verified(user)


def device_of(user: User) -> TOTPDevice | None:
    return TOTPDevice.objects.filter(user=user, confirmed=True).order_by("pk").first()


def begin(user: User) -> TOTPDevice:
    """A secret for the person's app, the same until it is confirmed or an hour has passed."""
    unfinished = TOTPDevice.objects.filter(user=user, confirmed=False)
    unfinished.filter(created_at__lt=timezone.now() - FORGET_UNFINISHED).delete()
    return unfinished.order_by("pk").first() or TOTPDevice.objects.create(user=user, name="app", confirmed=False)


def confirm(request: HttpRequest, user: User, device: TOTPDevice, code: str) -> list[str]:
    """The app shows right codes: from now on it is the second factor, in this session too.

    Returns the recovery codes, which are told this once, or nothing when the code is not right.
    """
    with transaction.atomic():
        if verify_token(user, device.persistent_id, code) is None:
            return []
        TOTPDevice.objects.filter(user=user).exclude(pk=device.pk).delete()
        TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
        codes = new_recovery_codes(user)
        record(user, "second factor set up", user)
    device.confirmed = True
    _let_in(request, device)
    return codes


def check(request: HttpRequest, user: User, code: str) -> bool:
    """Whether a code of the app, or a recovery code, is right. A recovery code is right once."""
    if len(code) == 6 and code.isascii() and code.isdigit():
        device = device_of(user)
        found = verify_token(user, device.persistent_id, code) if device else None
    else:
        sealed = _sealed(user, code)
        kept = StaticDevice.objects.filter(user=user, confirmed=True).order_by("pk").first()
        found = verify_token(user, kept.persistent_id, sealed) if kept else None
        if found is not None:
            record(user, "recovery code used", user)
    if found is None:
        return False
    _let_in(request, found)
    return True


def new_recovery_codes(user: User) -> list[str]:
    """Ten new codes instead of those before. Their seals alone are stored, so they are told this once."""
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(10)) for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        StaticDevice.objects.filter(user=user).delete()
        device = StaticDevice.objects.create(user=user, name="recovery codes", confirmed=True)
        StaticToken.objects.bulk_create(StaticToken(device=device, token=_sealed(user, code)) for code in codes)
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def seconds_to_wait(user: User) -> int:
    """How long no code is looked at, after wrong ones; 0 when one is."""
    waits = [0]
    for device in (device_of(user), StaticDevice.objects.filter(user=user).first()):
        if device is not None:
            _, why = device.verify_is_allowed()
            if why and why.get("locked_until"):
                waits.append(ceil((why["locked_until"] - timezone.now()).total_seconds()))
    return max(waits)


def picture_of(device: TOTPDevice) -> SafeString:
    """The secret as a QR code, drawn here."""
    # Without a size of its own the page's style scales it. With one it was cut off, and no app could read it.
    drawn = segno.make(device.config_url, error="m").svg_inline(border=3, light="#fff", dark="#000", omitsize=True)
    return mark_safe(drawn)  # noqa: S308 - drawn from the secret, with nothing of anybody's in it but squares


def secret_of(device: TOTPDevice) -> str:
    """The secret as people type it into an app that has no camera."""
    text = base64.b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def reset(user: User) -> None:
    """The phone is gone: the person sets up another one at the next sign-in. In the caller's transaction."""
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()


def _let_in(request: HttpRequest, device: Any) -> None:
    request.session.cycle_key()
    login(request, device)


def _sealed(user: User, code: str) -> str:
    """What is stored of a recovery code: 64 bits of a keyed hash, as many as the column takes."""
    plain = "".join(letter for letter in code.lower() if letter.isalnum())
    key = f"recovery/{settings.SECRET_KEY}".encode()
    return hmac.new(key, f"{user.pk}/{plain}".encode(), hashlib.sha256).hexdigest()[:16]
