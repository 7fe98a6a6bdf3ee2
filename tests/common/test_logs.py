"""Log lines say what happened and never to whom."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
import structlog
from django.test import RequestFactory

from apps.common.logs import blank, console_formatter, json_formatter

FORMATTERS = {"console": console_formatter, "json": json_formatter}


def line(formatter: logging.Formatter, message: str, **extra: Any) -> str:
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, message, (), None)
    record.__dict__.update(extra)
    return formatter.format(record)


@pytest.mark.parametrize("name", FORMATTERS)
def test_what_was_asked_for_and_from_where_is_left_out(name: str) -> None:
    told = line(
        FORMATTERS[name](),
        "request_started",
        request="GET /admin/accounts/user/?q=Lovelace",
        user_agent="Lovelace's browser",
        ip="203.0.113.7",
    )
    assert "GET /admin/accounts/user/" in told
    assert "Lovelace" not in told
    assert "203.0.113.7" not in told


def test_a_request_that_django_logs_is_shown_without_its_query() -> None:
    request = RequestFactory().get("/admin/orders/", {"q": "Lovelace"})
    told = line(console_formatter(), "Not Found: %s", request=request)
    assert "GET /admin/orders/" in told
    assert "Lovelace" not in told


def test_rows_that_postgresql_quotes_are_blanked() -> None:
    refused = (
        'new row for relation "orders_order" violates check constraint "order_total_adds_up"\n'
        'DETAIL:  Failing row contains (7, ORD-1, {"line1": "12 Analytical Row"}, Lovelace).\n'
        "CONTEXT:  none"
    )
    try:
        raise ValueError(refused)
    except ValueError:
        record = logging.LogRecord("shop", logging.ERROR, __file__, 1, "job_failed", (), sys.exc_info())
    told = console_formatter().format(record)
    assert "order_total_adds_up" in told
    assert "CONTEXT:  none" in told
    assert "Lovelace" not in told
    assert "Analytical" not in told


def test_blank_leaves_the_rest_of_a_text() -> None:
    assert blank("550 no ada@example.com here, 4242 4242 4242 4242") == "550 no [blanked] here, [blanked]"


def test_lines_of_structlog_itself_are_blanked() -> None:
    event = {"event": "mail_failed", "to": "ada@example.com", "ip": "203.0.113.7"}
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, event, (), None)
    record.__dict__.update(_logger=structlog.get_logger(), _name="shop")
    told = console_formatter().format(record)
    assert "ada@example.com" not in told
    assert "203.0.113.7" not in told
