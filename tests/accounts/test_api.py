"""Signing up, in and out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.utils import timezone
from knox.models import AuthToken

from apps.accounts.models import User
from apps.accounts.services import password_reset_link
from apps.accounts.sessions import SessionStore, stored_key
from apps.cart.models import Cart
from apps.notifications.models import Mail
from apps.outbox.models import Delivery
from apps.outbox.services import deliver_due
from tests.support.shop import Shop, make_user, make_variant

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery"


def sign_in(shop: Shop, email: str = "buyer@example.com", password: str = PASSWORD) -> Any:
    return shop.post("/api/auth/login/", {"email": email, "password": password})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Token {token}"}


def test_register_signs_in_with_a_token_that_is_stored_hashed(shop: Shop) -> None:
    answer = shop.post("/api/auth/register/", {"email": "New@Example.com", "password": PASSWORD, "name": "Nia"})
    assert answer.status_code == 201
    body = answer.json()
    assert body["user"] == {"id": User.objects.get().pk, "email": "new@example.com", "name": "Nia"}
    assert body["token"] not in str(AuthToken.objects.values())
    me = shop.get("/api/auth/me/", **bearer(body["token"]))
    assert (me.json()["email"], me["Cache-Control"]) == ("new@example.com", "no-store")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "x", "password": PASSWORD}, "email"),
        ({"email": "a@example.com", "password": "short"}, "password"),
        ({"email": "a@example.com", "password": "password1234567"[:10] + "\u0000"}, "password"),
        ({"email": ["a"], "password": PASSWORD}, "email"),
        ({"email": "BUYER@example.com", "password": PASSWORD}, "email"),
    ],
)
def test_register_refuses_bad_input_with_the_field(shop: Shop, body: Any, field: str) -> None:
    make_user()
    answer = shop.post("/api/auth/register/", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert field in answer.json().get("fields", {"password": "NUL"})
    assert User.objects.count() == 1


def test_each_sign_in_has_a_token_of_its_own_and_sign_out_ends_one(shop: Shop) -> None:
    make_user()
    first, second = sign_in(shop).json()["token"], sign_in(shop).json()["token"]
    assert first != second
    assert shop.post("/api/auth/logout/", **bearer(first)).status_code == 204
    assert shop.get("/api/auth/me/", **bearer(first)).status_code == 401
    assert shop.get("/api/auth/me/", **bearer(second)).status_code == 200


def test_dead_token_is_401_even_where_nobody_needs_to_sign_in(shop: Shop) -> None:
    answer = shop.get("/api/cart/", **bearer("0" * 64))
    assert (answer.status_code, answer.json()["code"], answer["WWW-Authenticate"]) == (401, "invalid_token", "Token")


@pytest.mark.parametrize("token", ["", "x y", "\u00e9", "x" * 5000])
def test_odd_tokens_are_401(shop: Shop, token: str) -> None:
    assert shop.get("/api/auth/me/", Authorization=f"Token {token}").status_code == 401


def test_expired_token_is_401(shop: Shop) -> None:
    make_user()
    token = sign_in(shop).json()["token"]
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert shop.get("/api/auth/me/", **bearer(token)).status_code == 401


def test_wrong_password_and_unknown_address_look_the_same(shop: Shop) -> None:
    make_user()
    wrong, unknown = sign_in(shop, password="nope"), sign_in(shop, email="nobody@example.com")
    assert wrong.status_code == unknown.status_code == 401
    assert (
        wrong.json() == unknown.json() == {"error": "E-mail address or password is wrong.", "code": "wrong_credentials"}
    )


def test_too_many_wrong_sign_ins_lock_the_right_password_out_too(shop: Shop, settings: Any) -> None:
    settings.RATE_LIMITS = settings.AXES_ENABLED = True
    make_user()
    codes = [sign_in(shop, password="nope").status_code for _ in range(6)]
    assert codes[:4] == [401] * 4
    assert codes[-1] == 429
    locked = sign_in(shop)
    assert (locked.status_code, locked.json()["code"], locked["Retry-After"]) == (429, "locked", "1800")


def test_me_needs_a_person_and_changes_the_name_alone(shop: Shop) -> None:
    assert shop.get("/api/auth/me/").json()["code"] == "sign_in_required"
    user = make_user()
    mine = Shop(user)
    token = sign_in(mine).json()["token"]
    changed = shop.call("PATCH", "/api/auth/me/", {"name": "Nia", "email": "x@example.com"}, **bearer(token))
    assert changed.json() == {"id": user.pk, "email": "buyer@example.com", "name": "Nia"}


def test_reset_answers_the_same_for_known_and_unknown_addresses(shop: Shop) -> None:
    make_user()
    known = shop.post("/api/auth/password/reset/", {"email": "buyer@example.com"})
    unknown = shop.post("/api/auth/password/reset/", {"email": "nobody@example.com"})
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (200, {"sent": True})
    # Both do the same work; only later does one of them turn out to be for nobody.
    assert Delivery.objects.filter(kind="accounts.password_reset").count() == 2
    deliver_due()
    assert [m.recipient for m in Mail.objects.all()] == ["buyer@example.com"]
    assert len(mail.outbox) == 0


def test_reset_sets_the_password_once_and_ends_every_sign_in(shop: Shop) -> None:
    user = make_user()
    token = sign_in(shop).json()["token"]
    user.refresh_from_db()
    fragment = dict(part.split("=", 1) for part in password_reset_link(user).split("#")[1].split("&"))
    new = fragment | {"password": "a new and longer one"}
    assert shop.post("/api/auth/password/reset/confirm/", new | {"password": "1"}).status_code == 400
    assert shop.post("/api/auth/password/reset/confirm/", new).status_code == 204
    assert shop.post("/api/auth/password/reset/confirm/", new).json()["code"] == "invalid_reset_link"
    assert shop.get("/api/auth/me/", **bearer(token)).status_code == 401
    assert sign_in(shop).status_code == 401
    assert sign_in(shop, password="a new and longer one").status_code == 200


@pytest.mark.parametrize("uid", ["", "x", "MQ", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk", "\u00e9", "===="])
def test_odd_reset_links_are_refused(shop: Shop, uid: str) -> None:
    body = {"uid": uid, "token": "x", "password": PASSWORD}
    assert shop.post("/api/auth/password/reset/confirm/", body).status_code == 400


def test_sign_in_merges_the_anonymous_cart_capped_by_what_is_available(shop: Shop) -> None:
    user = make_user()
    mug, cup = make_variant("MUG", stock=3), make_variant("CUP", stock=9)
    mine = Shop(user)
    mine.post("/api/cart/add/", {"variant_id": mug.pk, "quantity": 2})
    shop.add(mug, 2)
    shop.add(cup, 1)
    body = sign_in(shop).json()
    assert body["cart"]["merged"] == {"capped": [{"sku": "MUG", "requested": 4, "quantity": 3}], "dropped": []}
    assert [(line["sku"], line["quantity"]) for line in body["cart"]["items"]] == [("MUG", 3), ("CUP", 1)]
    assert body["cart"]["token"] is None
    assert shop.get("/api/cart/").json()["code"] == "cart_not_found"
    assert Cart.objects.filter(user=user).count() == 1


def test_sign_in_with_a_dead_cart_token_works(shop: Shop) -> None:
    make_user()
    shop.cart_token = "nonsense"
    assert sign_in(shop).status_code == 200


def test_session_keys_are_stored_hashed_and_work_as_ever() -> None:
    store = SessionStore()
    store["cart"] = "x"
    store.create()
    cookie = store.session_key
    assert Session.objects.get().session_key == stored_key(cookie) != cookie
    assert SessionStore(cookie)["cart"] == "x"
    assert SessionStore(stored_key(cookie)).load() == {}
    store.cycle_key()
    assert store.session_key != cookie
    assert SessionStore(cookie).load() == {}
    assert SessionStore(store.session_key)["cart"] == "x"
    store.flush()
    assert Session.objects.count() == 0
