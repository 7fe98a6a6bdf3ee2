"""Refunds by amount get their lines afterwards."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.common.errors import InvalidInput
from apps.inventory.models import StockMovement
from apps.orders.models import Order, OrderItem
from apps.payment.models import Payment, PaymentLog, Refund, RefundItem
from apps.payment.services import assigning
from apps.payment.services.assigning import (
    LinesExceedRefund,
    NotAssignable,
    assign_lines,
    can_be_assigned,
    lines_left,
)
from apps.payment.services.carrying_out import carry_out
from apps.payment.services.refund_requests import reject, request_refund
from apps.payment.services.refunds import ExceedsRemaining, Line, RefundWish, intend_refund
from tests.support.shop import Shop, Stripe, in_parallel, make_user, make_variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]


@pytest.fixture
def by(db: None) -> User:
    return make_user("staff@example.com")


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1000, stock=10)


@pytest.fixture
def payment(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> Payment:
    """Three mugs at 10.00 and one pen at 2.50, paid: 32.50."""
    shop.add(mug, 3)
    shop.add(make_variant("PEN", price=250, stock=10))
    shop.buy(stripe_sandbox)
    return Payment.objects.get()


def given(payment: Payment, amount: int | None, *, ask: bool = True) -> Refund:
    refund = intend_refund(payment=payment, wish=RefundWish(amount=amount), source=Refund.Source.STAFF)
    return carry_out(refund) if ask else refund


def lines(payment: Payment) -> tuple[OrderItem, OrderItem]:
    mugs, pen = payment.order.items.all()
    return mugs, pen


def shown(payment: Payment) -> list[int]:
    return [item.refunded_quantity for item in payment.order.items.all()]


def stock() -> dict[str, int | None]:
    return dict(ProductVariant.objects.values_list("sku", "stock"))


def test_lines_count_as_refunded_and_their_goods_return_once(
    payment: Payment, by: User, stripe_sandbox: Stripe
) -> None:
    refund, (mugs, pen) = given(payment, 2250), lines(payment)
    assert shown(payment) == [0, 0]
    assign_lines(refund, lines=[Line(mugs.pk, 2, restock=True), Line(pen.pk, 1)], by=by)
    assert shown(payment) == [2, 1]
    assert stock() == {"MUG": 9, "PEN": 9}
    assert list(StockMovement.objects.filter(kind="restock").values_list("variant__sku", "quantity")) == [("MUG", 2)]
    assert Order.objects.get().payment_status == "partially_refunded"
    log = PaymentLog.objects.get(kind="refund_assigned")
    assert (log.object_id, log.detail) == (refund.reference, f"3 units, by user {by.pk}")

    with pytest.raises(NotAssignable):
        assign_lines(refund, lines=[Line(mugs.pk, 1)], by=by)
    stripe_sandbox.digest()
    assert shown(payment) == [2, 1]
    assert stock() == {"MUG": 9, "PEN": 9}


def test_goods_of_a_pending_refund_return_when_it_succeeds(
    shop: Shop, mug: ProductVariant, by: User, stripe_sandbox: Stripe
) -> None:
    shop.add(mug, 2)
    shop.buy(stripe_sandbox, "pm_card_pendingRefund")
    payment = Payment.objects.get()
    refund = given(payment, 1000)
    assign_lines(refund, lines=[Line(payment.order.items.get().pk, 1, restock=True)], by=by)
    assert (shown(payment), stock()) == ([0], {"MUG": 8})
    stripe_sandbox.settle_later_work()
    assert (shown(payment), stock()) == ([1], {"MUG": 9})


def test_refund_that_fails_later_frees_its_lines(
    shop: Shop, mug: ProductVariant, by: User, stripe_sandbox: Stripe
) -> None:
    shop.add(mug, 2)
    shop.buy(stripe_sandbox, "pm_card_refundFail")
    payment = Payment.objects.get()
    refund = given(payment, 1000)
    assign_lines(refund, lines=[Line(payment.order.items.get().pk, 1)], by=by)
    assert shown(payment) == [1]
    stripe_sandbox.settle_later_work()
    assert shown(payment) == [0]
    assert [left for _, left in lines_left(payment)] == [2]
    with pytest.raises(NotAssignable):
        assign_lines(refund, lines=[Line(payment.order.items.get().pk, 1)], by=by)


def test_a_full_refund_by_amount_takes_its_goods_back(payment: Payment, by: User) -> None:
    refund, (mugs, pen) = given(payment, None), lines(payment)
    assert shown(payment) == [3, 1]
    assign_lines(refund, lines=[Line(mugs.pk, 3, restock=True), Line(pen.pk, 1, restock=True)], by=by)
    assert (shown(payment), stock()) == ([3, 1], {"MUG": 10, "PEN": 10})


def test_lines_are_worth_what_the_refund_gave_or_less(payment: Payment, by: User) -> None:
    refund, (mugs, pen) = given(payment, 1249), lines(payment)
    with pytest.raises(LinesExceedRefund) as refusal:
        assign_lines(refund, lines=[Line(mugs.pk, 1), Line(pen.pk, 1)], by=by)
    assert refusal.value.data == {"worth": "12.50", "amount": "12.49"}
    assert RefundItem.objects.count() == 0
    assign_lines(refund, lines=[Line(mugs.pk, 1)], by=by)
    assert shown(payment) == [1, 0]


def test_lines_of_several_refunds_stay_within_what_was_bought(payment: Payment, by: User) -> None:
    first, second, (mugs, _) = given(payment, 2000), given(payment, 1250), lines(payment)
    assign_lines(first, lines=[Line(mugs.pk, 2, restock=True)], by=by)
    assert [left for _, left in lines_left(payment)] == [1, 1]
    with pytest.raises(ExceedsRemaining) as refusal:
        assign_lines(second, lines=[Line(mugs.pk, 2)], by=by)
    assert refusal.value.data == {"items": [{"order_item_id": mugs.pk, "requested": 2, "remaining": 1}]}
    assert RefundItem.objects.count() == 1


def assign_both_lines_at_once(payment: Payment, by: User) -> list[str]:
    """One thread assigns a mug, the other the pen, to a refund of a mug's price; the names of what they got."""
    refund, named = given(payment, 1000), [Line(line.pk, 1, restock=True) for line in lines(payment)]
    jobs = [lambda line=line: assign_lines(refund, lines=[line], by=by) for line in named]
    return sorted(type(answer).__name__ for answer in in_parallel(jobs, threads=2))


@pytest.mark.race
def test_two_at_once_assign_once(payment: Payment, by: User) -> None:
    assert assign_both_lines_at_once(payment, by) == ["NotAssignable", "Refund"]
    assert RefundItem.objects.count() == 1


@pytest.mark.race
@pytest.mark.postgres
def test_control_without_the_lock_more_is_assigned_than_was_given(
    payment: Payment, by: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)

    def no_lock(payment_id: int) -> Payment:
        return Payment.objects.get(pk=payment_id)

    def both_have_looked(refund: Refund) -> bool:
        answer = can_be_assigned(refund)
        together.wait(timeout=20)
        return answer

    refund = given(payment, 1000)
    monkeypatch.setattr(assigning, "lock_payment", no_lock)
    monkeypatch.setattr(assigning, "can_be_assigned", both_have_looked)
    jobs = [lambda line=line: assign_lines(refund, lines=[Line(line.pk, 1)], by=by) for line in lines(payment)]
    assert [type(answer).__name__ for answer in in_parallel(jobs, threads=2)] == ["Refund", "Refund"]
    assert RefundItem.objects.filter(refund=refund).count() == 2, "12.50 worth of lines for 10.00"


@pytest.mark.parametrize("wanted", [[], [(0, 1)], [("mugs", 1), ("mugs", 1)]])
def test_lines_are_those_of_the_order_each_once(payment: Payment, by: User, wanted: list[Any]) -> None:
    refund, (mugs, _) = given(payment, 2000), lines(payment)
    named = [Line(mugs.pk if pk == "mugs" else pk, quantity) for pk, quantity in wanted]
    with pytest.raises(InvalidInput):
        assign_lines(refund, lines=named, by=by)
    assert RefundItem.objects.count() == 0


def test_other_refunds_take_no_lines(payment: Payment, by: User) -> None:
    mugs, _ = lines(payment)
    with_lines = intend_refund(
        payment=payment, wish=RefundWish(lines=[Line(mugs.pk, 1)]), source=Refund.Source.STAFF, by=by
    )
    rejected = request_refund(payment=payment, wish=RefundWish(amount=1000), by=None)
    for refund in (with_lines, rejected):
        with pytest.raises(NotAssignable):
            assign_lines(refund, lines=[Line(mugs.pk, 1)], by=by)
    reject(rejected, by=by, note="no")
    with pytest.raises(NotAssignable):
        assign_lines(rejected, lines=[Line(mugs.pk, 1)], by=by)
    assert RefundItem.objects.count() == 1


def test_money_that_paid_for_nothing_has_no_lines(
    shop: Shop, mug: ProductVariant, by: User, stripe_sandbox: Stripe
) -> None:
    """Both pages were paid before the shop heard of either."""
    shop.add(mug)
    first = shop.checkout().json()
    Payment.objects.update(status="failed", closing=False)
    second = shop.retry(first).json()
    stripe_sandbox.pay(first["session_id"])
    stripe_sandbox.pay(second["session_id"])
    stripe_sandbox.digest()
    refund = Refund.objects.get()
    assert lines_left(refund.payment) == []
    with pytest.raises(NotAssignable):
        assign_lines(refund, lines=[Line(Order.objects.get().items.get().pk, 1)], by=by)
