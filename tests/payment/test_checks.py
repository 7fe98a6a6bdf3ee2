"""A set-up that would lose or fake money does not start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
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


@pytest.mark.parametrize("mode", ["test", "live"])
@pytest.mark.parametrize("secret", ["sk_test_x", "sk_live_x", "rk_test_x", "rk_live_x"])
@pytest.mark.parametrize("public", ["pk_test_x", "pk_live_x"])
def test_keys_of_the_other_mode_are_refused_in_every_mixture(
    settings: Any, mode: str, secret: str, public: str
) -> None:
    changes = LIVE if mode == "live" else {}
    for name, value in (changes | {"STRIPE_SECRET_KEY": secret, "STRIPE_PUBLIC_KEY": public}).items():
        setattr(settings, name, value)
    other = "test" if mode == "live" else "live"
    if f"_{other}_" in secret or f"_{other}_" in public:
        number = "E003" if mode == "live" else "E007"
        assert reasons() == [f"proshop.{number} PAYMENT_ENV is {mode} and a Stripe key is a {other} key."]
    else:
        assert reasons() == []


@pytest.mark.parametrize("key", ["pk_test_x", "whsec_x", "test", "sk_test", "SK_TEST_x", "ek_test_x"])
def test_a_secret_key_of_another_kind_is_refused_without_being_shown(settings: Any, key: str) -> None:
    settings.STRIPE_SECRET_KEY = key
    assert reasons() == [
        "proshop.E011 STRIPE_SECRET_KEY is no secret key (sk_test_, sk_live_) and no restricted one "
        "(rk_test_, rk_live_)."
    ]


@pytest.mark.parametrize("key", ["sk_test_x", "rk_test_x", "whsec_x", "test", "pk_x"])
def test_a_public_key_of_another_kind_is_refused_without_being_shown(settings: Any, key: str) -> None:
    settings.STRIPE_PUBLIC_KEY = key
    assert reasons() == ["proshop.E012 STRIPE_PUBLIC_KEY is no publishable key (pk_test_, pk_live_)."]


def test_no_public_key_is_fine_in_test_mode(settings: Any) -> None:
    settings.STRIPE_PUBLIC_KEY = ""
    assert reasons() == []


def test_an_odd_webhook_secret_is_a_warning_and_starts(settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_x", "odd-value"]
    assert reasons() == ["proshop.W001 STRIPE_WEBHOOK_SECRET holds a value that does not begin with whsec_."]
    assert [message.is_serious() for message in check_setup()] == [False]
    refuse_unsafe_setup()


@pytest.mark.parametrize(
    ("mode", "second_factor", "told"),
    [("live", False, ["proshop.W002"]), ("live", True, []), ("test", False, []), ("test", True, [])],
)
def test_live_shop_without_a_second_factor_is_warned_of_when_it_is_deployed(
    settings: Any, mode: str, second_factor: bool, told: list[str]
) -> None:
    settings.PAYMENT_ENV, settings.STAFF_SECOND_FACTOR = mode, second_factor
    found = run_checks(tags=["security"], include_deployment_checks=True)
    assert [message.id for message in found if message.id == "proshop.W002"] == told
    assert "proshop.W002" not in [message.id for message in run_checks(tags=["security"])]


def test_management_commands_refuse_an_unsafe_set_up_too() -> None:
    sound = start(CHECK)
    assert sound.returncode == 0, sound.stderr
    unsafe = start(CHECK, STRIPE_SECRET_KEY="pk_test_x")
    assert unsafe.returncode == 1
    assert "proshop.E011" in unsafe.stderr


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


CHECK = (
    "import os; os.environ['DJANGO_SETTINGS_MODULE']='proshop.settings.production';"
    "from django.core.management import execute_from_command_line; execute_from_command_line(['', 'check'])"
)
SHOW = (
    "import os; os.environ['DJANGO_SETTINGS_MODULE']='proshop.settings.production';"
    "from django.conf import settings as s;"
    "print(s.STRIPE_SECRET_KEY, s.STRIPE_PUBLIC_KEY, s.STRIPE_WEBHOOK_SECRETS)"
)


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
    keys = {
        "STRIPE_SECRET_KEY_TEST": "sk_test_own",
        "STRIPE_SECRET_KEY_LIVE": "rk_live_own",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_alias",
        "STRIPE_WEBHOOK_SECRET_TEST": "whsec_new, whsec_old",
    }
    assert start(SHOW, **keys).stdout == "sk_test_own pk_test_alias ['whsec_new', 'whsec_old']\n"
    assert start(SHOW, **keys, PAYMENT_ENV="live").stdout.startswith("rk_live_own ")


@pytest.mark.parametrize(
    ("name", "place"),
    [("STRIPE_SECRET_KEY", 0), ("STRIPE_PUBLIC_KEY", 1), ("STRIPE_PUBLISHABLE_KEY", 1), ("STRIPE_WEBHOOK_SECRET", 2)],
)
def test_every_name_is_picked_by_mode_before_the_plain_one(name: str, place: int) -> None:
    values = {name: "plain", f"{name}_TEST": "of-test", f"{name}_LIVE": "of-live"}
    others = {} if place == 1 else {"STRIPE_PUBLIC_KEY": "-"}

    def picked(mode: str, **given: str) -> str:
        return start(SHOW, **others | given, PAYMENT_ENV=mode).stdout.split()[place].strip("[]'")

    assert picked("test", **values) == "of-test"
    assert picked("live", **values) == "of-live"
    assert picked("live", **{name: "plain", f"{name}_TEST": "of-test"}) == "plain"
    assert picked("test", **{name: "plain", f"{name}_TEST": " "}) == "plain"


def test_a_publishable_key_of_the_mode_goes_before_a_plain_public_key() -> None:
    keys = {"STRIPE_PUBLIC_KEY": "pk_test_plain", "STRIPE_PUBLISHABLE_KEY_TEST": "pk_test_mode"}
    assert start(SHOW, **keys).stdout.split()[1] == "pk_test_mode"
    both = {"STRIPE_PUBLIC_KEY_TEST": "pk_test_public", "STRIPE_PUBLISHABLE_KEY_TEST": "pk_test_publishable"}
    assert start(SHOW, **both).stdout.split()[1] == "pk_test_public"
