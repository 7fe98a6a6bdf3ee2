"""Tokens, sessions and carts: who a request means, and when proof is wanted that our own page sent it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from knox.models import AuthToken

from apps.accounts.models import User
from apps.cart.models import Cart
from tests.support.shop import Shop, make_user, make_variant

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery"
CREDENTIALS = {"email": "buyer@example.com", "password": PASSWORD}


def browser() -> Client:
    return Client(enforce_csrf_checks=True)


def browser_with_a_cart() -> tuple[Client, str]:
    """A browser whose session has a cart of one mug, and its CSRF token."""
    client = browser()
    client.get("/api/cart/")
    csrf = client.cookies["csrftoken"].value
    added = client.post(
        "/api/cart/add/",
        {"variant_id": make_variant("MUG").pk, "quantity": 1},
        content_type="application/json",
        headers={"X-CSRFToken": csrf},
    )
    assert added.status_code == 201
    return client, csrf


def post(client: Client, path: str, body: Any = None, **headers: str) -> Any:
    return client.post(path, body or {}, content_type="application/json", headers=headers)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/auth/login/", CREDENTIALS),
        ("/api/auth/register/", {"email": "new@example.com", "password": PASSWORD}),
    ],
)
def test_sign_in_that_would_merge_a_sessions_cart_needs_csrf_before_anything_is_made(path: str, body: Any) -> None:
    make_user()
    client, csrf = browser_with_a_cart()
    refused = post(client, path, body)
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    assert (AuthToken.objects.count(), User.objects.count()) == (0, 1)
    answer = post(client, path, body, **{"X-CSRFToken": csrf})
    assert [(i["sku"], i["quantity"]) for i in answer.json()["cart"]["items"]] == [("MUG", 1)]
    assert answer.json()["cart"]["merged"] == {"capped": [], "dropped": []}
    assert client.session.get("cart") is None
    assert client.get("/api/cart/").json()["items"] == []


def test_sign_in_without_a_sessions_cart_needs_no_csrf() -> None:
    make_user()
    answer = post(browser(), "/api/auth/login/", CREDENTIALS)
    assert answer.status_code == 200
    assert "cart" not in answer.json()


def test_sign_in_makes_no_session() -> None:
    make_user()
    answer = post(browser(), "/api/auth/login/", CREDENTIALS)
    assert "sessionid" not in answer.cookies
    assert Session.objects.count() == 0


def test_sign_in_merges_the_cart_of_the_token_without_csrf(shop: Shop) -> None:
    user = make_user()
    shop.add(make_variant("MUG"))
    answer = post(browser(), "/api/auth/login/", CREDENTIALS, **{"X-Cart-Token": shop.cart_token})
    assert answer.json()["cart"]["items_count"] == 1
    assert Cart.objects.get(user=user).items.count() == 1


def test_wrong_password_merges_nothing(shop: Shop) -> None:
    make_user()
    shop.add(make_variant("MUG"))
    answer = shop.post("/api/auth/login/", CREDENTIALS | {"password": "nope"})
    assert answer.status_code == 401
    assert Cart.objects.filter(merged_into=None, user=None).count() == 1


def test_signed_in_session_needs_csrf_to_write() -> None:
    user = make_user()
    client = browser()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/api/auth/me/").json()["id"] == user.pk
    refused = client.patch("/api/auth/me/", {"name": "Nia"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    user.refresh_from_db()
    assert user.name == ""


def test_token_needs_no_csrf_and_comes_before_the_session() -> None:
    client = browser()
    client.force_login(make_user("other@example.com"), backend="django.contrib.auth.backends.ModelBackend")
    _, token = AuthToken.objects.create(make_user())
    answer = client.patch(
        "/api/auth/me/", {"name": "Nia"}, content_type="application/json", headers={"Authorization": f"Token {token}"}
    )
    assert (answer.status_code, answer.json()["email"]) == (200, "buyer@example.com")


def test_dead_session_cookie_is_ignored() -> None:
    client = browser()
    client.cookies["sessionid"] = "abcdefghijklmnopqrstuvwxyz012345"
    answer = client.get("/api/auth/me/")
    assert (answer.status_code, answer.json()["code"], answer["WWW-Authenticate"]) == (401, "sign_in_required", "Token")
    make_user()
    assert post(client, "/api/auth/login/", CREDENTIALS).status_code == 200


@pytest.mark.parametrize("header", ["Token", "Token a b", "Token \u00e9", "token " + "f" * 64, "Token " + "x" * 5000])
def test_malformed_and_unknown_tokens_have_one_code(header: str) -> None:
    answer = Client().get("/api/auth/me/", headers={"Authorization": header})
    assert (answer.status_code, answer.json()) == (401, {"error": "Invalid token.", "code": "invalid_token"})


def test_header_of_another_scheme_is_not_ours() -> None:
    answer = Client().get("/api/auth/me/", headers={"Authorization": "Bearer abc"})
    assert answer.json()["code"] == "sign_in_required"


def test_deactivated_person_is_out_at_once() -> None:
    user = make_user()
    _, token = AuthToken.objects.create(user)
    User.objects.update(is_active=False)
    answer = Client().get("/api/auth/me/", headers={"Authorization": f"Token {token}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert post(Client(), "/api/auth/login/", CREDENTIALS).json()["code"] == "wrong_credentials"


def test_sign_out_of_a_session_ends_it_and_leaves_tokens() -> None:
    user = make_user()
    AuthToken.objects.create(user)
    shop = Shop(user)
    assert shop.post("/api/auth/logout/").status_code == 204
    assert shop.get("/api/auth/me/").status_code == 401
    assert AuthToken.objects.count() == 1


def test_nobody_cannot_sign_out() -> None:
    assert post(Client(), "/api/auth/logout/").json()["code"] == "sign_in_required"


def test_new_password_ends_sessions_too() -> None:
    user = make_user()
    shop = Shop(user)
    assert shop.get("/api/auth/me/").status_code == 200
    user.set_password("a new and longer one")
    user.save()
    assert shop.get("/api/auth/me/").status_code == 401


def test_sign_in_notes_when() -> None:
    user = make_user()
    assert user.last_login is None
    post(Client(), "/api/auth/login/", CREDENTIALS)
    user.refresh_from_db()
    assert user.last_login is not None
