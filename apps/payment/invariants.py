"""What must be true at any moment, each as a query that returns no row.

`manage.py verify` runs them; so does every race and crash test. Amounts are in minor units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.cart.models import Cart
from apps.catalog.models import ProductVariant
from apps.inventory.models import StockHold, StockMovement
from apps.orders.models import Order, OrderItem
from apps.payment.models import Payment, Refund, StripeWebhookEvent

SHOWN = 20
"""How many offending ids are named; the count is told in full."""

EXPIRY_GRACE = timedelta(minutes=5)
"""How long after its end an order may still wait for the sweep."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that does not hold, and the rows that break it."""

    name: str
    meaning: str
    count: int
    ids: list[Any]


def verify() -> list[Broken]:
    """Every invariant that does not hold now; an empty list is what is wanted."""
    return [broken for name, meaning, rows in _checks() if (broken := _look(name, meaning, rows))]


def _look(name: str, meaning: str, rows: QuerySet[Any]) -> Broken | None:
    ids = list(rows.values_list("pk", flat=True)[:SHOWN])
    return Broken(name, meaning, rows.count(), ids) if ids else None


def _sum(rows: QuerySet[Any], by: str, field: str) -> Coalesce:
    """The sum of `field` over the rows whose `by` is the outer row's id; 0 where there is none."""
    grouped = rows.filter(**{by: OuterRef("pk")}).order_by().values(by).annotate(n=Sum(field)).values("n")
    return Coalesce(Subquery(grouped), 0)


def _checks() -> Iterator[tuple[str, str, QuerySet[Any]]]:
    yield from _stock()
    yield from _orders()
    yield from _payments()


def _stock() -> Iterator[tuple[str, str, QuerySet[Any]]]:
    counted = ProductVariant.objects.filter(stock__isnull=False)
    active = StockHold.objects.filter(state=StockHold.State.ACTIVE)
    moved = counted.annotate(moved=_sum(StockMovement.objects.all(), "variant", "quantity"))
    yield "I1", "stock is the opening stock plus all movements", moved.exclude(stock=F("opening_stock") + F("moved"))
    held = ProductVariant.objects.annotate(promised=_sum(active, "variant", "quantity"))
    yield "I2", "held is the sum of active holds", held.exclude(held=F("promised"))
    yield (
        "I2",
        "never oversold: 0 <= held <= stock",
        counted.filter(Q(held__lt=0) | Q(stock__lt=F("held"))),
    )
    sales = StockMovement.objects.filter(kind=StockMovement.Kind.SALE)
    lines = OrderItem.objects.filter(variant__opening_stock__isnull=False)
    per_line = sales.filter(order_id=OuterRef("order_id"), variant=OuterRef("variant")).order_by()
    lines = lines.annotate(
        sold=Coalesce(Subquery(per_line.values("order_id").annotate(n=Sum("quantity")).values("n")), 0)
    )
    paid = Q(order__payment_status__in=Order.PAID)
    yield "I3", "each counted line of a paid order is sold once", lines.filter(paid).exclude(sold=-F("quantity"))
    yield "I3", "no line of an unpaid order is sold", lines.exclude(paid).exclude(sold=0)
    open_orders = Order.objects.filter(status=Order.Status.PENDING).values("pk")
    yield "I5", "a hold is active only while its order is pending", active.exclude(order_id__in=open_orders)


def _orders() -> Iterator[tuple[str, str, QuerySet[Any]]]:
    late = timezone.now() - EXPIRY_GRACE
    yield "I5", "no order is past its expiry", Order.objects.filter(expires_at__lt=late)
    processing = Order.objects.filter(payment_status=Order.PaymentStatus.PROCESSING)
    yield "I5", "an order whose payment is on its way has no expiry", processing.filter(expires_at__isnull=False)
    applied = Payment.objects.filter(applied=True, status__in=Payment.SETTLED)
    exact = applied.filter(order=OuterRef("pk"), amount_captured=OuterRef("total"), currency=OuterRef("currency"))
    orders = Order.objects.annotate(
        money=Coalesce(Subquery(exact.order_by().values("order").annotate(n=Count("pk")).values("n")), 0)
    )
    paid = Q(payment_status__in=Order.PAID)
    yield "I6", "a paid order has one applied payment of exactly its total", orders.filter(paid).exclude(money=1)
    yield "I6", "an applied payment belongs to a paid order", orders.exclude(paid).filter(payments__applied=True)
    lines = Order.objects.annotate(lines=_sum(OrderItem.objects.all(), "order", "line_total"))
    yield "I8", "the subtotal is the sum of the lines", lines.exclude(subtotal=F("lines"))
    logged = Order.objects.annotate(rows=Count("log"))
    yield "I17", "an order's log has no gap", logged.exclude(rows=F("transitions"))
    last = Order.objects.exclude(
        log__seq=F("transitions"), log__to_status=F("status"), log__to_payment_status=F("payment_status")
    )
    yield "I17", "the last row of an order's log is its present state", last
    twice = Cart.objects.annotate(open=Count("orders", filter=Q(orders__status=Order.Status.PENDING)))
    yield "I16", "a cart has at most one pending order", twice.filter(open__gt=1)


def _payments() -> Iterator[tuple[str, str, QuerySet[Any]]]:
    stray = Payment.objects.filter(status__in=Payment.SETTLED, applied=False, amount_captured__gt=0)
    covered = Q(cases__solved_at__isnull=True, cases__isnull=False)
    refunds = Refund.objects.filter(status__in=(Refund.Status.PENDING, Refund.Status.SUCCEEDED))
    stray = stray.annotate(back=_sum(refunds, "payment", "amount"))
    yield (
        "I7",
        "money that is not applied is on its way back or a case",
        stray.exclude(covered).filter(back__lt=F("amount_captured")),
    )
    refunded = Payment.objects.annotate(back=_sum(refunds, "payment", "amount"))
    yield "I9", "refunds stay within what was captured", refunded.filter(back__gt=F("amount_captured"))
    yield "I9", "a refund is in its payment's currency", Refund.objects.exclude(currency=F("payment__currency"))
    attempts = Order.objects.annotate(open=Count("payments", filter=Q(payments__status__in=Payment.OPEN)))
    yield "I15", "an order has at most one open attempt", attempts.filter(open__gt=1)
    live = settings.PAYMENT_ENV == "live"
    yield "I23", "all payments are of one mode", Payment.objects.exclude(livemode=live)
    states = StripeWebhookEvent.State
    silent = StripeWebhookEvent.objects.filter(state__in=(states.DEAD, states.IGNORED), reason="")
    yield "I12", "an event that was not applied says why", silent
