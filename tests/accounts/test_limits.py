"""How often one network may try to sign in, register or ask for a link, and what wrong passwords lead to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import password_reset_link
from apps.common import limits
from apps.common.models import LimitCount
from tests.support.shop import make_user

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery"
NOON = 1_800_000_000  # a full hour


@pytest.fixture
def limited(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits on, and the clock a quarter of an hour before the window ends."""
    settings.RATE_LIMITS = True
    monkeypatch.setattr(limits, "time", SimpleNamespace(time=lambda: NOON + 2700.0))


@pytest.fixture
def locking(settings: Any) -> None:
    settings.RATE_LIMITS = settings.AXES_ENABLED = True


def send(path: str, body: dict[str, str], address: str = "192.0.2.1") -> Any:
    return Client(REMOTE_ADDR=address).post(f"/api/auth/{path}", body, content_type="application/json")


def sign_in(password: str = PASSWORD, email: str = "buyer@example.com", address: str = "192.0.2.1") -> Any:
    return send("login/", {"email": email, "password": password}, address)


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("path", "allowed", "body", "usual"),
    [
        ("login/", 60, {"email": "nobody@example.com", "password": "nope"}, 401),
        ("register/", 20, {"email": "not an address", "password": PASSWORD}, 400),
        ("password/reset/", 10, {"email": "nobody@example.com"}, 200),
        ("password/reset/confirm/", 30, {"uid": "x", "token": "x", "password": PASSWORD}, 400),
    ],
)
def test_one_more_than_the_limit_is_429_until_the_hour_is_over(
    settings: Any, path: str, allowed: int, body: dict[str, str], usual: int
) -> None:
    settings.AXES_ENABLED = False
    assert [send(path, body).status_code for _ in range(allowed)] == [usual] * allowed
    refused = send(path, body)
    assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (429, "too_many_requests", "901")
    assert send(path, body, "192.0.2.2").status_code == usual
    assert sorted(LimitCount.objects.values_list("n", flat=True)) == [1, allowed + 1]


@pytest.mark.usefixtures("limited")
def test_addresses_of_one_ipv6_network_count_together() -> None:
    for number in range(10):
        send("password/reset/", {"email": "x@example.com"}, f"2001:db8::{number}")
    assert send("password/reset/", {"email": "x@example.com"}, "2001:db8::ffff").status_code == 429
    assert send("password/reset/", {"email": "x@example.com"}, "2001:db8:0:1::1").status_code == 200


def test_nothing_is_counted_while_limits_are_off() -> None:
    codes = [send("password/reset/", {"email": "x@example.com"}).status_code for _ in range(12)]
    assert codes == [200] * 12
    assert LimitCount.objects.count() == 0


@pytest.mark.usefixtures("locking")
def test_five_wrong_passwords_lock_address_and_network_together() -> None:
    make_user()
    make_user("other@example.com")
    assert [sign_in("nope").status_code for _ in range(5)] == [401, 401, 401, 401, 429]
    locked = sign_in()
    assert (locked.status_code, locked.json()["code"], locked["Retry-After"]) == (429, "locked", "1800")
    assert sign_in(email="BUYER@example.com").status_code == 429
    assert sign_in(email="other@example.com").status_code == 200
    assert sign_in(address="192.0.2.2").status_code == 200


@pytest.mark.usefixtures("locking")
def test_address_that_nobody_has_locks_just_the_same() -> None:
    assert [sign_in("nope").status_code for _ in range(6)] == [401, 401, 401, 401, 429, 429]


@pytest.mark.usefixtures("locking")
def test_right_password_forgets_the_wrong_ones() -> None:
    make_user()
    for _ in range(3):
        assert [sign_in("nope").status_code for _ in range(4)] == [401] * 4
        assert sign_in().status_code == 200
    assert AccessAttempt.objects.count() == 0


@pytest.mark.usefixtures("locking")
def test_right_password_elsewhere_does_not_free_the_one_who_guesses() -> None:
    make_user()
    for _ in range(5):
        sign_in("nope")
    assert sign_in(address="192.0.2.2").status_code == 200
    assert sign_in().status_code == 429


@pytest.mark.usefixtures("locking")
def test_new_password_ends_the_lock() -> None:
    make_user()
    for _ in range(5):
        sign_in("nope")
    link = password_reset_link(User.objects.get())
    fragment = dict(part.split("=", 1) for part in link.split("#")[1].split("&"))
    assert send("password/reset/confirm/", fragment | {"password": "a new and longer one"}).status_code == 204
    assert sign_in("a new and longer one").status_code == 200


def test_wrong_passwords_at_the_admins_form_lock_that_address_alone(settings: Any) -> None:
    settings.RATE_LIMITS = settings.AXES_ENABLED = True
    for email in ("a@example.com", "b@example.com"):
        User.objects.create_superuser(email, "correct horse battery")
    form = {"username": "a@example.com", "password": "wrong"}
    for _ in range(6):
        Client().post("/admin/login/", form)
    assert Client().post("/admin/login/", form | {"password": "correct horse battery"}).status_code == 429
    other = {"username": "b@example.com", "password": "correct horse battery"}
    assert Client().post("/admin/login/", other).status_code == 302
