"""Signing up, in and out, and setting a new password."""

from __future__ import annotations

import secrets

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.encoding import force_bytes, force_str
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from knox.models import AuthToken

from apps.accounts.models import User
from apps.common.client import address
from apps.common.errors import DomainError, InvalidInput, TooManyRequests
from apps.outbox.services import publish


class WrongCredentials(DomainError):
    """Says the same for an unknown address and a wrong password."""

    status = 401
    code = "wrong_credentials"
    message = "E-mail address or password is wrong."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Token"})


def register(*, email: str, password: str, name: str = "", language: str = "") -> User:
    """Raises InvalidInput for an address that is taken or a password that is too weak."""
    email = email.strip().lower()
    check_password_strength(password, User(email=email, name=name))
    try:
        with transaction.atomic():
            return User.objects.create_user(email, password, name=name, language=language)
    except IntegrityError:
        raise InvalidInput(fields={"email": ["There is an account with this address."]}) from None


def rename(user: User, *, name: str) -> User:
    """Give a person another name."""
    with transaction.atomic():
        user.name = name
        user.save(update_fields=["name"])
        tell_change(user)
    return user


def tell_change(user: User) -> None:
    """E-mail or name changed, in the caller's transaction: whoever keeps a copy takes it over."""
    publish("accounts.user_changed", f"{user.pk}/{secrets.token_hex(8)}", {"user_id": user.pk})


def check_credentials(request: HttpRequest, *, email: str, password: str) -> User:
    """The person with these credentials.

    Raises WrongCredentials, and TooManyRequests after too many wrong ones, then for the right one too.
    """
    email = email.strip().lower()
    credentials = {"username": email}  # the name by which axes counts, here and at the admin's form
    if not AxesProxyHandler.is_allowed(request, credentials):
        raise _locked()
    user = authenticate(request, **credentials, password=password)
    if user is None:
        if not AxesProxyHandler.is_allowed(request, credentials):
            raise _locked()
        raise WrongCredentials
    assert isinstance(user, User)  # noqa: S101 - AUTH_USER_MODEL
    if settings.AXES_ENABLED:
        # axes forgets by itself only where a session begins.
        AxesProxyHandler.reset_attempts(username=email, ip_address=address(request))
    return user


def new_token(user: User) -> str:
    """A token for this sign-in alone; only its hash is stored."""
    update_last_login(None, user)  # type: ignore[arg-type]
    return str(AuthToken.objects.create(user)[1])


def ask_for_reset(*, email: str) -> None:
    """Have a link mailed to the address, if somebody has it. Tells nothing either way.

    An address that nobody has is published too, so that the time it takes does not tell either.
    """
    user_id = User.objects.filter(email=email.strip().lower(), is_active=True).values_list("pk", flat=True).first()
    request = f"{user_id or 0}/{secrets.token_hex(8)}"
    publish("accounts.password_reset", request, {"user_id": user_id, "request": request})


def password_reset_link(user: User) -> str:
    """The page that sets a new password. A secret: made when the mail is sent, and never stored."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return f"{settings.FRONTEND_URL}/password-reset#uid={uid}&token={default_token_generator.make_token(user)}"


def reset_password(*, uid: str, token: str, password: str) -> None:
    """Set a new password; every token and session of the person dies.

    Raises DomainError `invalid_reset_link`, and InvalidInput for a weak password.
    """
    with transaction.atomic(durable=True):
        user = _user_of(uid)
        if user is None or not default_token_generator.check_token(user, token):
            raise DomainError("This link is not valid any more. Ask for a new one.", code="invalid_reset_link")
        check_password_strength(password, user)
        user.set_password(password)
        user.save(update_fields=["password"])
        AuthToken.objects.filter(user=user).delete()
        if settings.AXES_ENABLED:
            AxesProxyHandler.reset_attempts(username=user.email)


def check_password_strength(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as weak:
        raise InvalidInput(fields={"password": weak.messages}) from None


def _user_of(uid: str) -> User | None:
    """The person of a link, locked: of two uses at once one succeeds."""
    try:
        pk = int(force_str(urlsafe_base64_decode(uid))[:18])
        return User.objects.select_for_update().filter(pk=pk, is_active=True).first()
    except (ValueError, OverflowError, UnicodeDecodeError):
        return None


def _locked() -> TooManyRequests:
    return TooManyRequests(
        "Too many wrong sign-ins. Wait, or set a new password.",
        retry_after=int(settings.AXES_COOLOFF_TIME * 3600),
        code="locked",
    )
