"""Log lines: readable on a terminal, JSON in production, and never a secret or a person in either."""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from typing import Any

import structlog
from django.http import HttpRequest

SECRET = re.compile(
    r"(?:sk|rk)_(?:test|live)_\w+|whsec_\w+|(?:pi|seti|cs)_\w+_secret_\w+"
    r"|\b(?:\d[ -]?){13,19}\b|[\w.+-]+@[\w-]+\.[\w.-]+"
    # PostgreSQL says which row it would not take: every column of an order, the address among them.
    r"|DETAIL: [^\n]*"
)


def blank(text: str) -> str:
    """A text without keys, client secrets, card numbers, e-mail addresses and the rows that a database quotes."""
    return SECRET.sub("[blanked]", text)


def blank_secrets(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace keys, client secrets, card numbers and e-mail addresses, whatever field they stand in."""
    for field, value in event.items():
        if isinstance(value, str) and field != "timestamp":
            event[field] = blank(value)
    return event


def leave_client_out(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop the address and the browser of whoever asked, and what was asked for: staff search for people by name."""
    event.pop("ip", None)
    event.pop("user_agent", None)
    request = event.get("request")
    if isinstance(request, HttpRequest):
        event["request"] = f"{request.method} {request.path}"
    elif isinstance(request, str):
        event["request"] = request.partition("?")[0]
    return event


BEFORE: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def console_formatter() -> logging.Formatter:
    return _formatter(structlog.dev.ConsoleRenderer(colors=False))


def json_formatter() -> logging.Formatter:
    return _formatter(structlog.processors.JSONRenderer())


def _formatter(renderer: Any) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=BEFORE,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            leave_client_out,
            blank_secrets,
            renderer,
        ],
    )


def configure() -> None:
    """Send structlog's own loggers through the standard library's handlers."""
    structlog.configure(
        processors=[
            *BEFORE,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
