"""A database that takes no writes: everything is refused with 503, nothing is half done, and all goes on afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.common.models import WriteProbe
from apps.orders.models import Order
from apps.payment.models import Payment, StripeWebhookEvent
from apps.payment.webhooks import inbox
from tests.support.shop import Shop, Stripe, deliver, make_variant, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

READ_ONLY = {
    "postgresql": ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off"),
    "sqlite": ("PRAGMA query_only = on", "PRAGMA query_only = off"),
}


def execute(statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() if cursor.description else None


@contextmanager
def read_only() -> Iterator[None]:
    """As on a standby, or on a disk that was mounted anew after a fault."""
    on, off = READ_ONLY[connection.vendor]
    execute(on)
    try:
        yield
    finally:
        execute(off)


@contextmanager
def full() -> Iterator[None]:
    """The file may not grow by another page."""
    execute("VACUUM")
    before = execute("PRAGMA max_page_count")[0]
    execute(f"PRAGMA max_page_count = {execute('PRAGMA page_count')[0]}")
    try:
        yield
    finally:
        execute(f"PRAGMA max_page_count = {before}")


def refused(answer: Any) -> bool:
    assert (answer.status_code, answer["Retry-After"]) == (503, "5"), answer.content
    assert answer.json()["code"] == "database_unavailable"
    return True


def test_read_only_database_refuses_every_write_and_serves_what_it_can(
    shop: Shop, stripe_sandbox: Stripe, client: Client
) -> None:
    mug = make_variant("MUG", stock=5)
    shop.add(mug)
    bought = shop.buy(stripe_sandbox)
    other = Shop()
    other.add(mug)
    events = stripe_sandbox.sandbox.events()
    with read_only():
        for answer in (other.add(mug), other.checkout(), *(deliver(event | {"id": "evt_new"}) for event in events[:1])):
            assert refused(answer)
        assert client.get("/api/products/").status_code == 200
        assert shop.status(bought["session_id"])["payment_status"] == "paid"
        ready = client.get("/health/ready/")
        assert (ready.status_code, ready.json()["database"]) == (503, "fail")
        with pytest.raises(Exception, match=r"(?i)read.?only"):
            inbox.store(events[0] | {"id": "evt_newer"}, sha256="0" * 64)
    assert client.get("/health/ready/").json()["database"] == "ok"
    assert not StripeWebhookEvent.objects.filter(stripe_id__startswith="evt_new").exists()
    assert other.buy(stripe_sandbox)["order_number"] != bought["order_number"]
    work()
    assert set(Order.objects.values_list("payment_status", flat=True)) == {"paid"}


def test_readiness_writes_at_most_every_five_seconds(client: Client) -> None:
    assert client.get("/health/ready/").status_code == 200
    written = WriteProbe.objects.get().at
    assert client.get("/health/ready/").status_code == 200
    assert WriteProbe.objects.get().at == written
    WriteProbe.objects.update(at=written - timedelta(seconds=6))
    assert client.get("/health/ready/").status_code == 200
    assert WriteProbe.objects.get().at > written


def test_full_disk_leaves_no_half_order_and_no_half_event(shop: Shop, stripe_sandbox: Stripe) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has no switch for it; a full disk is an OperationalError there as well")
    mug = make_variant("MUG", stock=500)
    shop.add(mug)
    shop.buy(stripe_sandbox)
    long = stripe_sandbox.sandbox.events()[0] | {"id": "evt_long", "padding": "x" * 200_000}
    buyers = [Shop() for _ in range(40)]
    for buyer in buyers:
        buyer.add(mug)
    with full():
        assert refused(deliver(long))
        answers = [buyer.checkout() for buyer in buyers]
        assert all(answer.status_code == 201 or refused(answer) for answer in answers)
    turned_away = [buyer for buyer, answer in zip(buyers, answers, strict=True) if answer.status_code == 503]
    assert turned_away, "the disk was full"
    assert not StripeWebhookEvent.objects.filter(stripe_id="evt_long").exists()
    assert deliver(long).status_code == 200
    for buyer in turned_away:
        assert buyer.checkout().status_code == 201
    assert Order.objects.filter(status="pending").count() == len(buyers), (
        "one each, also where the first try was cut off"
    )
    sessions = stripe_sandbox.sandbox.get("/v1/checkout/sessions", limit=100)["data"]
    known = Payment.objects.exclude(stripe_session_id=None).values_list("stripe_session_id", flat=True)
    assert {session["id"] for session in sessions} == set(known)
