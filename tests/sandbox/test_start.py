"""Starting and ending: what is refused, what `manage.py sandbox` does, what stays closed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from apps.sandbox import cards
from apps.sandbox.config import ConfigError, load
from tests.sandbox.conftest import API_KEY, ROOT, SECRET

GOOD = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_1"}


def start(environ, **options):
    return load(**{"port": 0, "webhook_url": "", "db": "x.sqlite3", **options}, environ=environ)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PAYMENT_ENV": "live"}, "PAYMENT_ENV=live"),
        ({"PAYMENT_ENV": " LIVE "}, "PAYMENT_ENV=live"),
        ({"STRIPE_SECRET_KEY": "sk_live_1"}, "live key"),
        ({"STRIPE_SECRET_KEY": "rk_live_1"}, "live key"),
        ({"STRIPE_SECRET_KEY": ""}, "STRIPE_SECRET_KEY is not set"),
        ({"STRIPE_SECRET_KEY": "whsec_1"}, "sk_test_ or rk_test_"),
        ({"STRIPE_WEBHOOK_SECRET": " , "}, "STRIPE_WEBHOOK_SECRET is not set"),
        ({"STRIPE_PUBLIC_KEY": "pk_live_1"}, "STRIPE_PUBLIC_KEY must begin with pk_test_"),
        ({"STRIPE_PUBLISHABLE_KEY": "sk_test_1"}, "STRIPE_PUBLIC_KEY must begin with pk_test_"),
    ],
)
def test_a_set_up_that_could_touch_money_is_refused(changes, reason):
    with pytest.raises(ConfigError, match=reason):
        start({**GOOD, **changes})


def test_good_set_ups():
    config = start({**GOOD, "STRIPE_SECRET_KEY_TEST": "rk_test_2", "STRIPE_WEBHOOK_SECRET": "whsec_new, whsec_old"})

    assert config.api_key == "rk_test_2"
    assert config.webhook_secrets == ("whsec_new", "whsec_old")
    with pytest.raises(ConfigError, match="webhook-url"):
        start(GOOD, webhook_url="ftp://x")
    with pytest.raises(ConfigError, match="port"):
        start(GOOD, port=70000)


def run(*command: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PAYMENT_ENV": "test", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_refusals_are_one_sentence(tmp_path: Path):
    db = str(tmp_path / "x.sqlite3")
    refused = run("-m", "apps.sandbox", "--db", db, STRIPE_SECRET_KEY="sk_live_1", STRIPE_WEBHOOK_SECRET=SECRET)
    assert refused.wait(20) == 2
    assert refused.stderr.read().count("\n") == 1

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = run(
            *("-m", "apps.sandbox", "--db", db, "--port", str(port)),
            STRIPE_SECRET_KEY=API_KEY,
            STRIPE_WEBHOOK_SECRET=SECRET,
        )
        assert busy.wait(20) == 2
        assert busy.stderr.read() == f"Port {port} cannot be used: Address already in use.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_manage_py_starts_it_and_a_signal_ends_it(tmp_path: Path, number):
    environment = {
        "STRIPE_SECRET_KEY": API_KEY,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": "http://127.0.0.1:12111",
        "SECRET_KEY": "only-for-this-test",
        "PROSHOP_ENV_FILE": "",
        "DJANGO_SETTINGS_MODULE": "proshop.settings.test",
    }
    process = run("manage.py", "sandbox", "--port", "0", "--db", str(tmp_path / "x.sqlite3"), **environment)
    line = process.stdout.readline()
    assert line.startswith("Sandbox listening on http://127.0.0.1:"), process.stderr.read()

    process.send_signal(number)

    assert process.wait(10) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(line.rpartition(":")[2])), timeout=2)


def test_the_shop_gets_no_tables_and_the_sandbox_no_shop():
    code = (
        "import sys, django; from django.conf import settings;"
        "import apps.sandbox.urls;"
        "print(sorted(m for m in sys.modules if m.startswith(('apps.', 'proshop')) and 'sandbox' not in m))"
    )
    alone = run("-c", code, DJANGO_SETTINGS_MODULE="apps.sandbox.settings")

    assert alone.communicate(timeout=30)[0] == "[]\n"
    assert not (ROOT / "apps" / "sandbox" / "models.py").exists()


def test_test_numbers_are_what_they_look_like():
    assert all(cards.luhn_valid(number) for number in cards.BY_NUMBER)
    assert not cards.luhn_valid("4242424242424241")
    assert cards.iban_valid("AT611904300234573201")
    assert not cards.iban_valid("AT611904300234573202")
    assert len({i for card in cards.BY_NUMBER.values() for i in card.ids}) == sum(
        len(card.ids) for card in cards.BY_NUMBER.values()
    )
