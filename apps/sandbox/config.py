"""What the sandbox is started with, checked once: a set-up that could touch real money is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

LIVE_PREFIXES = ("sk_live_", "rk_live_", "pk_live_")
TEST_PREFIXES = ("sk_test_", "rk_test_")
PUBLISHABLE_PREFIX = "pk_test_"


class ConfigError(Exception):
    """The set-up is refused; the text is one sentence for the person who started it."""


@dataclass(frozen=True)
class Config:
    """`webhook_secrets[0]` signs; `settle_seconds` is how long a bank debit takes in real time.

    `public_key` empty: every key that begins with pk_test_ will do.
    """

    api_key: str
    webhook_secrets: tuple[str, ...]
    webhook_url: str
    db: Path
    port: int
    settle_seconds: float = 8.0
    public_key: str = ""


def load(
    *,
    port: int,
    webhook_url: str,
    db: str,
    settle_seconds: float = 8.0,
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Build the configuration from arguments and environment. Raises ConfigError."""
    if environ.get("PAYMENT_ENV", "test").strip().lower() == "live":
        raise ConfigError("The sandbox does not run with PAYMENT_ENV=live.")
    key = _pick(environ, "STRIPE_SECRET_KEY")
    if key.startswith(LIVE_PREFIXES):
        raise ConfigError("The sandbox refuses a live key: set STRIPE_SECRET_KEY to one that begins with sk_test_.")
    if not key:
        raise ConfigError("STRIPE_SECRET_KEY is not set: any key that begins with sk_test_ will do.")
    if not key.startswith(TEST_PREFIXES):
        raise ConfigError("STRIPE_SECRET_KEY must begin with sk_test_ or rk_test_.")
    secrets = tuple(s.strip() for s in _pick(environ, "STRIPE_WEBHOOK_SECRET").split(",") if s.strip())
    if not secrets:
        raise ConfigError("STRIPE_WEBHOOK_SECRET is not set: any text that begins with whsec_ will do.")
    public = _pick(environ, "STRIPE_PUBLIC_KEY") or _pick(environ, "STRIPE_PUBLISHABLE_KEY")
    if public and not public.startswith(PUBLISHABLE_PREFIX):
        raise ConfigError(f"STRIPE_PUBLIC_KEY must begin with {PUBLISHABLE_PREFIX}.")
    if webhook_url and urlsplit(webhook_url).scheme not in ("http", "https"):
        raise ConfigError(f"--webhook-url must begin with http:// or https://, not {webhook_url!r}.")
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port must lie between 0 and 65535, not {port}.")
    return Config(key, secrets, webhook_url, Path(db), port, settle_seconds, public)


def _pick(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(f"{name}_TEST") or environ.get(name) or "").strip()
