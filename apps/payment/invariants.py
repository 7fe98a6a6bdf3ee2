"""What must be true at any moment, each as a query that returns no row.

`manage.py verify` runs them; so does every race and crash test. Amounts are in minor units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.cart.models import Cart
from apps.catalog.models import ProductVariant
from apps.inventory.models import StockHold, StockMovement
from apps.orders.models import Order, OrderItem, OrderTransition
from apps.payment.models import AttentionCase, Dispute, Payment, PaymentMethod, Refund, StripeWebhookEvent

SHOWN = 20
"""How many offending ids are named; the count is told in full."""

EXPIRY_GRACE = timedelta(minutes=5)
"""How long after its end an order may still wait for the sweep."""


Check = tuple[str, str, QuerySet[Any]]
"""An invariant's name, its meaning, and the rows that break it."""

also: list[Callable[[], Iterator[Check]]] = []
"""Invariants of apps that this one does not know; the composition root hands them over."""


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


def _of_line(movements: QuerySet[StockMovement]) -> Coalesce:
    """The sum of the movements of an order line's variant for its order; 0 where there is none."""
    rows = movements.filter(order_id=OuterRef("order_id"), variant=OuterRef("variant")).order_by()
    return Coalesce(Subquery(rows.values("order_id").annotate(n=Sum("quantity")).values("n")), 0)


def _checks() -> Iterator[Check]:
    yield from _stock()
    yield from _orders()
    yield from _payments()
    yield from _money_back()
    yield from _methods()
    for checks in also:
        yield from checks()


def _stock() -> Iterator[Check]:
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
    lines = lines.annotate(sold=_of_line(sales))
    paid = Q(order__payment_status__in=Order.PAID)
    yield "I3", "each counted line of a paid order is sold once", lines.filter(paid).exclude(sold=-F("quantity"))
    yield "I3", "no line of an unpaid order is sold", lines.exclude(paid).exclude(sold=0)
    lines = lines.annotate(back=_of_line(StockMovement.objects.filter(kind=StockMovement.Kind.RESTOCK)))
    yield "I4", "no more comes back to stock than was sold, per line", lines.filter(back__gt=-F("sold"))
    open_orders = Order.objects.filter(status=Order.Status.PENDING).values("pk")
    yield "I5", "a hold is active only while its order is pending", active.exclude(order_id__in=open_orders)


def _orders() -> Iterator[Check]:
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
    present = OrderTransition.objects.filter(
        order=OuterRef("pk"),
        seq=OuterRef("transitions"),
        to_status=OuterRef("status"),
        to_payment_status=OuterRef("payment_status"),
    )
    last = Order.objects.exclude(Exists(present))
    yield "I17", "the last row of an order's log is its present state", last
    twice = Cart.objects.annotate(open=Count("orders", filter=Q(orders__status=Order.Status.PENDING)))
    yield "I16", "a cart has at most one pending order", twice.filter(open__gt=1)


def _payments() -> Iterator[Check]:
    stray = Payment.objects.filter(status__in=Payment.SETTLED, applied=False, amount_captured__gt=0)
    stray = stray.annotate(back=_sum(Refund.objects.filter(status__in=Refund.COMMITTED), "payment", "amount"))
    looked_at = Exists(AttentionCase.objects.filter(payment=OuterRef("pk"), solved_at=None))
    yield (
        "I7",
        "money that is not applied is on its way back or a case",
        stray.exclude(looked_at).filter(back__lt=F("amount_captured") - F("amount_lost")),
    )
    attempts = Order.objects.annotate(open=Count("payments", filter=Q(payments__status__in=Payment.OPEN)))
    yield "I15", "an order has at most one open attempt", attempts.filter(open__gt=1)
    live = settings.PAYMENT_ENV == "live"
    yield "I23", "all payments are of one mode", Payment.objects.exclude(livemode=live)
    states = StripeWebhookEvent.State
    silent = StripeWebhookEvent.objects.filter(state__in=(states.DEAD, states.IGNORED), reason="")
    yield "I12", "an event that was not applied says why", silent


def _money_back() -> Iterator[Check]:
    committed = _sum(Refund.objects.filter(status__in=Refund.COMMITTED), "payment", "amount")
    succeeded = _sum(Refund.objects.filter(status=Refund.Status.SUCCEEDED), "payment", "amount")
    lost = _sum(Dispute.objects.filter(status=Dispute.Status.LOST), "payment", "amount")
    payments = Payment.objects.annotate(back=committed, returned=succeeded, lost=lost)
    settled = payments.filter(status__in=Payment.SETTLED)
    yield "I9", "refunds stay within what was captured", payments.filter(back__gt=F("amount_captured"))
    yield "I9", "a refund is in its payment's currency", Refund.objects.exclude(currency=F("payment__currency"))
    yield (
        "I10",
        "a payment's sums are those of its refunds and disputes",
        settled.exclude(amount_refunded=F("returned"), amount_lost=F("lost")),
    )
    yield "I10", "a settled payment's status is what its refunds say", settled.exclude(status=_status_of_refunds())
    applied = Payment.objects.filter(order=OuterRef("pk"), applied=True)
    orders = Order.objects.filter(payment_status__in=Order.PAID).annotate(told=Subquery(applied.values("status")[:1]))
    paid = Case(When(told="succeeded", then=Value("paid")), default=F("told"))
    yield (
        "I10",
        "a paid order says what its payment says",
        orders.filter(told__isnull=False).exclude(payment_status=paid),
    )
    told_twice = Exists(AttentionCase.objects.filter(payment=OuterRef("pk"), kind="lost_twice"))
    yield (
        "I21",
        "refunds and lost disputes stay within what was captured, or staff was told",
        payments.exclude(told_twice).filter(amount_captured__lt=F("returned") + F("lost")),
    )
    forbidding = Dispute.objects.filter(payment=OuterRef("payment"), charge_refundable=False).exclude(
        status__in=Dispute.OVER
    )
    yield (
        "I21",
        "no refund is intended while a dispute forbids it",
        Refund.objects.filter(status=Refund.Status.PENDING, key_used_at=None)
        .exclude(source__in=(Refund.Source.STRIPE, Refund.Source.SHOP))
        .filter(Exists(forbidding.filter(created_at__lt=OuterRef("created_at"), told_at__lt=OuterRef("created_at")))),
    )


def _status_of_refunds() -> Case:
    statuses = Payment.Status
    return Case(
        When(returned__lte=0, then=Value(statuses.SUCCEEDED)),
        When(returned__gte=F("amount_captured"), then=Value(statuses.REFUNDED)),
        default=Value(statuses.PARTIALLY_REFUNDED),
    )


def _methods() -> Iterator[Check]:
    saved = PaymentMethod.objects.filter(state=PaymentMethod.State.SAVED)
    yield "I22", "a saved method belongs to its owner's customer", saved.exclude(customer__user=F("user"))
    yield "I22", "a saved method's customer is at Stripe", saved.filter(customer__stripe_customer_id=None)
    defaults = PaymentMethod.objects.filter(is_default=True)
    yield "I22", "only a saved method is a default", defaults.exclude(state=PaymentMethod.State.SAVED)
