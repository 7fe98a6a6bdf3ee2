"""The trail can be added to, and neither changed nor emptied, whoever tries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit import keeping
from apps.audit.models import AuditEntry
from apps.audit.services import record
from apps.common.retention import letting_go
from tests.support.emptying import without_guards
from tests.support.shop import make_user, make_variant
from tests.support.staff import CONFIRMED

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return User.objects.create_superuser("owner@example.com", "correct horse battery")


@pytest.fixture
def entry(owner: User) -> AuditEntry:
    buyer = make_user("ada@example.com")
    before, after = {"email": "ada@old.example", "is_active": True}, {"email": "ada@example.com", "is_active": False}
    return record(owner, "changed", buyer, before, after, "Ada asked for it", detail="mailed ada@example.com")


def columns(entry: AuditEntry) -> dict[str, Any]:
    return AuditEntry.objects.filter(pk=entry.pk).values().get()


ATTEMPTS: dict[str, Callable[[AuditEntry], Any]] = {
    "update": lambda entry: AuditEntry.objects.filter(pk=entry.pk).update(reason="another"),
    "save": lambda entry: entry.save(),
    "delete": lambda entry: entry.delete(),
    "delete all": lambda entry: AuditEntry.objects.all().delete(),
    "raw update": lambda entry: raw("UPDATE audit_auditentry SET actor_id = NULL"),
    "raw delete": lambda entry: raw("DELETE FROM audit_auditentry"),
}


def raw(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize("name", ATTEMPTS)
def test_database_refuses_to_change_or_delete(entry: AuditEntry, name: str) -> None:
    before = columns(entry)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        ATTEMPTS[name](entry)
    assert columns(entry) == before


@pytest.mark.postgres
def test_database_refuses_to_empty_the_table(entry: AuditEntry) -> None:
    raw("SET CONSTRAINTS ALL IMMEDIATE")  # the entry's own check is pending, and PostgreSQL would wait for that
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        raw("TRUNCATE audit_auditentry")
    assert AuditEntry.objects.count() == 1


def test_without_the_triggers_the_same_statements_pass(entry: AuditEntry) -> None:
    """The control: it is the triggers that refuse."""
    with without_guards():
        ATTEMPTS["update"](entry)
        ATTEMPTS["raw delete"](entry)
    assert AuditEntry.objects.count() == 0


def test_keeper_of_texts_deletes_nothing(entry: AuditEntry) -> None:
    with pytest.raises(IntegrityError, match="append-only"), keeping._keeper():
        ATTEMPTS["raw delete"](entry)
    assert AuditEntry.objects.count() == 1


def test_purge_lets_an_old_entry_go_and_no_younger_one(owner: User, entry: AuditEntry) -> None:
    old = record(owner, "long ago", make_variant())
    age(old, 400)
    now = timezone.now()
    for before in (now, now - timedelta(days=363), now - timedelta(days=500)):
        with pytest.raises(IntegrityError, match="append-only"), letting_go(before):
            raw("DELETE FROM audit_auditentry WHERE action = 'long ago'")
    with pytest.raises(IntegrityError, match="append-only"), letting_go(now - timedelta(days=366)):
        raw("DELETE FROM audit_auditentry")
    with pytest.raises(IntegrityError, match="append-only"), letting_go(now - timedelta(days=366)):
        raw("UPDATE audit_auditentry SET reason = 'another' WHERE action = 'long ago'")
    assert AuditEntry.objects.count() == 2
    with letting_go(now - timedelta(days=366)):
        raw("DELETE FROM audit_auditentry WHERE action = 'long ago'")
    assert AuditEntry.objects.get().pk == entry.pk
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        raw("DELETE FROM audit_auditentry")


def test_facts_cannot_be_changed_even_by_the_keeper(entry: AuditEntry) -> None:
    for column, value in [("action", "'other'"), ("actor_id", "NULL"), ("object_id", "'9'"), ("at", "'2020-01-01'")]:
        with pytest.raises(IntegrityError, match="append-only"), keeping._keeper():
            raw(f"UPDATE audit_auditentry SET {column} = {value}")  # noqa: S608 - this test's own words


def test_keeper_shuts_the_door_behind_itself(entry: AuditEntry) -> None:
    with keeping._keeper():
        pass
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        entry.delete()


def test_superuser_can_only_read_in_the_admin(owner: User, entry: AuditEntry) -> None:
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    page = "/admin/audit/auditentry/"
    before = columns(entry)
    assert client.get(page).status_code == 200
    assert client.get(f"{page}{entry.pk}/change/").status_code == 200
    assert client.get(f"{page}add/").status_code == 403
    assert client.post(f"{page}{entry.pk}/change/", {"reason": "another"}).status_code == 403
    assert client.post(f"{page}{entry.pk}/delete/", CONFIRMED).status_code == 403
    client.post(
        page,
        {"action": "delete_selected", "_selected_action": [entry.pk], **CONFIRMED},
    )
    assert columns(entry) == before
    assert AuditEntry.objects.count() == 1


def test_person_whose_deeds_are_in_the_trail_cannot_be_deleted(owner: User, entry: AuditEntry) -> None:
    client = Client()
    other = User.objects.create_superuser("second@example.com", "correct horse battery")
    client.force_login(other, backend="django.contrib.auth.backends.ModelBackend")
    page = client.post(f"/admin/accounts/user/{owner.pk}/delete/", CONFIRMED)
    assert page.status_code == 200
    assert User.objects.filter(pk=owner.pk).exists()


def test_forgetting_a_person_blanks_names_and_texts_and_keeps_the_facts(owner: User, entry: AuditEntry) -> None:
    variant = make_variant()
    other = record(owner, "changed", variant, {"name": "old"}, {"name": "new"}, "a typo")
    facts = {name: columns(entry)[name] for name in ("at", "actor_id", "action", "object_type", "object_id")}
    assert keeping.forget_person(int(entry.object_id)) == 1
    found = columns(entry)
    assert {name: found[name] for name in facts} == facts
    assert (found["object_name"], found["reason"], found["detail"]) == ("", "", "")
    assert found["before"] == {"email": "(forgotten)", "is_active": True}
    assert found["after"] == {"email": "(forgotten)", "is_active": False}
    assert columns(other)["before"] == {"name": "old"}
    assert "ada@" not in str(list(AuditEntry.objects.values()))


def test_forgetting_takes_objects_of_the_person_along_and_their_name_as_an_actor(owner: User) -> None:
    clerk = make_user("clerk@example.com")
    done = record(clerk, "changed", make_variant("CUP-1"))
    theirs = record(owner, "noted", make_variant("MUG-2"), {"recipient": "clerk@example.com"})
    objects = [(theirs.object_type, theirs.object_id)]
    assert keeping.forget_person(clerk.pk, objects=objects) == 1
    assert columns(done)["actor_name"] == ""
    assert columns(done)["actor_id"] == clerk.pk
    assert columns(done)["object_name"] != ""
    assert columns(theirs)["before"] == {"recipient": "(forgotten)"}
    assert columns(theirs)["actor_name"] == "owner@example.com"


def test_entries_go_when_records_need_not_be_kept_any_more(owner: User, settings: Any) -> None:
    settings.RETENTION_YEARS = 1
    variant = make_variant()
    for days in (0, 360, 368, 4000):
        entry = record(owner, f"{days} days ago", variant)
        age(entry, days)
    assert keeping.drop_old() == 2
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"0 days ago", "360 days ago"}
    assert keeping.drop_old() == 0


def age(entry: AuditEntry, days: int) -> None:
    """Make an entry older than it is."""
    with without_guards():
        AuditEntry.objects.filter(pk=entry.pk).update(at=timezone.now() - timedelta(days=days))


def test_texts_that_a_database_would_refuse_are_cleaned(owner: User) -> None:
    entry = record(owner, "changed", make_variant(), {"name": "a\x00b\ud800"}, {}, "why\x00\udfff" + "x" * 3000)
    entry.refresh_from_db()
    assert entry.before == {"name": "ab?"}
    assert entry.reason == "why?" + "x" * 1996
