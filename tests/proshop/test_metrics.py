"""/metrics: who may read it, what it says, and what it costs."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.catalog.models import ProductVariant
from apps.notifications.models import Mail
from apps.outbox.models import Delivery
from apps.payment.models import AttentionCase, CheckRun, Payment, Refund, StripeWebhookEvent
from apps.payment.services.carrying_out import carry_out
from apps.payment.services.reconcile.unfinished import LATE
from apps.payment.services.refunds import RefundWish, intend_refund
from proshop import metrics
from tests.support.shop import Shop, Stripe, make_variant, work

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "a-token-of-the-tests"


@pytest.fixture(autouse=True)
def token(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN


def read() -> dict[str, float]:
    answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.content.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def make_event(stripe_id: str, **columns: Any) -> StripeWebhookEvent:
    now = timezone.now()
    return StripeWebhookEvent.objects.create(
        **{
            "stripe_id": stripe_id,
            "type": "checkout.session.completed",
            "livemode": False,
            "payload": "{}",
            "sha256": "",
            "created": now,
            "received_at": now,
            "waiting_since": now,
            "due_at": now,
            **columns,
        }
    )


def test_without_a_token_set_there_is_no_such_page(settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    assert Client().get("/metrics").status_code == 404
    assert Client().get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Token {TOKEN}", "Bearer é"])
def test_without_the_token_it_is_refused(header: str | None) -> None:
    answer = Client().get("/metrics", headers={"Authorization": header} if header else {})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert b"proshop_" not in answer.content


def test_every_metric_has_its_help_and_type_and_a_new_shop_is_calm() -> None:
    answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    named = [line.split()[2] for line in answer.splitlines() if line.startswith("# TYPE")]
    assert len(named) == len(set(named)) == answer.count("# HELP")
    values = read()
    assert {line.partition("{")[0] for line in values} <= set(named)
    assert set(values.values()) == {0}


def test_what_happened_is_told(shop: Shop, stripe_sandbox: Stripe) -> None:
    mug = make_variant(stock=1)
    shop.add(mug)
    shop.buy(stripe_sandbox)
    work()
    values = read()
    done = StripeWebhookEvent.objects.filter(state="done").count()
    assert done >= 1
    assert values['proshop_webhook_acks_5m{state="done"}'] == done
    assert values["proshop_sessions_opened_1h"] == 1
    assert values["proshop_variants_sold_out"] == 1
    assert 0 <= values['proshop_webhook_settle_seconds{quantile="0.99"}'] < 60
    assert -2 < values['proshop_webhook_lag_seconds{quantile="0.5"}'] < 60
    assert values["proshop_webhook_last_event_age_seconds"] < 60
    assert (values["proshop_delivery_due"], values["proshop_mail_due"], values["proshop_webhook_due"]) == (0, 0, 0)


def test_what_waits_and_what_was_given_up_is_told() -> None:
    now = timezone.now()
    ago = now - timedelta(seconds=100)
    make_event("evt_1", due_at=ago)
    make_event("evt_2", state="parked", due_at=now + timedelta(minutes=5))
    make_event("evt_3", state="dead")
    for number, state in enumerate(("due", "due", "dead")):
        Delivery.objects.create(
            kind="x", key=str(number), subscriber="y", payload="{}", state=state, due_at=ago, created_at=ago
        )
    for number, state in enumerate(("due", "failed", "failed", "sent")):
        Mail.objects.create(kind="order_confirmation", key=str(number), state=state, due_at=ago, created_at=ago)
    values = read()
    assert (values["proshop_webhook_due"], values["proshop_webhook_dead"]) == (2, 1)
    assert 100 <= values["proshop_webhook_oldest_due_seconds"] < 160
    assert (values["proshop_delivery_due"], values["proshop_delivery_failed"]) == (2, 1)
    assert (values["proshop_mail_due"], values["proshop_mail_failed"]) == (1, 2)
    assert 100 <= values["proshop_mail_oldest_due_seconds"] < 160


def test_what_stripe_has_not_heard_of_is_told(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant())
    shop.buy(stripe_sandbox)
    refund = intend_refund(payment=Payment.objects.get(), wish=RefundWish(amount=100), source=Refund.Source.STAFF)
    named = ('proshop_unfinished{kind="refund"}', 'proshop_unfinished_late{kind="refund"}')
    values = read()
    assert [values[name] for name in named] == [1, 0]
    Refund.objects.update(created_at=timezone.now() - LATE)
    values = read()
    assert [values[name] for name in named] == [1, 1]
    carry_out(refund)
    values = read()
    assert {value for name, value in values.items() if name.startswith("proshop_unfinished")} == {0}


def test_mismatches_and_checks_are_told(shop: Shop, stripe_sandbox: Stripe) -> None:
    shop.add(make_variant())
    shop.checkout()
    AttentionCase.objects.create(payment=Payment.objects.get(), kind="amount_mismatch", detail="")
    now = timezone.now()
    CheckRun.objects.create(kind="verify", started_at=now, alive_at=now, finished_at=now, ok=True)
    CheckRun.objects.create(kind="reconcile", started_at=now, alive_at=now, finished_at=now, ok=False)
    values = read()
    assert values['proshop_cases_open{kind="amount_mismatch"}'] == 1
    assert values['proshop_cases_open{kind="late"}'] == 0
    assert (values['proshop_check_ok{check="verify"}'], values['proshop_check_ok{check="reconcile"}']) == (1, 0)
    ended = values['proshop_check_finished_timestamp_seconds{check="verify"}']
    assert abs(ended - now.timestamp()) < 2


def test_lag_of_a_clock_that_is_behind_is_below_zero() -> None:
    now = timezone.now()
    make_event("evt_1", state="done", created=now + timedelta(minutes=2), done_at=now + timedelta(seconds=3))
    values = read()
    assert -120.5 < values['proshop_webhook_lag_seconds{quantile="0.5"}'] < -119
    assert 2.5 < values['proshop_webhook_settle_seconds{quantile="0.5"}'] <= 3


def test_statements_do_not_grow_with_the_tables(django_assert_num_queries: Any) -> None:
    with CaptureQueriesContext(connection) as before:
        list(metrics.read())
    assert len(before) <= 35
    make_variant()
    for number in range(50):
        make_event(f"evt_{number}", state=("done", "due", "dead", "ignored", "parked")[number % 5])
    with django_assert_num_queries(len(before)):
        list(metrics.read())


@pytest.mark.postgres
def test_every_statement_is_answered_by_an_index() -> None:
    """With sequential scans made dear, none is left but of cases and variants, which are few.

    An index of variants that are sold out would have to change with every sale.
    """
    few = ("payment_attentioncase", "catalog_productvariant")
    make_variant()
    with CaptureQueriesContext(connection) as captured:
        list(metrics.read())
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        try:
            for query in captured.captured_queries:
                cursor.execute("EXPLAIN " + query["sql"])
                plan = "\n".join(row[0] for row in cursor.fetchall())
                scanned = re.findall(r"Seq Scan on (\w+)", plan)
                assert set(scanned) <= set(few), (query["sql"], plan)
        finally:
            cursor.execute("RESET enable_seqscan")


def test_the_operators_page_names_every_metric_and_no_other() -> None:
    make_event("evt_1")
    page = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"proshop_\w+", page)) == {metric.name for metric in metrics.read()}


def test_sold_out_variants_off_sale_do_not_count() -> None:
    make_variant("A", stock=0)
    make_variant("B", stock=0)
    make_variant("C", stock=3)
    make_variant("D", stock=None)
    ProductVariant.objects.filter(sku="B").update(active=False)
    assert read()["proshop_variants_sold_out"] == 1
