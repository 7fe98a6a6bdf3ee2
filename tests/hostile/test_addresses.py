"""Where buyers and staff are led, and whom the shop itself calls: nobody that a client names."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from apps.accounts.models import User
from apps.catalog.models import Product
from apps.payment.models import Payment
from proshop import work as loop
from tests.support.shop import Shop, Stripe, make_user, make_variant

APPS = Path(__file__).resolve().parents[2] / "apps"
EVIL = "https://evil.example/"
FIELDS = ("success_url", "cancel_url", "return_url", "next", "redirect", "url", "FRONTEND_URL", "callback")
NAMED = dict.fromkeys(FIELDS, EVIL)
FORGED = {"Referer": EVIL, "Origin": EVIL[:-1], "X-Forwarded-Host": "evil.example", "X-Original-URL": EVIL}

pytestmark = pytest.mark.django_db(transaction=True)


def test_buyers_come_back_to_the_frontend_alone(shop: Shop, stripe_sandbox: Stripe, settings: Any) -> None:
    settings.FRONTEND_URL = "https://shop.example"
    shop.add(make_variant())
    answer = shop.call("POST", "/api/payment/checkout/", NAMED, **FORGED)
    assert answer.status_code == 201
    asked = json.loads(Payment.objects.get().request_params)
    assert asked["success_url"] == "https://shop.example/checkout/success?session_id={CHECKOUT_SESSION_ID}"
    assert asked["cancel_url"] == f"https://shop.example/checkout/cancel?order={answer.json()['order_number']}"
    assert "evil" not in json.dumps(asked)


def test_mailed_links_lead_to_the_frontend_whatever_host_was_asked_for(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.FRONTEND_URL = "https://shop.example"
    make_user()
    for headers in (FORGED, {"Host": "evil.example"}):
        Client().post(
            "/api/auth/password/reset/",
            {"email": "buyer@example.com", **NAMED},
            content_type="application/json",
            headers=headers,
        )
    for name in ("deliveries", "mails"):
        loop.run_job(name)
    assert len(mail.outbox) == 2
    for message in mail.outbox:
        assert "https://shop.example/" in message.body
        assert "evil" not in message.body + message.alternatives[0][0]


@pytest.mark.parametrize(
    "target", [EVIL, "//evil.example", "/\\evil.example", "javascript:alert(1)", "\thttps://evil.example"]
)
def test_staff_is_led_nowhere_else_by_signing_in(target: str) -> None:
    User.objects.create_superuser("staff@example.com", "correct horse battery")
    browser = Client()
    form = {"username": "staff@example.com", "password": "correct horse battery", "next": target}
    answer = browser.post(f"/admin/login/?next={target}", form)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_a_session_is_another_one_once_somebody_has_signed_in() -> None:
    variant = make_variant()
    User.objects.create_superuser("staff@example.com", "correct horse battery")
    browser, thief = Client(), Client()
    browser.post("/api/cart/add/", {"variant_id": variant.pk}, content_type="application/json")
    before = browser.cookies["sessionid"].value
    thief.cookies["sessionid"] = before
    browser.post("/admin/login/", {"username": "staff@example.com", "password": "correct horse battery"})
    assert browser.cookies["sessionid"].value != before
    assert browser.get("/admin/").status_code == 200
    assert thief.get("/admin/").status_code == 302
    assert thief.get("/api/cart/").json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/cart/add/", {"variant_id": 1}),
        ("PATCH", "/api/cart/items/{item}/", {"quantity": 2}),
        ("DELETE", "/api/cart/items/{item}/", {}),
        ("DELETE", "/api/cart/", {}),
        ("POST", "/api/orders/", {"email": "buyer@example.com"}),
        ("POST", "/api/payment/checkout/", {}),
    ],
)
def test_an_anonymous_sessions_cart_is_touched_by_our_own_pages_alone(
    method: str, path: str, body: dict[str, Any]
) -> None:
    variant = make_variant()
    browser = Client(enforce_csrf_checks=True)
    browser.get("/api/cart/")
    token = browser.cookies["csrftoken"].value
    own = {"X-CSRFToken": token}
    add = {"variant_id": variant.pk, "quantity": 1}
    made = browser.post("/api/cart/add/", add, content_type="application/json", headers=own).json()
    path = path.replace("{item}", str(made["items"][0]["id"]))
    for headers in ({}, {"X-CSRFToken": "x" * 32}, {"X-CSRFToken": token[::-1]}):
        answer = browser.generic(method, path, json.dumps(body), "application/json", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    elsewhere = browser.generic(method, path, json.dumps(body), "application/json", headers=own | {"Origin": EVIL[:-1]})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "csrf_failed")
    assert [(item["id"], item["quantity"]) for item in browser.get("/api/cart/").json()["items"]] == [
        (made["items"][0]["id"], 1)
    ]
    assert Payment.objects.count() == 0


CALLING_OUT = {
    "requests",
    "urllib.request",
    "urllib3",
    "http.client",
    "httpx",
    "socket",
    "aiohttp",
    "ftplib",
    "smtplib",
}


def test_nothing_but_the_gateway_can_call_anybody() -> None:
    """With no way to open a connection, no field can name where to: the sandbox stands outside of the shop."""
    found = []
    for file in APPS.rglob("*.py"):
        place = file.relative_to(APPS).as_posix()
        if place.startswith("sandbox/"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [(place, name) for name in names if name in CALLING_OUT or name.split(".")[0] in CALLING_OUT]
    assert found == []


@pytest.mark.parametrize(
    ("picture", "sent"),
    [
        ("https://pictures.example/mug.png", True),
        ("http://127.0.0.1:6379/", False),
        ("http://169.254.169.254/latest/meta-data/", False),
        ("file:///etc/passwd", False),
        ("javascript:alert(1)", False),
        ("//evil.example/x.png", False),
    ],
)
def test_pictures_are_named_to_stripe_as_https_alone_and_fetched_by_nobody(
    picture: str, sent: bool, shop: Shop, stripe_sandbox: Stripe
) -> None:
    variant = make_variant()
    Product.objects.update(image_url=picture)
    shop.add(variant)
    assert shop.checkout().status_code == 201
    assert (picture in Payment.objects.get().request_params) is sent
