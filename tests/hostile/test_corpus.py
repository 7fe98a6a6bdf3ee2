"""Every request of the corpus gets the answer that stands beside it, and nothing is stored unless Stripe signed it."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.payment.models import StripeWebhookEvent
from tests.hostile.corpus import PATH, REQUESTS, STORED, TOO_LARGE, Hostile, raw
from tests.hostile.servers import serving

pytestmark = pytest.mark.django_db(transaction=True)


def post(hostile: Hostile) -> Any:
    headers = {"Content-Type": "application/json"} | hostile.headers
    if (signature := hostile.signature) is not None:
        headers["Stripe-Signature"] = signature
    content_type = headers.pop("Content-Type")
    return Client(enforce_csrf_checks=True).generic("POST", PATH, hostile.body, content_type, headers=headers)


@pytest.mark.parametrize("hostile", REQUESTS, ids=lambda hostile: hostile.name)
def test_answer(hostile: Hostile) -> None:
    answer = post(hostile)
    if hostile.answer == STORED:
        assert (answer.status_code, answer.json()) == (200, {"received": True})
    else:
        status = 413 if hostile.answer == TOO_LARGE else 400
        assert (answer.status_code, answer.json()["code"]) == (status, hostile.answer)
    assert StripeWebhookEvent.objects.count() == (1 if hostile.answer == STORED else 0)


def test_names_are_unique() -> None:
    assert len({hostile.name for hostile in REQUESTS}) == len(REQUESTS) >= 75


def send(port: int, data: bytes) -> int:
    """The status of the first answer; 0 when the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        with contextlib.suppress(OSError):  # the server may hang up before it has read all
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
        told = b""
        with contextlib.suppress(OSError):
            while part := line.recv(65_536):
                told += part
    found = re.match(rb"HTTP/1\.[01] (\d{3})", told)
    return int(found[1]) if found else 0


def test_requests_that_are_no_good_http_through_a_server() -> None:
    wrong = {}
    with serving() as port:
        for name, (data, statuses, stored) in raw().items():
            status = send(port, data)
            events = StripeWebhookEvent.objects.all()
            if status not in statuses or events.exists() != (status == 200 and stored):
                wrong[name] = (status, events.count())
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM payment_stripewebhookevent")
        assert send(port, raw()["an ordinary one"][0]) == 200, "the server still serves"
    assert wrong == {}
