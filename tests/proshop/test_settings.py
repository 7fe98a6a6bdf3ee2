"""Connections that lose nothing on SQLite and never hang on PostgreSQL."""

from __future__ import annotations

import importlib.util

import pytest
from django.db import connection

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


def test_the_driver_is_psycopg2() -> None:
    assert importlib.util.find_spec("psycopg") is None


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's own settings")
def test_the_connection_has_what_the_settings_ask_for() -> None:
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert cursor.execute("PRAGMA foreign_keys").fetchone() == (1,)
