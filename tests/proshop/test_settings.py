"""Connections that lose nothing on SQLite and never hang on PostgreSQL."""

from __future__ import annotations

import importlib.util

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from proshop import env
from proshop.settings.base import database


def test_sqlite_waits_for_the_write_lock_and_survives_a_power_cut() -> None:
    options = database("sqlite:///db.sqlite3")["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]
    assert "synchronous=FULL" in options["init_command"]


def test_postgresql_is_given_up_in_time_by_the_web(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgres://u:p@127.0.0.1:5432/shop"
    worker = database(url)
    assert worker["OPTIONS"] == {"connect_timeout": 3}
    assert (worker["CONN_MAX_AGE"], worker["CONN_HEALTH_CHECKS"]) == (60, True)
    monkeypatch.setenv("PROSHOP_ROLE", "web")
    assert "statement_timeout=5000" in database(url)["OPTIONS"]["options"]


@pytest.mark.parametrize(
    "url", ["", "amqp://u:p@host:5672//", "amqps://u:p@host//", "redis://host:6379/1", "rediss://:p@host/0"]
)
def test_addresses_of_brokers(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    assert env.broker("CELERY_BROKER_URL") == url


@pytest.mark.parametrize("url", ["http://u:hidden@host", "rabbitmq", "sqla+sqlite:///hidden"])
def test_what_is_no_broker_is_refused_without_repeating_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    with pytest.raises(ImproperlyConfigured, match="CELERY_BROKER_URL takes amqp://") as refusal:
        env.broker("CELERY_BROKER_URL")
    assert "hidden" not in str(refusal.value)


def test_redis_without_its_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://host:6379/1")
    monkeypatch.setattr(env, "find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match=r"requirements/production\.txt"):
        env.broker("CELERY_BROKER_URL")


def test_the_driver_is_psycopg2() -> None:
    assert importlib.util.find_spec("psycopg") is None


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's own settings")
def test_the_connection_has_what_the_settings_ask_for() -> None:
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert cursor.execute("PRAGMA foreign_keys").fetchone() == (1,)
