"""Where pages get Stripe.js from, and what their policy lets it do: the settings say it, the pages follow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

USES_STRIPE_JS = ["/cards/", "/checkout/"]
OTHERS = ["/", "/cart/", "/orders/", "/orders/ORD-20260101-00001", "/payments/", "/payments/7", "/sign-in/"]
SANDBOX = "http://127.0.0.1:12111"


def policy_of(client: Client, address: str) -> dict[str, list[str]]:
    header = client.get(address)["Content-Security-Policy"]
    return {name: sources for name, *sources in (directive.split() for directive in header.split(";"))}


def settings_with(stripe_api_base: str) -> dict[str, Any]:
    """What a shop with this address says of Stripe.js, in a process of its own."""
    program = (
        "import json; from proshop.settings import base;"
        "print(json.dumps({'url': base.STRIPE_JS_URL, 'policy': base.STRIPE_JS_POLICY}))"
    )
    environment = {"SECRET_KEY": "x", "PROSHOP_ENV_FILE": "", "STRIPE_API_BASE": stripe_api_base}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_without_a_sandbox_it_is_stripes_own_script() -> None:
    assert settings_with("") == {
        "url": "https://js.stripe.com/endive/stripe.js",
        "policy": {
            "script-src": ["'self'", "https://js.stripe.com", "https://*.js.stripe.com"],
            "connect-src": ["'self'", "https://api.stripe.com"],
            "frame-src": ["https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"],
        },
    }


def test_with_a_sandbox_it_is_the_sandboxs_and_stripe_is_not_allowed() -> None:
    assert settings_with(SANDBOX) == {
        "url": f"{SANDBOX}/endive/stripe.js",
        "policy": {"script-src": ["'self'", SANDBOX], "connect-src": ["'self'", SANDBOX]},
    }


def test_config_tells_frontends_where_the_script_is(client: Client) -> None:
    config = client.get("/api/payment/config/").json()

    assert config["stripe_js_url"] == f"{settings.STRIPE_API_BASE}/endive/stripe.js"
    assert config["shipping_countries"] == ["US", "CA", "GB", "DE", "FR"]


@pytest.mark.parametrize("address", USES_STRIPE_JS)
def test_page_with_a_card_form_allows_what_the_settings_say_and_nothing_more(
    client: Client, settings: Any, address: str
) -> None:
    strict = policy_of(client, "/")
    settings.STRIPE_JS_POLICY = {"script-src": ["'self'", "https://one.example"], "frame-src": ["https://two.example"]}

    assert policy_of(client, address) == {
        **strict,
        "script-src": ["'self'", "https://one.example"],
        "frame-src": ["https://two.example"],
    }


@pytest.mark.parametrize("address", OTHERS)
def test_other_pages_load_and_call_this_shop_alone(client: Client, address: str) -> None:
    policy = policy_of(client, address)

    assert policy["default-src"] == ["'self'"]
    assert not {"script-src", "connect-src", "frame-src"} & set(policy)
