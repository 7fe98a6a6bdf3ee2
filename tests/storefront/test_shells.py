"""The shells without a browser: addresses, policy, and that nothing of a page needs an exception from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR) / "apps" / "storefront"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "static" / "storefront" / "js").rglob("*.js"))
PAGES = [
    "/",
    "/products/mug/",
    "/cart/",
    "/checkout/",
    "/checkout/?order=ORD-20260101-00001",
    "/checkout/success?session_id=cs_test_1",
    "/checkout/success/?session_id=cs_test_1",
    "/checkout/cancel?order=ORD-20260101-00001",
    "/checkout/cancel/",
    "/orders/",
    "/orders/ORD-20260101-00001",
    "/orders/ORD-20260101-00001/",
    "/payments/",
    "/payments/7",
    "/payments/7/",
    "/cards/",
    "/courses/",
    "/courses/?track=DP",
    "/sign-in/?next=/cart/",
    "/register/",
    "/password-reset",
    "/password-reset/",
]


@pytest.mark.parametrize("address", PAGES)
def test_page_answers_its_shell_under_the_strict_policy(client, address):
    answer = client.get(address)

    assert answer.status_code == 200
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    assert answer.content.count(b"<h1") == 1
    assert b'lang="en"' in answer.content


def test_page_repeats_nothing_of_its_query_as_markup(client):
    answer = client.get("/sign-in/", {"next": '/"><script>alert(1)</script>'})

    assert b"<script>" not in answer.content


def test_templates_and_scripts_live_under_the_policy():
    assert len(TEMPLATES) > 10
    assert len(SCRIPTS) > 15
    for template in TEMPLATES:
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|https?://", text), template
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://", text), script


def test_scripts_call_nothing_but_the_public_api():
    called = {
        address
        for script in SCRIPTS
        for address in re.findall(r"[\"`](/api/[a-z/]*)", script.read_text(encoding="utf-8"))
    }

    assert called == {
        "/api/cart/",
        "/api/cart/add/",
        "/api/cart/items/",
        "/api/auth/logout/",
        "/api/auth/password/reset/",
        "/api/auth/password/reset/confirm/",
        "/api/categories/",
        "/api/enrollment/me/",
        "/api/enrollment/steps/",
        "/api/enrollment/tracks/",
        "/api/orders/",
        "/api/payment/checkout/",
        "/api/payment/config/",
        "/api/payment/intents/",
        "/api/payment/methods/",
        "/api/payment/payments/",
        "/api/payment/refunds/",
        "/api/payment/status/",
        "/api/products/",
    }
