"""What the page before a refund tells of card, stock, enrollment and e-mail, and that it comes true."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import ProductVariant
from apps.enrollment.models import Enrollment, Track
from apps.invoices.models import Document
from apps.notifications.models import Mail
from apps.orders.models import Order
from apps.payment.models import Payment
from tests.enrollment.courses import make_track
from tests.support.shop import Shop, Stripe, make_user, make_variant
from tests.support.staff import hidden, hidden_fields, owner, text_of
from tests.support.stray import late_money

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

WITH_MAIL = "buyer@example.com gets an e-mail with a credit note."
WITHOUT_MAIL = "A credit note is issued; nobody's address is known for the e-mail."
ENDS = "the buyer's enrollment ends, unless another order pays for it."


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1000, stock=20)


@pytest.fixture
def track(db: None) -> Track:
    return make_track()


@pytest.fixture
def payment(mug: ProductVariant, track: Track, stripe_sandbox: Stripe) -> Payment:
    """Two mugs and a course, bought by somebody with an account."""
    buyer = Shop(make_user())
    buyer.add(mug, 2)
    buyer.add(track.variant)
    buyer.buy(stripe_sandbox)
    assert Enrollment.objects.get().status == "enrolled"
    return Payment.objects.get()


def page_of(payment: Payment) -> str:
    return f"/admin/payment/payment/{payment.pk}/refund/"


def preview(client: Client, payment: Payment, **fields: Any) -> Any:
    page = hidden(client.get(page_of(payment)), "page")
    return client.post(page_of(payment), {"page": page, "reason": "requested_by_customer", **fields})


def test_whole_refund_ends_the_enrollment_and_tells_the_buyer(
    payment: Payment, track: Track, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    client = owner()
    seen = preview(client, payment, how="all")
    text = text_of(seen)
    assert "Stripe gives 519.00 USD back to the card visa 4242." in text
    assert "Every line counts as refunded. Nothing returns to stock." in text
    assert f"{track.variant.product.name}: {ENDS}" in text
    assert text.count(ENDS) == 1, "a mug enrolls nobody"
    assert WITH_MAIL in text
    client.post(page_of(payment), {**hidden_fields(seen), "confirm": "1"})
    stripe_sandbox.digest()
    assert Enrollment.objects.get().status == "withdrawn"
    assert Mail.objects.filter(kind="refund_succeeded", recipient="buyer@example.com").count() == 1
    assert Document.objects.filter(kind="credit_note").count() == 1
    mug.refresh_from_db()
    assert mug.stock == 18


def test_line_of_the_course_ends_the_enrollment(payment: Payment, track: Track) -> None:
    _, course = payment.order.items.all()
    text = text_of(preview(owner(), payment, how="lines", **{f"quantity-{course.pk}": "1"}))
    assert f"{track.variant.product.name}: {ENDS}" in text
    assert f"1 × {course.name} counts as refunded." in text, "its stock is not counted, so none is spoken of"


@pytest.mark.parametrize(("restock", "becomes"), [("on", "returns to stock"), ("", "stays out of stock")])
def test_other_lines_leave_the_enrollment(
    payment: Payment, mug: ProductVariant, stripe_sandbox: Stripe, restock: str, becomes: str
) -> None:
    client = owner()
    mugs, _ = payment.order.items.all()
    fields = {f"quantity-{mugs.pk}": "2", f"restock-{mugs.pk}": restock}
    seen = preview(client, payment, how="lines", **fields)
    text = text_of(seen)
    assert f"2 × Product MUG counts as refunded and {becomes}." in text
    assert ENDS not in text
    assert WITH_MAIL in text
    client.post(page_of(payment), {**hidden_fields(seen), "confirm": "1"})
    stripe_sandbox.digest()
    mug.refresh_from_db()
    assert mug.stock == (20 if restock else 18)
    assert Enrollment.objects.get().status == "enrolled"


def test_amount_refunds_no_line(payment: Payment) -> None:
    text = text_of(preview(owner(), payment, how="amount", amount="5.00"))
    assert "Stripe gives 5.00 USD back to the card visa 4242." in text
    assert "No line counts as refunded until lines are assigned to it." in text
    assert ENDS not in text
    assert "blocks this card" not in text


def test_fraud_blocks_card_and_address(payment: Payment) -> None:
    text = text_of(preview(owner(), payment, how="all", reason="fraudulent"))
    assert "Stripe blocks this card and this e-mail address." in text


def test_without_card_and_address_neither_is_spoken_of(payment: Payment) -> None:
    Order.objects.update(email="")
    Payment.objects.update(last4="", brand="")
    text = text_of(preview(owner(), payment, how="all"))
    assert "Stripe gives 519.00 USD back." in text
    assert WITHOUT_MAIL in text
    assert WITH_MAIL not in text


def test_money_that_paid_for_nothing_ends_nothing(
    mug: ProductVariant, track: Track, stripe_sandbox: Stripe, settings: Any
) -> None:
    settings.LATE_PAYMENT_POLICY = "staff"
    late = late_money(stripe_sandbox, mug, track.variant, buyer=Shop(make_user()))
    text = text_of(preview(owner(), late, how="all"))
    assert f"Order {late.order.number} stays as it is: this payment did not pay for it." in text
    assert ENDS not in text
    assert "credit note" not in text
    assert "counts as refunded" not in text
