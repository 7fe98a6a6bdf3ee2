"""The only code that writes `stock` and `held`.

Every function here runs in its caller's transaction and locks variants in pk order, so that two orders that want
the same variants wait for each other instead of deadlocking. The lock is FOR NO KEY UPDATE: a cart may still take a
line of a locked variant. Variants whose stock is not counted pass untouched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, F, IntegerField, Q, Sum, Value, When
from django.db.models.query import QuerySet
from django.utils import timezone

from apps.catalog.models import ProductVariant
from apps.common import rows
from apps.common.errors import Conflict, DomainError
from apps.inventory.models import StockHold, StockMovement

_HOLDS = f"{StockHold._meta.db_table} WHERE order_id = %s AND state = 'active'"
_VARIANTS = ProductVariant._meta.db_table
_QUANTITY = f"(SELECT quantity FROM {_HOLDS} AND variant_id = {_VARIANTS}.id)"
HELD_VARIANTS = f"SELECT id FROM {_VARIANTS} WHERE id IN (SELECT variant_id FROM {_HOLDS}) ORDER BY id"
HELD_QUANTITIES = f"SELECT variant_id, quantity FROM {_HOLDS} ORDER BY variant_id"
TAKE_HELD = (
    f"UPDATE {_VARIANTS} SET stock = stock - {_QUANTITY}, held = held - {_QUANTITY} "
    f"WHERE id IN (SELECT variant_id FROM {_HOLDS})"
)
ADD_HELD = f"UPDATE {_VARIANTS} SET held = held + {_QUANTITY} WHERE id IN (SELECT variant_id FROM {_HOLDS})"
"""What `sell` and `hold` do by an order's active holds; the names are those of the models."""


class OutOfStock(DomainError):
    """Some lines ask for more than there is; `items` names them with what is available."""

    code = "out_of_stock"
    message = "Some items are not available in the quantity you asked for."


def hold(*, order_id: int, cart_id: int | None, wanted: Mapping[int, int]) -> None:
    """Promise `wanted` (variant id to quantity) to an order that holds nothing, all of it or nothing.

    Raises OutOfStock with every line that cannot be had. The caller's transaction is to be rolled back then.
    """
    hold_locked(lock_variants(wanted), order_id=order_id, cart_id=cart_id, wanted=wanted)


def hold_locked(
    variants: Iterable[ProductVariant], *, order_id: int, cart_id: int | None, wanted: Mapping[int, int]
) -> None:
    """As `hold`, for variants that `lock_variants` has locked in this transaction."""
    variants = list(variants)
    counted = {v.pk: wanted[v.pk] for v in variants if v.stock is not None}
    short = [v for v in variants if v.pk in counted and (v.available or 0) < counted[v.pk]]
    if short:
        raise OutOfStock(
            items=[{"sku": v.sku, "requested": wanted[v.pk], "available": max(0, v.available or 0)} for v in short]
        )
    if not counted:
        return
    rows.insert(
        [
            StockHold(variant_id=pk, order_id=order_id, cart_id=cart_id, quantity=quantity)
            for pk, quantity in sorted(counted.items())
        ]
    )
    with connection.cursor() as cursor:
        cursor.execute(ADD_HELD, [order_id] * 2)


def release(*, order_ids: Iterable[int]) -> None:
    """End the active holds of these orders; what they held is available again. Safe to repeat."""
    holds = _lock_active_holds(order_ids)
    if not holds:
        return
    freed: dict[int, int] = {}
    for held in holds:
        freed[held.variant_id] = freed.get(held.variant_id, 0) + held.quantity
    ProductVariant.objects.filter(pk__in=freed).update(held=F("held") - _per_variant(freed))
    _end(holds, StockHold.State.RELEASED)


def sell(*, order_id: int) -> None:
    """Turn an order's active holds into sales: stock and held go down together, a movement tells why.

    In SQL, since every payment runs it: the variants are locked in pk order, and only then are the holds read.
    """
    with connection.cursor() as cursor:
        lock = " FOR NO KEY UPDATE" if connection.features.has_select_for_no_key_update else ""
        cursor.execute(HELD_VARIANTS + lock, [order_id])
        if not cursor.fetchall():
            return
        cursor.execute(HELD_QUANTITIES, [order_id])
        sold = cursor.fetchall()
        cursor.execute(TAKE_HELD, [order_id] * 3)
    active = {"order_id": order_id, "state": StockHold.State.ACTIVE}
    rows.change(StockHold, active, {"state": StockHold.State.SOLD, "ended_at": timezone.now()})
    rows.insert(
        [StockMovement(variant_id=pk, quantity=-n, kind=StockMovement.Kind.SALE, order_id=order_id) for pk, n in sold]
    )


def restock(*, order_id: int, quantities: Mapping[int, int], effect: str) -> None:
    """Put sold goods of an order back (variant id to quantity); the same `effect` again changes nothing.

    Variants whose stock is not counted any more pass untouched.
    """
    counted = {v.pk: quantities[v.pk] for v in lock_variants(quantities) if v.stock is not None}
    done = StockMovement.objects.filter(effect__in=[f"{effect}/{pk}" for pk in counted]).values_list("variant_id")
    fresh = {pk: n for pk, n in counted.items() if (pk,) not in set(done)}
    if not fresh:
        return
    StockMovement.objects.bulk_create(
        StockMovement(
            variant_id=pk,
            quantity=n,
            kind=StockMovement.Kind.RESTOCK,
            order_id=order_id,
            reason="refunded",
            effect=f"{effect}/{pk}",
        )
        for pk, n in sorted(fresh.items())
    )
    ProductVariant.objects.filter(pk__in=fresh).update(stock=F("stock") + _per_variant(fresh))


def own_holds(*, variant_ids: Iterable[int], cart_ids: Iterable[int] | QuerySet[Any]) -> dict[int, int]:
    """What the open orders of these carts hold, per variant.

    It counts as available to them: asking again for one's own is not a second buyer.
    """
    held = (
        StockHold.objects.filter(cart_id__in=cart_ids, variant_id__in=list(variant_ids), state=StockHold.State.ACTIVE)
        .values_list("variant_id")
        .annotate(n=Sum("quantity"))
    )
    return dict(held)


def lock_variants(variant_ids: Iterable[int]) -> list[ProductVariant]:
    """Lock these variants in pk order. Raises ProductVariant.DoesNotExist when one is missing."""
    ids = set(variant_ids)
    variants = list(
        ProductVariant.objects.select_for_update(no_key=True)
        .filter(pk__in=ids)
        .order_by("pk")
        .only("pk", "sku", "stock", "held")
    )
    if len(variants) != len(ids):
        raise ProductVariant.DoesNotExist
    return variants


@transaction.atomic
def adjust(*, variant_id: int, quantity: int, reason: str, effect: str | None = None) -> None:
    """Correct a counted stock by hand, for staff: `quantity` is added, or taken when negative.

    The same `effect` again raises Conflict `stock_moved_already`; DomainError `stock_below_held` says that less would
    be left than is promised to buyers.
    """
    lock_variants([variant_id])
    if effect is not None and StockMovement.objects.filter(effect=effect).exists():
        raise Conflict("This was done already. Nothing was moved again.", code="stock_moved_already")
    changed = ProductVariant.objects.filter(pk=variant_id, stock__isnull=False, stock__gte=F("held") - quantity).update(
        stock=F("stock") + quantity
    )
    if not changed:
        raise DomainError("Less would be left than is promised to buyers.", code="stock_below_held", status=409)
    StockMovement.objects.create(
        variant_id=variant_id, quantity=quantity, kind=StockMovement.Kind.ADJUSTMENT, reason=reason, effect=effect
    )


@transaction.atomic
def begin_counting(*, variant_id: int, quantity: int, reason: str, effect: str | None = None) -> None:
    """Count a stock that was not counted so far; what is there now comes in as its first movement.

    Raises Conflict `stock_counted` where it is counted already, and `variant_was_ordered` where orders were placed
    without a hold: they would be paid without their sale.
    """
    [variant] = lock_variants([variant_id])
    if variant.stock is not None:
        raise Conflict("The stock of this variant is counted already.", code="stock_counted")
    if ProductVariant.objects.filter(pk=variant_id, order_items__isnull=False).exists():
        raise Conflict(
            "It was ordered while its stock was not counted, so it stays uncounted. Make another variant.",
            code="variant_was_ordered",
        )
    ProductVariant.objects.filter(pk=variant_id).update(stock=0, opening_stock=0)
    if quantity:
        adjust(variant_id=variant_id, quantity=quantity, reason=reason, effect=effect)


def _lock_active_holds(order_ids: Iterable[int]) -> list[StockHold]:
    """The active holds, with their variants locked in pk order before anything is read that may change."""
    active: QuerySet[StockHold] = StockHold.objects.filter(
        Q(order_id__in=list(order_ids)), state=StockHold.State.ACTIVE
    )
    lock = (
        ProductVariant.objects.select_for_update(no_key=True).filter(pk__in=active.values("variant_id")).order_by("pk")
    )
    if not list(lock.values_list("pk", flat=True)):
        return []
    return list(active.order_by("variant_id"))


def _end(holds: list[StockHold], state: str) -> None:
    StockHold.objects.filter(pk__in=[held.pk for held in holds]).update(state=state, ended_at=timezone.now())


def _per_variant(quantities: Mapping[int, int]) -> Case:
    """An expression for the quantity that belongs to each row, so that one UPDATE serves all of them."""
    return Case(
        *(When(pk=pk, then=Value(quantity)) for pk, quantity in quantities.items()),
        output_field=IntegerField(),
    )
