"""Staff signs in with a password and a code, and nothing of the admin opens before."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
import time_machine
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings as shop_settings
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import get_resolver
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.orders.models import Order
from apps.payment.models import Payment, Refund
from tests.support.shop import Shop, Stripe, make_user, make_variant
from tests.support.staff import CONFIRMED, text_of

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/second-factor/"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def wanted(settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = True
    settings.AXES_ENABLED = True


@pytest.fixture
def clerk() -> User:
    user = User.objects.create_user("clerk@example.com", PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name="owner"))
    return user


def sign_in(user: User, password: str = PASSWORD, client: Client | None = None) -> Client:
    client = client or Client()
    answer = client.post("/admin/login/?next=/admin/", {"username": user.email, "password": password})
    assert answer.status_code == 302
    return client


def code_of(user: User, *, steps: int = 0) -> str:
    """What the person's app shows, or showed some steps of 30 s ago."""
    device = TOTPDevice.objects.filter(user=user).latest("pk")
    app = TOTP(device.bin_key)
    app.time = time.time() + 30 * steps
    return f"{app.token():06}"


def set_up(user: User) -> tuple[Client, list[str]]:
    """A session in which the second factor has just been set up, and the recovery codes."""
    client = sign_in(user)
    client.get(PAGE)
    answer = client.post(PAGE, {"code": code_of(user)})
    codes = re.findall(r"<code>(\w{5}-\w{5})</code>", answer.content.decode())
    assert len(codes) == len(set(codes)) == 10
    return client, codes


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def addresses() -> list[str]:
    """One address of every page of the admin."""
    found: list[str] = []

    def walk(patterns: Any, prefix: str) -> None:
        for pattern in patterns:
            path = prefix + str(pattern.pattern).replace("^", "").replace("$", "")
            if hasattr(pattern, "url_patterns"):
                walk(pattern.url_patterns, path)
            elif "(" not in path:
                found.append("/" + re.sub(r"<[^>]+>", "1", path))

    walk([p for p in get_resolver().url_patterns if str(p.pattern) == "admin/"], "")
    return found


def test_password_alone_opens_no_page_of_the_admin(clerk: User) -> None:
    client = sign_in(clerk)
    pages = [path for path in addresses() if path not in (PAGE, "/admin/login/")]
    assert len(pages) > 100
    for path in pages:
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code == 302, path
            assert answer["Location"].startswith(PAGE), path
    assert client.get("/admin/login/")["Location"] == PAGE


def test_superuser_needs_it_too_and_buyers_get_nowhere() -> None:
    root = User.objects.create_superuser("root@example.com", PASSWORD)
    assert not is_in(sign_in(root))
    buyer = Client()
    buyer.force_login(make_user(), backend="django.contrib.auth.backends.ModelBackend")
    for answer in (buyer.get(PAGE), buyer.post(PAGE, {"code": "1"}), Client().get(PAGE)):
        assert answer["Location"] == "/admin/login/?next=/admin/"
    assert TOTPDevice.objects.count() == 0


def test_first_sign_in_sets_it_up_and_leads_on(clerk: User) -> None:
    client = sign_in(clerk)
    page = client.get(PAGE, {"next": "/admin/orders/order/"})
    secret = text_of(page).partition("into the app: ")[2][:39].replace(" ", "")
    device = TOTPDevice.objects.get()
    assert (device.confirmed, device.user) == (False, clerk)
    assert device.config_url.partition("secret=")[2].startswith(secret[:32])
    assert "<svg" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert client.post(PAGE, {"code": "000000"}).status_code == 200
    assert not is_in(client)
    with time_machine.travel(time.time() + 5):
        answer = client.post(PAGE, {"code": code_of(clerk), "next": "/admin/orders/order/"})
    assert 'href="/admin/orders/order/"' in answer.content.decode()
    assert is_in(client)
    device.refresh_from_db()
    assert device.confirmed
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action) == ("clerk@example.com", "second factor set up")


def test_later_sign_ins_ask_for_a_code_that_is_right_once(clerk: User) -> None:
    set_up(clerk)
    with time_machine.travel(time.time() + 60):
        client = sign_in(clerk)
        assert not is_in(client)
        code = code_of(clerk)
        answer = client.post(PAGE, {"code": f" {code[:3]} {code[3:]} ", "next": "/admin/exports/"})
        assert (answer.status_code, answer["Location"]) == (302, "/admin/exports/")
        assert is_in(client)
        again = sign_in(clerk)
        assert "not right, or was used before" in text_of(again.post(PAGE, {"code": code}))
        assert not is_in(again)


@pytest.mark.parametrize("where", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", ""])
def test_nobody_is_led_elsewhere(clerk: User, where: str) -> None:
    set_up(clerk)
    with time_machine.travel(time.time() + 60):
        answer = sign_in(clerk).post(PAGE, {"code": code_of(clerk), "next": where})
    assert answer["Location"] == "/admin/"


def test_wrong_codes_make_people_wait_also_for_the_right_one(clerk: User) -> None:
    set_up(clerk)
    now = time.time() + 60
    with time_machine.travel(now, tick=False):
        client = sign_in(clerk)
        for _ in range(3):
            client.post(PAGE, {"code": "000000"})
        assert "Wait" in text_of(client.post(PAGE, {"code": code_of(clerk)}))
        assert not is_in(client)
    with time_machine.travel(now + 30, tick=False):
        assert client.post(PAGE, {"code": code_of(clerk)}).status_code == 302
        assert is_in(client)


@pytest.mark.parametrize("code", ["", " ", "12345", "1234567", "abcdefghij", "٤٢٤٢٤٢", "x" * 300, "\x00", "'; --"])
def test_whatever_is_typed_is_a_wrong_code_and_no_fault(clerk: User, code: str) -> None:
    set_up(clerk)
    client = sign_in(clerk)
    assert client.post(PAGE, {"code": code}).status_code == 200
    assert not is_in(client)


def test_recovery_code_works_once_and_is_not_stored(clerk: User) -> None:
    _, codes = set_up(clerk)
    stored = "".join(StaticToken.objects.values_list("token", flat=True))
    assert [code for code in codes if code.replace("-", "") in stored] == []
    client = sign_in(clerk)
    assert client.post(PAGE, {"code": codes[3].upper()}).status_code == 302
    assert is_in(client)
    assert StaticToken.objects.count() == 9
    assert AuditEntry.objects.filter(action="recovery code used").count() == 1
    again = sign_in(clerk)
    assert again.post(PAGE, {"code": codes[3]}).status_code == 200
    assert not is_in(again)


def test_codes_of_another_person_do_not_work(clerk: User) -> None:
    set_up(clerk)
    other = User.objects.create_user("other@example.com", PASSWORD, is_staff=True)
    _, theirs = set_up(other)
    client = sign_in(clerk)
    with time_machine.travel(time.time() + 60):
        assert client.post(PAGE, {"code": code_of(other)}).status_code == 200
    with time_machine.travel(time.time() + 120):
        assert client.post(PAGE, {"code": theirs[0]}).status_code == 200
    assert not is_in(client)


def test_new_recovery_codes_replace_the_old_ones(clerk: User) -> None:
    client, old = set_up(clerk)
    answer = client.post(PAGE, {"codes": "1"})
    new = re.findall(r"<code>(\w{5}-\w{5})</code>", answer.content.decode())
    assert len(new) == 10
    assert not set(new) & set(old)
    stranger = sign_in(clerk)
    assert stranger.post(PAGE, {"codes": "1"}).status_code == 200
    assert StaticToken.objects.count() == 10
    assert stranger.post(PAGE, {"code": old[0]}).status_code == 200
    with time_machine.travel(time.time() + 10):
        assert stranger.post(PAGE, {"code": new[0]}).status_code == 302


def test_another_phone_takes_the_place_of_the_first_once_it_works(clerk: User) -> None:
    client, _ = set_up(clerk)
    first = TOTPDevice.objects.get()
    assert "QR code" in client.post(PAGE, {"anew": "1"}).content.decode()
    assert is_in(client)
    answer = client.post(PAGE, {"anew": "1", "code": code_of(clerk)})
    assert "recovery codes" in text_of(answer)
    [second] = TOTPDevice.objects.all()
    assert second.pk != first.pk
    assert is_in(client)
    stranger = sign_in(clerk)
    assert "Code" in text_of(stranger.post(PAGE, {"anew": "1"}))
    assert TOTPDevice.objects.get() == second


def test_owner_resets_a_lost_phone_and_it_is_in_the_trail(clerk: User) -> None:
    owner, _ = set_up(clerk)
    other = User.objects.create_user("other@example.com", PASSWORD, is_staff=True)
    set_up(other)
    device = TOTPDevice.objects.get(user=other)
    page = owner.get(f"/admin/otp_totp/totpdevice/{device.pk}/change/")
    assert page.status_code == 200
    assert device.key not in page.content.decode()
    assert owner.post(f"/admin/otp_totp/totpdevice/{device.pk}/delete/", CONFIRMED).status_code == 302
    assert TOTPDevice.objects.filter(user=other).count() == 0
    assert StaticToken.objects.filter(device__user=other).count() == 0
    entry = AuditEntry.objects.get(action="deleted")
    assert entry.before["key"] == "(not shown)"
    assert device.key not in str(list(AuditEntry.objects.values()))
    assert "Scan this" in text_of(sign_in(other).get(PAGE))


def test_command_resets_it_for_the_last_owner_and_for_nobody_else(clerk: User) -> None:
    client, codes = set_up(clerk)
    make_user("buyer@example.com")
    for nobody in ("buyer@example.com", "nobody@example.com"):
        with pytest.raises(CommandError, match="No member of staff"):
            call_command("reset_second_factor", nobody)
    assert is_in(client)
    call_command("reset_second_factor", "Clerk@Example.com")
    assert not is_in(client)
    again = sign_in(clerk)
    assert "Scan this" in text_of(again.get(PAGE))
    assert again.post(PAGE, {"code": codes[0]}).status_code == 200
    assert not is_in(again)
    entry = AuditEntry.objects.get(action="second factor reset")
    assert (entry.actor, entry.source, entry.object_id) == (None, "command", str(clerk.pk))


def test_signing_out_before_the_code_ends_the_session(clerk: User) -> None:
    client = sign_in(clerk)
    assert client.post(PAGE, {"sign_out": "1"})["Location"] == "/admin/login/"
    assert client.get(PAGE)["Location"].startswith("/admin/login/")


def test_session_gets_another_cookie_with_the_second_factor(clerk: User) -> None:
    client = sign_in(clerk)
    before = client.cookies[shop_settings.SESSION_COOKIE_NAME].value
    client.get(PAGE)
    client.post(PAGE, {"code": code_of(clerk)})
    assert client.cookies[shop_settings.SESSION_COOKIE_NAME].value != before


def test_without_the_setting_a_password_is_enough(clerk: User, settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = False
    assert is_in(sign_in(clerk))


def refund(client: Client, payment: Payment, **headers: str) -> int:
    body = {"payment_id": payment.pk, "amount": "1.00", "reason": "duplicate"}
    return client.post("/api/payment/refunds/", body, content_type="application/json", headers=headers).status_code


def test_staff_acts_as_staff_at_the_api_only_with_the_second_factor(
    clerk: User, shop: Shop, stripe_sandbox: Stripe
) -> None:
    shop.add(make_variant("MUG-1"))
    shop.buy(stripe_sandbox)
    payment = Payment.objects.get()
    token = Client().post(
        "/api/auth/login/", {"email": clerk.email, "password": PASSWORD}, content_type="application/json"
    )
    assert token.status_code == 200
    assert refund(Client(), payment, Authorization=f"Token {token.json()['token']}") == 404
    session = sign_in(clerk)
    assert refund(session, payment) == 404
    number = Order.objects.get().number
    assert session.post(f"/api/orders/{number}/cancel/", content_type="application/json").status_code == 404
    assert Refund.objects.count() == 0
    verified, _ = set_up(clerk)
    assert refund(verified, payment) == 201
    assert Refund.objects.count() == 1


def test_sign_ins_and_refusals_are_in_the_log(clerk: User) -> None:
    Client().post("/admin/login/", {"username": clerk.email, "password": "wrong"}, headers={"User-Agent": "Curl"})
    client, _ = set_up(clerk)
    with time_machine.travel(time.time() + 60):
        late = sign_in(clerk)
        late.post(PAGE, {"code": "000000"})
    Client().post(
        "/api/auth/login/",
        {"email": clerk.email, "password": PASSWORD},
        content_type="application/json",
        headers={"User-Agent": "Till"},
    )
    refused = list(AccessFailureLog.objects.order_by("attempt_time").values_list("username", "path_info"))
    assert refused == [("clerk@example.com", "/admin/login/"), ("clerk@example.com", PAGE)]
    entered = list(AccessLog.objects.order_by("attempt_time").values_list("path_info", flat=True))
    assert sorted(entered) == sorted(["/admin/login/", PAGE, "/admin/login/", "/api/auth/login/"])
    page = text_of(client.get("/admin/axes/accesslog/"))
    for said in ("clerk@example.com", "127.0.0.1", "/api/auth/login/", "Till"):
        assert said in page
    assert "Curl" in text_of(client.get("/admin/axes/accessfailurelog/"))
    row = AccessLog.objects.latest("attempt_time")
    assert client.post(f"/admin/axes/accesslog/{row.pk}/delete/", CONFIRMED).status_code == 403


def test_owner_lets_a_locked_out_person_try_again(clerk: User) -> None:
    client, _ = set_up(clerk)
    for _ in range(5):
        Client().post("/admin/login/", {"username": "other@example.com", "password": "wrong"})
    User.objects.create_user("other@example.com", PASSWORD, is_staff=True)
    locked = Client().post("/admin/login/", {"username": "other@example.com", "password": PASSWORD})
    assert locked.status_code == 429
    row = AccessAttempt.objects.get(username="other@example.com")
    assert client.post(f"/admin/axes/accessattempt/{row.pk}/delete/", CONFIRMED).status_code == 302
    assert Client().post("/admin/login/", {"username": "other@example.com", "password": PASSWORD}).status_code == 302
