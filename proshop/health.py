"""Whether the process is alive, and whether it can serve."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from apps.common.models import WriteProbe
from apps.outbox.models import Delivery
from apps.payment.models import StripeWebhookEvent

LATE = timedelta(seconds=60)
WRITTEN_EVERY = timedelta(seconds=5)


def live(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> HttpResponse:
    """Names and ok or fail, nothing more: the answer is public."""
    checks = {
        "database": _works(_database),
        "migrations": _works(_migrations),
        "work": _works(_work_is_prompt),
    }
    if settings.CELERY_BROKER_URL:
        checks["broker"] = _works(_broker)
    good = all(state == "ok" for state in checks.values())
    return JsonResponse(checks, status=200 if good else 503)


def _works(check: Any) -> str:
    try:
        return "ok" if check() else "fail"
    except (DatabaseError, OSError):
        return "fail"


def _database() -> bool:
    """Whether it takes a write. Asked of it at most every five seconds, since anybody may call."""
    now = timezone.now()
    if not WriteProbe.objects.filter(pk=1, at__gt=now - WRITTEN_EVERY).exists():
        WriteProbe.objects.update_or_create(pk=1, defaults={"at": now})
    return True


def _migrations() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def _work_is_prompt() -> bool:
    """Nothing has been due for over a minute: somebody runs `manage.py work` or a worker."""
    before = timezone.now() - LATE
    late_event = StripeWebhookEvent.objects.filter(state=StripeWebhookEvent.State.DUE, due_at__lt=before)
    late_delivery = Delivery.objects.filter(state=Delivery.State.DUE, due_at__lt=before)
    return not late_event.exists() and not late_delivery.exists()


def _broker() -> bool:
    from proshop.broker import bounded_connection

    with bounded_connection(settings.CELERY_BROKER_URL) as broker:
        errors: Any = (OSError, *broker.connection_errors, *broker.channel_errors)
        try:
            broker.connect()
        except errors:
            return False
    return True
