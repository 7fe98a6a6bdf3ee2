"""A set-up that would lose or fake money does not start."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

LOOPBACK = ("127.0.0.1", "::1")
SECRET_PREFIXES = ("sk_test_", "sk_live_", "rk_test_", "rk_live_")
PUBLIC_PREFIXES = ("pk_test_", "pk_live_")


@register(Tags.security)
def check_setup(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Every reason not to start, and what looks odd, as Django's system checks."""
    return [
        *(Error(reason, id=f"proshop.E{number:03d}") for number, reason in _reasons()),
        *(checks.Warning(doubt, id=f"proshop.W{number:03d}") for number, doubt in _doubts()),
    ]


@register(Tags.security, deploy=True)
def check_second_factor(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """A live shop whose staff needs a password alone. Told by `check --deploy`."""
    if settings.PAYMENT_ENV != "live" or settings.STAFF_SECOND_FACTOR:
        return []
    return [
        checks.Warning(
            "PAYMENT_ENV is live and STAFF_SECOND_FACTOR is off: a stolen password opens the admin.",
            hint="Set STAFF_SECOND_FACTOR=on. Staff sets the second factor up at the next sign-in.",
            id="proshop.W002",
        )
    ]


def refuse_unsafe_setup() -> None:
    """For processes that do not run Django's checks. Raises ImproperlyConfigured."""
    reasons = [reason for _, reason in _reasons()]
    if reasons:
        raise ImproperlyConfigured(" ".join(reasons))


def _reasons() -> list[tuple[int, str]]:
    live = settings.PAYMENT_ENV == "live"
    secret, public = settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLIC_KEY
    base = urlsplit(settings.STRIPE_API_BASE)
    rules = [
        (
            1,
            not settings.STRIPE_WEBHOOK_SECRETS,
            "STRIPE_WEBHOOK_SECRET is empty: webhooks could not be verified.",
        ),
        (2, not secret, "STRIPE_SECRET_KEY is empty."),
        (3, live and "_test_" in secret + public, "PAYMENT_ENV is live and a Stripe key is a test key."),
        (4, live and settings.DEBUG, "PAYMENT_ENV is live and DEBUG is on."),
        (
            5,
            live and settings.FRONTEND_URL.startswith("http://"),
            "PAYMENT_ENV is live and FRONTEND_URL is http://.",
        ),
        (6, live and bool(settings.STRIPE_API_BASE), "PAYMENT_ENV is live and STRIPE_API_BASE is set."),
        (7, not live and "_live_" in secret + public, "PAYMENT_ENV is test and a Stripe key is a live key."),
        (8, live and not public, "PAYMENT_ENV is live and STRIPE_PUBLIC_KEY is empty."),
        (9, live and not settings.RATE_LIMITS, "PAYMENT_ENV is live and RATE_LIMITS is off."),
        (
            10,
            bool(settings.STRIPE_API_BASE) and (base.scheme, base.hostname in LOOPBACK) != ("http", True),
            "STRIPE_API_BASE is not an http://127.0.0.1 address: it is for the local sandbox alone.",
        ),
        (
            11,
            bool(secret) and not secret.startswith(SECRET_PREFIXES),
            "STRIPE_SECRET_KEY is no secret key (sk_test_, sk_live_) and no restricted one (rk_test_, rk_live_).",
        ),
        # GET /api/payment/config/ hands it to everybody: a secret key here would be given away.
        (
            12,
            bool(public) and not public.startswith(PUBLIC_PREFIXES),
            "STRIPE_PUBLIC_KEY is no publishable key (pk_test_, pk_live_).",
        ),
    ]
    return [(number, reason) for number, broken, reason in rules if broken]


def _doubts() -> list[tuple[int, str]]:
    odd = [secret for secret in settings.STRIPE_WEBHOOK_SECRETS if not secret.startswith("whsec_")]
    return [(1, "STRIPE_WEBHOOK_SECRET holds a value that does not begin with whsec_.")] if odd else []
