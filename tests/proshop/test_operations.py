"""Health, documentation, error pages, the admin and the loop behind the requests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.contrib import admin
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.outbox.models import Delivery
from apps.payment.models import Payment, StripeWebhookEvent
from proshop import work
from tests.support.shop import Shop, Stripe, deliver, make_variant
from tests.support.staff import CONFIRMED

pytestmark = pytest.mark.django_db(transaction=True)


def test_live_and_ready() -> None:
    assert Client().get("/health/live/").json() == {"status": "ok"}
    assert Client().get("/health/ready/").json() == {"database": "ok", "migrations": "ok", "work": "ok"}


def test_work_that_is_due_for_over_a_minute_is_told() -> None:
    late = timezone.now() - timedelta(seconds=61)
    Delivery.objects.create(kind="x", key="1", subscriber="y", payload="{}", due_at=late, created_at=late)
    answer = Client().get("/health/ready/")
    assert (answer.status_code, answer.json()["work"]) == (503, "fail")


def test_every_call_of_the_contract_is_in_the_schema() -> None:
    schema = yaml.safe_load(Client().get("/api/schema/").content)
    assert schema["openapi"] == "3.1.0"
    calls = {f"{verb.upper()} {path}" for path, verbs in schema["paths"].items() for verb in verbs}
    assert calls >= {
        "POST /api/auth/register/",
        "POST /api/auth/login/",
        "POST /api/auth/logout/",
        "GET /api/auth/me/",
        "PATCH /api/auth/me/",
        "POST /api/auth/password/reset/",
        "POST /api/auth/password/reset/confirm/",
        "GET /api/products/",
        "GET /api/products/{slug}/",
        "GET /api/categories/",
        "GET /api/cart/",
        "DELETE /api/cart/",
        "POST /api/cart/add/",
        "PATCH /api/cart/items/{item_id}/",
        "DELETE /api/cart/items/{item_id}/",
        "GET /api/orders/",
        "GET /api/orders/{number}/",
        "POST /api/orders/{number}/cancel/",
        "POST /api/orders/{number}/claim/",
        "GET /api/payment/config/",
        "POST /api/payment/checkout/",
        "GET /api/payment/status/",
        "GET /api/payment/payments/",
        "GET /api/payment/payments/{payment_id}/",
        "GET /api/enrollment/tracks/",
        "POST /api/enrollment/tracks/{code}/checkout/",
        "GET /api/enrollment/me/",
        "POST /api/enrollment/steps/{step_id}/complete/",
    }


def test_documentation_page_opens() -> None:
    assert Client().get("/api/docs/").status_code == 200


@pytest.mark.parametrize("path", ["/api/nothing/", "/api/payment/", "/api/\u0000", "/api/orders/x/y/z/"])
def test_unknown_paths_of_the_api_are_json(path: str) -> None:
    answer = Client().get(path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert answer.json()["code"] == "not_found"


def test_wrong_host_and_wrong_method_are_json() -> None:
    answer = Client().get("/api/cart/", headers={"host": "evil.example"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")
    answer = Client().put("/api/cart/")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_database_away_is_503_with_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr("apps.catalog.views.products", away)
    answer = Client().get("/api/products/")
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "database_unavailable", "5")

    monkeypatch.setattr("django.contrib.sessions.middleware.SessionMiddleware.process_request", away)
    answer = Client(raise_request_exception=False).get("/api/cart/")
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "database_unavailable", "5")


def test_headers_of_every_answer() -> None:
    answer = Client().get("/health/live/")
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert (answer["X-Frame-Options"], answer["X-Content-Type-Options"]) == ("DENY", "nosniff")


def test_other_origins_may_send_what_the_contract_names(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://shop.example"]
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-cart-token",
    }
    answer = Client().options("/api/cart/add/", headers=asked)
    allowed = {name.strip() for name in answer["Access-Control-Allow-Headers"].split(",")}
    assert allowed >= {"authorization", "x-cart-token", "x-order-token", "idempotency-key", "x-csrftoken"}
    answer = Client().get("/api/cart/", headers={"Origin": "https://shop.example"})
    exposed = {name.strip() for name in answer["Access-Control-Expose-Headers"].split(",")}
    assert exposed == {"X-Cart-Token", "Idempotent-Replayed", "Retry-After"}


def test_work_once_finishes_what_no_request_did(shop: Shop, stripe_sandbox: Stripe, monkeypatch: Any) -> None:
    shop.add(make_variant())
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    monkeypatch.setattr("apps.payment.webhooks.inbox._wake", None)
    stripe_sandbox.deliver_new()
    assert Order.objects.get().payment_status == "pending"

    call_command("work", "--once")
    assert Order.objects.get().payment_status == "paid"
    assert set(StripeWebhookEvent.objects.values_list("state", flat=True)) <= {"done", "ignored"}
    assert set(Delivery.objects.values_list("state", flat=True)) == {"done"}
    assert [(mail.kind, mail.state) for mail in Mail.objects.all()] == [("order_confirmation", "sent")]
    assert shop.get("/api/cart/").json()["items"] == []


def test_failing_job_does_not_keep_the_others_from_their_turn(monkeypatch: Any) -> None:
    ran = []
    jobs = {"bad": lambda: 1 / 0, "good": lambda: ran.append("good") or 0}
    monkeypatch.setattr(work, "JOBS", jobs)
    assert work.run_round() == 0
    assert ran == ["good"]


def test_process_events_replays_what_a_person_names(shop: Shop, stripe_sandbox: Stripe, capsys: Any) -> None:
    bad = {"id": "evt_x", "object": "event", "type": "charge.failed", "livemode": False, "created": 1}
    deliver(bad | {"data": {"object": {"metadata": "odd"}}})
    StripeWebhookEvent.objects.update(state="dead", reason="its handler failed every time")
    call_command("process_events", "--dead")
    assert "evt_x" in capsys.readouterr().out
    event = StripeWebhookEvent.objects.get()
    assert event.state == "due"
    entry = AuditEntry.objects.get()
    assert (entry.source, entry.action, entry.object_type) == ("command", "replay", "payment.stripewebhookevent")
    assert (entry.object_id, entry.before["state"], entry.after["state"]) == (str(event.pk), "dead", "due")
    assert entry.detail.startswith("process_events, by ")
    call_command("process_events", "--event", "evt_x")
    call_command("process_events", "--failed")
    assert StripeWebhookEvent.objects.get().attempts == 1
    assert AuditEntry.objects.count() == 3
    StripeWebhookEvent.objects.update(state="done")
    call_command("process_events", "--event", "evt_x")
    assert AuditEntry.objects.count() == 3, "what is done stays done"


@pytest.fixture
def staff(shop: Shop, stripe_sandbox: Stripe) -> Client:
    """A signed-in owner of a shop in which everything happened once."""
    shop.add(make_variant())
    stripe_sandbox.pay(shop.checkout().json()["session_id"])
    stripe_sandbox.deliver_new()
    call_command("work", "--once")
    client = Client()
    client.force_login(
        User.objects.create_superuser("owner@example.com", "x"), backend="django.contrib.auth.backends.ModelBackend"
    )
    return client


def test_every_admin_page_opens_and_searches(staff: Client) -> None:
    assert staff.get("/admin/").status_code == 200
    for model, page in admin.site._registry.items():
        if model._meta.app_label == "axes":
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        query = "?q=1" if page.search_fields else ""
        assert staff.get(reverse(f"{name}_changelist") + query).status_code == 200, name
        row = model._default_manager.first()
        if row is not None:
            assert staff.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200, name


@pytest.mark.parametrize("model", [Order, Payment, StripeWebhookEvent])
def test_money_cannot_be_added_changed_or_deleted_by_hand(staff: Client, model: Any) -> None:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    row = model.objects.first()
    assert staff.get(reverse(f"{name}_add")).status_code == 403
    assert staff.post(reverse(f"{name}_delete", args=[row.pk]), CONFIRMED).status_code == 403
    assert staff.post(reverse(f"{name}_change", args=[row.pk]), {"status": "x"}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()


def test_admin_lists_take_as_many_statements_for_thirty_rows_as_for_three(
    staff: Client, django_assert_max_num_queries: Any
) -> None:
    for name in ("orders_order", "payment_payment", "payment_stripewebhookevent"):
        with django_assert_max_num_queries(15):
            staff.get(reverse(f"admin:{name}_changelist"))
