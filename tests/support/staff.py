"""People at work in the admin, and what they read there."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User

VIEW = (
    "view_payment",
    "view_refund",
    "view_dispute",
    "view_attentioncase",
    "view_stripecustomer",
    "view_paymentmethod",
)

CONFIRMED = {"post": "yes", "trail_reason": "Not needed."}
"""What the page sends that asks whether something is to be deleted."""


def staff(*permissions: str, email: str = "staff@example.com") -> Client:
    """Somebody who may see payment's pages, and has these permissions besides."""
    person = User.objects.create_user(email, "correct horse battery", is_staff=True)
    person.user_permissions.add(*Permission.objects.filter(codename__in=(*VIEW, *permissions)))
    return signed_in(person)


def owner() -> Client:
    return signed_in(User.objects.create_superuser("owner@example.com", "correct horse battery"))


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def text_of(answer: Any) -> str:
    """What a page says, without its markup."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def hidden(answer: Any, name: str) -> str:
    """The value of a page's hidden field."""
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', answer.content.decode())
    assert found, f"no hidden field {name}"
    return unescape(found[1])


def hidden_fields(answer: Any) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', answer.content.decode())
    return {name: unescape(value) for name, value in found if name != "csrfmiddlewaretoken"}


def told(answer: Any) -> list[str]:
    """The messages that an answer leaves for the next page."""
    return [str(message) for message in get_messages(answer.wsgi_request)]


def history() -> list[tuple[str, str, str]]:
    """Who noted what about which kind of row, oldest first."""
    rows = LogEntry.objects.order_by("pk").select_related("user", "content_type")
    return [(row.user.email, row.content_type.model, row.get_change_message()) for row in rows]


def statements(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as found:
        assert client.get(path).status_code == 200
    return len(found)
