"""People and their sign-ins as staff see them."""

from __future__ import annotations

import pytest
from django.test import Client
from knox.models import AuthToken

from apps.accounts.models import User
from tests.support.shop import make_user
from tests.support.staff import CONFIRMED

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = "/admin/accounts/user/"
TOKENS = "/admin/knox/authtoken/"


@pytest.fixture
def owner() -> Client:
    client = Client()
    user = User.objects.create_superuser("owner@example.com", "correct horse battery")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_people_are_found_by_the_beginning_of_their_address(owner: Client) -> None:
    make_user("ada@example.com")
    make_user("bob@example.com")
    page = owner.get(PEOPLE, {"q": "ADA@"}).content.decode()
    assert "ada@example.com" in page
    assert "bob@example.com" not in page


def test_adding_a_person_stores_a_hash_and_a_lower_case_address(owner: Client) -> None:
    form = {
        "email": "New@Example.com",
        "name": "Nia",
        "usable_password": "true",
        "password1": "a long enough one",
        "password2": "a long enough one",
    }
    assert owner.post(f"{PEOPLE}add/", form).status_code == 302
    user = User.objects.get(email="new@example.com")
    assert user.check_password("a long enough one")
    assert (user.name, user.is_staff, user.is_superuser) == ("Nia", False, False)


def test_same_address_in_another_case_is_refused(owner: Client) -> None:
    make_user()
    form = {"email": "BUYER@example.com", "password1": "a long enough one", "password2": "a long enough one"}
    assert owner.post(f"{PEOPLE}add/", form).status_code == 200
    assert User.objects.count() == 2


def test_password_is_changed_with_its_own_form(owner: Client) -> None:
    user = make_user()
    assert owner.get(f"{PEOPLE}{user.pk}/change/").status_code == 200
    form = {"usable_password": "true", "password1": "a long enough one", "password2": "a long enough one"}
    assert owner.post(f"{PEOPLE}{user.pk}/password/", form).status_code == 302
    user.refresh_from_db()
    assert user.check_password("a long enough one")


def test_sign_ins_are_shown_without_their_digest_and_can_be_ended(owner: Client) -> None:
    row, token = AuthToken.objects.create(make_user())
    pages = owner.get(TOKENS).content.decode() + owner.get(f"{TOKENS}{row.pk}/change/").content.decode()
    assert "buyer@example.com" in pages
    assert row.token_key not in pages
    assert token not in pages
    assert owner.get(f"{TOKENS}add/").status_code == 403
    assert owner.post(f"{TOKENS}{row.pk}/delete/", CONFIRMED).status_code == 302
    assert AuthToken.objects.count() == 0


def test_buyers_do_not_see_the_admin() -> None:
    client = Client()
    client.force_login(make_user(), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(PEOPLE).status_code == 302
