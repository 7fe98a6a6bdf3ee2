"""Everything that Django's own database sessions do works, and the table opens no session."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import Client
from django.utils import timezone

from apps.accounts.sessions import SessionStore, stored_key

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store() -> SessionStore:
    store = SessionStore()
    store["cart"] = "x"
    store.save()
    return store


def test_saving_again_changes_the_same_row(store: SessionStore) -> None:
    store["cart"] = "y"
    store.save()
    assert Session.objects.get().session_key == stored_key(store.session_key)
    assert SessionStore(store.session_key)["cart"] == "y"


def test_session_that_was_removed_meanwhile_is_not_brought_back(store: SessionStore) -> None:
    Session.objects.all().delete()
    with pytest.raises(UpdateError):
        store.save()
    assert Session.objects.count() == 0


def test_exists_tells_by_the_cookie_and_not_by_the_row(store: SessionStore) -> None:
    assert store.exists(store.session_key) is True
    assert store.exists(stored_key(store.session_key)) is False


def test_delete_takes_its_own_or_the_named_one(store: SessionStore) -> None:
    other = SessionStore()
    other.create()
    store.delete(other.session_key)
    assert [row.session_key for row in Session.objects.all()] == [stored_key(store.session_key)]
    store.delete()
    store.delete()
    SessionStore().delete()
    assert Session.objects.count() == 0


def test_cycling_keeps_the_data_under_a_new_key(store: SessionStore) -> None:
    before = store.session_key
    store.cycle_key()
    assert Session.objects.get().session_key == stored_key(store.session_key)
    assert store.session_key != before
    assert store["cart"] == "x"


def test_expired_sessions_are_empty_and_are_cleared(store: SessionStore) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    again = SessionStore(store.session_key)
    assert (again.load(), again.session_key) == ({}, None)
    SessionStore.clear_expired()
    assert Session.objects.count() == 0


@pytest.mark.parametrize("cookie", ["", "x", "abcdefghijklmnopqrstuvwxyz012345", "\u00e9" * 32, "x" * 5000])
def test_cookie_that_was_never_given_out_is_not_taken_on(cookie: str) -> None:
    client = Client()
    client.cookies["sessionid"] = cookie
    assert client.get("/api/cart/").status_code == 200
    assert Session.objects.count() == 0


def test_copy_of_the_table_signs_nobody_in(store: SessionStore) -> None:
    client = Client()
    client.cookies["sessionid"] = Session.objects.get().session_key
    assert client.get("/api/cart/").json()["items"] == []
    assert store.session_key not in str(Session.objects.values())


def test_async_calls_hash_too() -> None:
    async def journey() -> list[Any]:
        store = SessionStore()
        await store.aset("cart", "x")
        await store.acreate()
        cookie = store.session_key
        seen: list[Any] = [await SessionStore(cookie).aload(), await store.aexists(cookie)]
        row = await Session.objects.aget()
        seen.append(row.session_key == stored_key(cookie))
        seen.append(await SessionStore(row.session_key).aload())
        await store.acycle_key()
        seen.append(await store.aexists(cookie))
        await store.aflush()
        seen.append(await Session.objects.acount())
        await sync_to_async(connections.close_all)()
        return seen

    assert asyncio.run(journey()) == [{"cart": "x"}, True, True, {}, False, 0]
