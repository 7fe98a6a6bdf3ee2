"""Read the environment, once, into typed values.

Every variable that Proshop knows is read through this module, so that a wrong value is refused with the
variable's name before anything starts. `.env` is read with python-dotenv; a variable that is really set wins.
"""

from __future__ import annotations

import os
import re
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from dotenv import load_dotenv

BASE_DIR = Path(__file__).resolve().parent.parent

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off", ""})


def load() -> None:
    """Read `.env` beside `manage.py`, if there is one. `PROSHOP_ENV_FILE` names another file, or none when empty."""
    name = os.environ.get("PROSHOP_ENV_FILE", str(BASE_DIR / ".env"))
    if name:
        load_dotenv(name, override=False)


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def flag(name: str, default: bool = False) -> bool:
    raw = os.environ.get(name)
    if raw is None:
        return default
    word = raw.strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {raw!r}; it takes on or off.")


def integer(name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
    raw = text(name)
    if not raw:
        return default
    try:
        number = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {raw!r}; it takes a whole number.") from None
    if number < least or (most is not None and number > most):
        raise ImproperlyConfigured(f"{name} is {number}; it takes {least} to {most if most is not None else 'any'}.")
    return number


def rate(name: str) -> Decimal:
    """A share such as 0.19, for 19 %; nothing is 0."""
    raw = text(name) or "0"
    if not re.fullmatch(r"0?\.\d{1,5}|0", raw, re.ASCII):
        raise ImproperlyConfigured(f"{name} is {raw!r}; it takes a share below 1, such as 0.19 for 19 %.")
    return Decimal(raw)


def words(name: str, default: str = "") -> list[str]:
    """A list written with commas; blanks around the words are dropped."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    word = text(name) or default
    if word not in allowed:
        raise ImproperlyConfigured(f"{name} is {word!r}; it takes one of {', '.join(allowed)}.")
    return word


def stripe_value(names: tuple[str, ...], payment_env: str) -> str:
    """One of Stripe's settings: NAME_TEST or NAME_LIVE as PAYMENT_ENV says, before the plain NAME."""
    for name in names:
        picked = text(f"{name}_{payment_env.upper()}")
        if picked:
            return picked
    for name in names:
        picked = text(name)
        if picked:
            return picked
    return ""


def broker(name: str) -> str:
    """A broker's address, or nothing. It may hold a password, so it is never repeated."""
    url = text(name)
    scheme = url.partition(":")[0]
    if url and scheme not in ("amqp", "amqps", "redis", "rediss"):
        raise ImproperlyConfigured(f"{name} takes amqp://user:password@host:port// or redis://host:port/number.")
    if scheme.startswith("redis") and find_spec("redis") is None:
        raise ImproperlyConfigured(f"{name} names Redis, whose library is in requirements/production.txt.")
    return url


def origin(name: str, default: str = "") -> str:
    """An address without a trailing slash."""
    address = (text(name) or default).rstrip("/")
    if address and urlsplit(address).scheme not in ("http", "https"):
        raise ImproperlyConfigured(f"{name} is {address!r}; it takes an http:// or https:// address.")
    return address


def settings_module() -> str:
    """The settings of this process: development with DEBUG on, production otherwise."""
    load()
    return "proshop.settings.dev" if flag("DEBUG") else "proshop.settings.production"


def email(url: str) -> dict[str, object]:
    """Django's mail settings from one address.

    `console:` prints, `memory:` keeps for tests, `file:///folder` writes files, `smtp://user:password@host:port`
    sends (`smtp+tls` with STARTTLS, `smtps` with TLS from the start).
    """
    parts = urlsplit(url)
    backends = {"console": "console", "memory": "locmem", "file": "filebased"}
    if parts.scheme in backends:
        settings: dict[str, object] = {
            "EMAIL_BACKEND": f"django.core.mail.backends.{backends[parts.scheme]}.EmailBackend"
        }
        if parts.scheme == "file":
            settings["EMAIL_FILE_PATH"] = unquote(parts.path)
        return settings
    if parts.scheme not in ("smtp", "smtp+tls", "smtps") or not parts.hostname:
        raise ImproperlyConfigured(
            "EMAIL_URL takes console:, memory:, file:///folder or smtp://user:password@host:port."
        )
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or {"smtp": 25, "smtp+tls": 587, "smtps": 465}[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_TIMEOUT": 10,
    }
