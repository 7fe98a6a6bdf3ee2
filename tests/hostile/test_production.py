"""A live shop's settings as a process sees them: `check --deploy`, headers, cookies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import json, io, contextlib
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
told = io.StringIO()
with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
    call_command("migrate", verbosity=0)
    call_command("check", deploy=True, fail_level="WARNING")
from django.test import Client
browser = Client(HTTP_HOST="api.shop.example")
plain = browser.get("/api/cart/")
page = browser.get("/api/cart/", secure=True)
alive = browser.get("/health/live/")
admin = browser.get("/admin/login/", secure=True)
unknown = Client(HTTP_HOST="evil.example").get("/api/cart/", secure=True)
foreign = browser.get("/api/cart/", secure=True, headers={"Origin": "https://evil.example"})
known = browser.get("/api/cart/", secure=True, headers={"Origin": "https://shop.example"})
webhook = browser.get("/admin/login/", secure=True, headers={"Origin": "https://shop.example"})
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser("staff@example.com", "correct horse battery")
form = {"username": "staff@example.com", "password": "correct horse battery"}
signed_in = browser.post("/admin/login/", form, secure=True)
print(json.dumps({
    "check": told.getvalue(),
    "plain": [plain.status_code, plain.get("Location", "")],
    "alive": alive.status_code,
    "page": dict(page.headers),
    "cookies": {name: dict(found) for name, found in browser.cookies.items()},
    "admin": dict(admin.headers),
    "unknown": [unknown.status_code, unknown["Content-Type"]],
    "foreign": dict(foreign.headers),
    "known": dict(known.headers),
    "not under api": dict(webhook.headers),
    "signed in": signed_in.status_code,
}))
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process of a live shop answers, asked once."""
    environment = {
        "PATH": os.environ["PATH"],
        "PROSHOP_ENV_FILE": "",
        "DJANGO_SETTINGS_MODULE": "proshop.settings.production",
        "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('live') / 'shop.sqlite3'}",
        "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!?",
        "ALLOWED_HOSTS": "api.shop.example",
        "CORS_ALLOWED_ORIGINS": "https://shop.example",
        "PAYMENT_ENV": "live",
        "STRIPE_PUBLIC_KEY": "pk_live_x",
        "STRIPE_SECRET_KEY": "rk_live_x",
        "STRIPE_WEBHOOK_SECRET": "whsec_live",
        "FRONTEND_URL": "https://shop.example",
        "PUBLIC_URL": "https://api.shop.example",
        "EMAIL_URL": "smtp+tls://mail.example",
        "LOG_LEVEL": "CRITICAL",
    }
    # The files themselves are not collected here, so their hashed names are not known.
    static = "from django.conf import settings\nsettings.STORAGES['staticfiles']['BACKEND'] = " + repr(
        "django.contrib.staticfiles.storage.StaticFilesStorage"
    )
    asked = subprocess.run(
        [sys.executable, "-c", static + ASK], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout.splitlines()[-1])


def test_check_deploy_has_nothing_to_say(live: dict[str, Any]) -> None:
    assert live["check"].strip() == "System check identified no issues (0 silenced)."


def test_everything_but_health_is_led_to_https(live: dict[str, Any]) -> None:
    assert live["plain"] == [301, "https://api.shop.example/api/cart/"]
    assert live["alive"] == 200


def test_headers(live: dict[str, Any]) -> None:
    page = live["page"]
    assert page["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    assert page["X-Content-Type-Options"] == "nosniff"
    assert page["X-Frame-Options"] == "DENY"
    assert page["Referrer-Policy"] == "same-origin"
    assert page["Cross-Origin-Opener-Policy"] == "same-origin"
    policy = dict(part.strip().split(" ", 1) for part in page["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'self'",
        "img-src": "'self' data: https:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    assert "Server" not in page
    assert "X-Powered-By" not in page


def test_the_admins_policy_lets_no_other_origin_in(live: dict[str, Any]) -> None:
    policy = live["admin"]["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-inline' 'unsafe-eval'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy.replace("https:", "", 1)  # pictures alone come from elsewhere


def test_cookies_are_for_https_alone(live: dict[str, Any]) -> None:
    assert live["signed in"] == 302
    cookies = live["cookies"]
    assert set(cookies) == {"csrftoken", "sessionid"}
    assert {name: bool(cookie["secure"]) for name, cookie in cookies.items()} == {"csrftoken": True, "sessionid": True}
    assert {cookie["samesite"] for cookie in cookies.values()} == {"Lax"}
    assert cookies["sessionid"]["httponly"] is True
    assert {cookie["domain"] for cookie in cookies.values()} == {""}


def test_unknown_hosts_are_refused_as_json(live: dict[str, Any]) -> None:
    assert live["unknown"] == [400, "application/json"]


def cross_origin(headers: dict[str, str]) -> dict[str, str]:
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in lower.items() if name.startswith("access-control")}


def test_other_origins_read_nothing_and_no_cookie_is_shared(live: dict[str, Any]) -> None:
    assert cross_origin(live["foreign"]) == {}
    assert cross_origin(live["not under api"]) == {}
    assert cross_origin(live["known"]) == {
        "access-control-allow-origin": "https://shop.example",
        "access-control-expose-headers": "X-Cart-Token, Idempotent-Replayed, Retry-After",
    }
