"""A set-up that would lose or fake money does not start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from apps.payment.checks import check_setup, refuse_unsafe_setup

ROOT = Path(__file__).resolve().parents[2]
LIVE = {
    "PAYMENT_ENV": "live",
    "STRIPE_SECRET_KEY": "sk_live_x",
    "STRIPE_PUBLIC_KEY": "pk_live_x",
    "STRIPE_API_BASE": "",
    "FRONTEND_URL": "https://shop.example",
    "DEBUG": False,
    "RATE_LIMITS": True,
}


def reasons() -> list[str]:
    return [f"{error.id} {error.msg}" for error in check_setup()]


def test_the_suite_and_a_sound_live_shop_start(settings: Any) -> None:
    assert reasons() == []
    for name, value in LIVE.items():
        setattr(settings, name, value)
    assert reasons() == []
    refuse_unsafe_setup()


@pytest.mark.parametrize("key", ["rk_live_x", "sk_live_x"])
def test_restricted_keys_are_as_good(settings: Any, key: str) -> None:
    for name, value in (LIVE | {"STRIPE_SECRET_KEY": key}).items():
        setattr(settings, name, value)
    assert reasons() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"STRIPE_WEBHOOK_SECRETS": []}, "E001 STRIPE_WEBHOOK_SECRET is empty: webhooks could not be verified."),
        ({"STRIPE_SECRET_KEY": ""}, "E002 STRIPE_SECRET_KEY is empty."),
        (LIVE | {"STRIPE_SECRET_KEY": "sk_test_x"}, "E003 PAYMENT_ENV is live and a Stripe key is a test key."),
        (LIVE | {"STRIPE_PUBLIC_KEY": "pk_test_x"}, "E003 PAYMENT_ENV is live and a Stripe key is a test key."),
        (LIVE | {"STRIPE_SECRET_KEY": ""}, "E002 STRIPE_SECRET_KEY is empty."),
        (LIVE | {"DEBUG": True}, "E004 PAYMENT_ENV is live and DEBUG is on."),
        (LIVE | {"FRONTEND_URL": "http://shop.example"}, "E005 PAYMENT_ENV is live and FRONTEND_URL is http://."),
        (LIVE | {"STRIPE_API_BASE": "http://127.0.0.1:1"}, "E006 PAYMENT_ENV is live and STRIPE_API_BASE is set."),
        ({"STRIPE_SECRET_KEY": "sk_live_x"}, "E007 PAYMENT_ENV is test and a Stripe key is a live key."),
        ({"STRIPE_SECRET_KEY": "rk_live_x"}, "E007 PAYMENT_ENV is test and a Stripe key is a live key."),
        (LIVE | {"STRIPE_PUBLIC_KEY": ""}, "E008 PAYMENT_ENV is live and STRIPE_PUBLIC_KEY is empty."),
        (LIVE | {"RATE_LIMITS": False}, "E009 PAYMENT_ENV is live and RATE_LIMITS is off."),
        (
            {"STRIPE_API_BASE": "http://stripe.example"},
            "E010 STRIPE_API_BASE is not an http://127.0.0.1 address: it is for the local sandbox alone.",
        ),
    ],
)
def test_each_reason_not_to_start(settings: Any, changes: dict[str, Any], reason: str) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    assert reasons() == [f"proshop.{reason}"]
    with pytest.raises(ImproperlyConfigured):
        refuse_unsafe_setup()


def start(module: str = "import proshop.wsgi", **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a process with this environment and nothing else."""
    sound = {
        "PROSHOP_ENV_FILE": "",
        "SECRET_KEY": "x" * 60,
        "STRIPE_SECRET_KEY": "sk_test_x",
        "STRIPE_WEBHOOK_SECRET": "whsec_x",
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "sqlite:///:memory:",
    }
    return subprocess.run(
        [sys.executable, "-c", module], cwd=ROOT, env=sound | environment, capture_output=True, text=True, check=False
    )


def test_wsgi_starts_with_a_sound_environment() -> None:
    done = start()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set."),
        ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET is empty"),
        ({"CHECKOUT_HOLD_MINUTES": "30"}, "CHECKOUT_HOLD_MINUTES is 30; it takes 31 to 1439."),
        ({"CHECKOUT_HOLD_MINUTES": "1440"}, "CHECKOUT_HOLD_MINUTES is 1440; it takes 31 to 1439."),
        ({"PAYMENT_ENV": "prod"}, "PAYMENT_ENV is 'prod'; it takes one of test, live."),
        ({"DEBUG": "maybe"}, "DEBUG is 'maybe'; it takes on or off."),
        ({"LATE_PAYMENT_POLICY": "keep"}, "LATE_PAYMENT_POLICY is 'keep'"),
        ({"FRONTEND_URL": "javascript:alert(1)"}, "FRONTEND_URL is"),
        ({"EMAIL_URL": "ftp://x"}, "EMAIL_URL takes"),
        ({"PAYMENT_ENV": "live"}, "PAYMENT_ENV is live and a Stripe key is a test key."),
        ({"STRIPE_SECRET_KEY_TEST": "sk_live_x"}, "PAYMENT_ENV is test and a Stripe key is a live key."),
    ],
)
def test_wsgi_refuses_to_start_and_names_the_reason(environment: dict[str, str], sentence: str) -> None:
    done = start(**environment)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_the_mode_picks_its_own_keys() -> None:
    show = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE']='proshop.settings.production';"
        "from django.conf import settings as s;"
        "print(s.STRIPE_SECRET_KEY, s.STRIPE_PUBLIC_KEY, s.STRIPE_WEBHOOK_SECRETS)"
    )
    keys = {
        "STRIPE_SECRET_KEY_TEST": "sk_test_own",
        "STRIPE_SECRET_KEY_LIVE": "rk_live_own",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_alias",
        "STRIPE_WEBHOOK_SECRET_TEST": "whsec_new, whsec_old",
    }
    assert start(show, **keys).stdout == "sk_test_own pk_test_alias ['whsec_new', 'whsec_old']\n"
    assert start(show, **keys, PAYMENT_ENV="live").stdout.startswith("rk_live_own ")
