"""/metrics for Prometheus: read from the database, so every process of every machine answers the same.

No sample takes more than one statement, which an index answers whatever the size of the tables; counts stop at MOST.
The cases, of which there are few, are read as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Min, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from apps.catalog.models import ProductVariant
from apps.common.middleware import error_response
from apps.notifications.models import Mail
from apps.outbox.models import Delivery
from apps.payment.models import AttentionCase, CheckRun, Payment, StripeWebhookEvent
from apps.payment.services import watch
from apps.payment.services.check_runs import last_run
from apps.payment.services.reconcile import unfinished

WINDOW = timedelta(minutes=5)
MOST = 100_000
SAMPLE = 500
"""Of how many of the window's newest events the times are told."""
QUANTILES = (0.5, 0.95, 0.99)

Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Metric:
    """One gauge with a sample per set of labels."""

    name: str
    help: str
    samples: list[tuple[Labels, float]]


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """404 with no METRICS_TOKEN set, 401 without it as a bearer token."""
    if not settings.METRICS_TOKEN:
        raise Http404
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not constant_time_compare(token.strip(), settings.METRICS_TOKEN):
        response = error_response(401, "unauthorized", "Send METRICS_TOKEN as a bearer token.")
        response["WWW-Authenticate"] = "Bearer"
        return response
    response = HttpResponse(text(read()), content_type="text/plain; version=0.0.4; charset=utf-8")
    response["Cache-Control"] = "no-store"
    return response


def read() -> Iterator[Metric]:
    """Every figure, now."""
    now = timezone.now()
    yield from _events(now)
    yield from _queue("delivery", Delivery.objects, Delivery.State.DUE, Delivery.State.DEAD, now)
    yield from _queue("mail", Mail.objects, Mail.State.DUE, Mail.State.FAILED, now)
    yield _unfinished("proshop_unfinished", "Not known to have arrived at Stripe.", now)
    yield _unfinished(
        "proshop_unfinished_late", "Of these, what was begun over ten minutes ago.", now - unfinished.LATE
    )
    yield from _shop(now)
    yield from _checks()


def _events(now: datetime) -> Iterator[Metric]:
    events = StripeWebhookEvent.objects
    states = StripeWebhookEvent.State.values
    recent = events.filter(state__in=states, received_at__gte=now - WINDOW)
    counted = dict(recent.order_by().values_list("state").annotate(Count("pk")))
    yield Metric(
        "proshop_webhook_acks_5m",
        "Events acknowledged and stored in the last five minutes, by what became of them.",
        [({"state": state}, counted.get(state, 0)) for state in states],
    )
    waiting = events.filter(state__in=StripeWebhookEvent.WAITING)
    yield _count("proshop_webhook_due", "Events waiting to be worked on.", waiting)
    yield _oldest("proshop_webhook_oldest_due_seconds", "For how long the oldest due event has been due.", waiting, now)
    dead = events.filter(state=StripeWebhookEvent.State.DEAD)
    yield _count("proshop_webhook_dead", "Events given up, for staff to replay.", dead)

    last = watch.last_event_at()
    if last is not None:
        age = (now - last).total_seconds()
        yield _one("proshop_webhook_last_event_age_seconds", "Since the newest event came.", age)
    yield _one(
        "proshop_webhook_silent",
        "1: sessions were opened over an hour ago and no event has come since.",
        int(watch.told_nothing(last)),
    )

    done = events.filter(state=StripeWebhookEvent.State.DONE, received_at__gte=now - WINDOW)
    rows = list(done.order_by("-received_at").values_list("created", "received_at", "done_at")[:SAMPLE])
    yield _quantiles(
        "proshop_webhook_lag_seconds",
        "From Stripe's making an event to its being stored, of the last five minutes. Below zero: a clock is wrong.",
        [(received - created).total_seconds() for created, received, _ in rows],
    )
    yield _quantiles(
        "proshop_webhook_settle_seconds",
        "From an event's being stored to its effects being committed, of the last five minutes.",
        [(finished - received).total_seconds() for _, received, finished in rows if finished],
    )


def _queue(name: str, rows: Any, due: str, failed: str, now: datetime) -> Iterator[Metric]:
    waiting = rows.filter(state=due)
    yield _count(f"proshop_{name}_due", f"Rows of kind {name} on their way, retries included.", waiting)
    yield _oldest(f"proshop_{name}_oldest_due_seconds", "For how long the oldest due one has been due.", waiting, now)
    yield _count(f"proshop_{name}_failed", "Given up, for staff to send again.", rows.filter(state=failed))


def _unfinished(name: str, meaning: str, before: datetime) -> Metric:
    counted = ((kind, rows(before).order_by()[:MOST].count()) for kind, rows in unfinished.KINDS.items())
    return Metric(name, meaning, [({"kind": kind}, count) for kind, count in counted])


def _shop(now: datetime) -> Iterator[Metric]:
    sold_out = ProductVariant.objects.filter(active=True, stock__isnull=False, stock__lte=F("held"))
    yield _count("proshop_variants_sold_out", "Variants on sale of which nothing is left.", sold_out)
    opened = AttentionCase.objects.filter(solved_at=None).order_by().values_list("kind").annotate(Count("pk"))
    cases = dict.fromkeys(Payment.Problem.values, 0) | dict(opened)
    yield Metric(
        "proshop_cases_open",
        "Cases that wait for a person, by kind; amount_mismatch is money that is not what the order costs.",
        [({"kind": kind}, count) for kind, count in sorted(cases.items())],
    )
    sessions = Payment.objects.filter(
        status__in=Payment.Status.values, created_at__gte=now - timedelta(hours=1), stripe_session_id__isnull=False
    )
    yield _count("proshop_sessions_opened_1h", "Checkout sessions opened in the last hour.", sessions)
    yield _one(
        "proshop_paid_not_fulfilled",
        "Deliveries of paid orders that have waited for ten minutes or were given up.",
        watch.unfulfilled(MOST),
    )


def _checks() -> Iterator[Metric]:
    runs = {kind: last_run(kind) for kind in CheckRun.Kind.values}
    ended = {kind: run for kind, run in runs.items() if run is not None}
    yield Metric(
        "proshop_check_ok",
        "1: the last run of verify, reconcile or the look at the webhook endpoint found all well.",
        [({"check": kind}, int(bool(run.ok))) for kind, run in ended.items()],
    )
    yield Metric(
        "proshop_check_finished_timestamp_seconds",
        "When that run ended.",
        [({"check": kind}, run.finished_at.timestamp()) for kind, run in ended.items() if run.finished_at],
    )


def _one(name: str, meaning: str, value: float) -> Metric:
    return Metric(name, meaning, [({}, value)])


def _count(name: str, meaning: str, rows: QuerySet[Any]) -> Metric:
    return _one(name, meaning, rows.order_by()[:MOST].count())


def _oldest(name: str, meaning: str, rows: QuerySet[Any], now: datetime) -> Metric:
    first = rows.order_by().aggregate(first=Min("due_at"))["first"]
    return _one(name, meaning, max(0.0, (now - first).total_seconds()) if first else 0.0)


def _quantiles(name: str, meaning: str, values: list[float]) -> Metric:
    ordered = sorted(values)
    return Metric(
        name, meaning, [({"quantile": str(q)}, ordered[int(q * (len(ordered) - 1))]) for q in QUANTILES if ordered]
    )


def text(found: Iterable[Metric]) -> str:
    """Prometheus's text format. Label values are codes of ours; quotes and line breaks do not occur in them."""
    lines = []
    for metric in found:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge"]
        for labels, value in metric.samples:
            named = ",".join(f'{name}="{label}"' for name, label in labels.items())
            lines.append(f"{metric.name}{f'{{{named}}}' if named else ''} {round(value, 3)}")
    return "\n".join(lines) + "\n"
