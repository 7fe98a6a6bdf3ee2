"""The page on which staff applies late money to its order, from its case."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.catalog.models import ProductVariant
from apps.orders.models import Order
from apps.payment.models import AttentionCase, Payment, Refund
from apps.payment.services.cases import open_case
from tests.support.shop import Shop, Stripe, make_variant
from tests.support.staff import history, owner, signed_in, staff, text_of, told
from tests.support.stray import late_money

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

CASES = "/admin/payment/attentioncase/"


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", stock=3, price=1000)


@pytest.fixture
def case(stripe_sandbox: Stripe, mug: ProductVariant, settings: Any) -> AttentionCase:
    settings.LATE_PAYMENT_POLICY = "staff"
    late_money(stripe_sandbox, mug, quantity=2)
    return AttentionCase.objects.get()


def page(case: AttentionCase, name: str = "apply") -> str:
    return f"{CASES}{case.pk}/{name}/"


def offers(client: Client, case: AttentionCase) -> bool:
    return page(case) in client.get(page(case, "change")).content.decode()


def of_role(name: str) -> Client:
    person = User.objects.create_user(f"{name}@example.com", "correct horse battery", is_staff=True)
    person.groups.add(Group.objects.get(name=name))
    return signed_in(person)


def test_page_shows_money_order_and_stock(case: AttentionCase) -> None:
    client = owner()
    assert offers(client, case)
    shown = text_of(client.get(page(case)))
    number = Order.objects.get().number
    assert f"Apply 20.00 USD to order {number}" in shown
    assert f"Order {number} It costs 20.00 USD It is cancelled, expired" in shown
    assert "Product MUG MUG 2 3 –" in shown
    assert f"Order {number} is paid and confirmed, and its goods are sold." in shown
    assert "buyer@example.com gets the confirmation with the invoice." in shown
    assert "withdrawn" not in shown


def test_money_is_applied_with_a_reason(case: AttentionCase, mug: ProductVariant) -> None:
    client, number = owner(), Order.objects.get().number
    answer = client.post(page(case), {"reason": "The goods are here."})
    assert (answer.status_code, answer["Location"]) == (302, page(case, "change"))
    assert told(answer) == [f"20.00 USD is applied: order {number} is paid."]
    assert Order.objects.get().payment_status == "paid"
    case.refresh_from_db()
    assert (str(case.solved_by), case.note) == ("owner@example.com", "Applied to the order: The goods are here.")
    assert history() == [("owner@example.com", "attentioncase", "Applied to the order: The goods are here.")]
    trail = [(entry.object_type, entry.action, entry.reason) for entry in AuditEntry.objects.order_by("pk")]
    assert trail == [
        ("payment.payment", "apply", "The goods are here."),
        ("payment.attentioncase", "apply", "The goods are here."),
    ]
    assert not offers(client, case)
    again = client.post(page(case), {"reason": "Once more."})
    assert told(again)[-1] == "This case has no money that waits to be applied."
    mug.refresh_from_db()
    assert (mug.stock, mug.held) == (1, 0)


def test_reason_is_required(case: AttentionCase) -> None:
    answer = owner().post(page(case), {"reason": " "})
    assert answer.status_code == 200
    assert "This field is required." in text_of(answer)
    assert Order.objects.get().payment_status == "failed"
    assert AuditEntry.objects.count() == 0


def test_what_is_missing_is_shown_and_nothing_is_offered(case: AttentionCase, mug: ProductVariant) -> None:
    other, client = Shop(), owner()
    other.add(mug, 2)
    assert other.checkout().status_code == 201
    answer = client.get(page(case))
    shown = text_of(answer)
    assert "Product MUG MUG 2 1 1" in shown
    missing = "There is not enough in stock (MUG: 2 wanted, 1 available). Stock up first, or give the money back."
    assert f"It cannot be applied now. {missing}" in shown
    assert 'name="reason"' not in answer.content.decode()
    refused = client.post(page(case), {"reason": "Try."})
    assert told(refused) == [f"Nothing was applied. {missing}"]
    assert Order.objects.order_by("pk")[0].payment_status == "failed"
    assert AuditEntry.objects.count() == 0
    case.refresh_from_db()
    assert case.solved_at is None


def test_refund_that_would_be_withdrawn_is_shown(case: AttentionCase) -> None:
    payment = Payment.objects.get()
    Refund.objects.create(
        payment=payment, reference="pr_1", idempotency_key="pr_1-1", amount=2000, currency="USD", reason="other"
    )
    client = owner()
    shown = text_of(client.get(page(case)))
    assert "The refund of 20.00 USD is withdrawn: Stripe was not asked for it yet." in shown
    client.post(page(case), {"reason": "The goods are here."})
    assert Refund.objects.get().status == "cancelled"
    order = text_of(client.get(f"/admin/orders/order/{payment.order_id}/timeline/"))
    assert "Refund of 20.00 USD withdrawn before Stripe was asked" in order


def test_stripe_away_is_told(case: AttentionCase, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.faults("500", times=9)
    answer = owner().post(page(case), {"reason": "The goods are here."})
    assert told(answer)[0].startswith("Nothing was applied. The payment provider cannot be reached.")
    assert Order.objects.get().payment_status == "failed"


@pytest.mark.parametrize("role", ["finance", "owner"])
def test_roles_that_move_money_apply_it(case: AttentionCase, role: str) -> None:
    client = of_role(role)
    assert offers(client, case)
    assert client.post(page(case), {"reason": "The goods are here."}).status_code == 302
    assert Payment.objects.get().applied


@pytest.mark.parametrize("role", ["viewer", "support", "catalogue"])
def test_other_roles_are_refused(case: AttentionCase, role: str) -> None:
    client = of_role(role)
    assert client.get(page(case)).status_code == 403
    assert client.post(page(case), {"reason": "The goods are here."}).status_code == 403
    if role != "catalogue":
        assert not offers(client, case)
    assert not Payment.objects.get().applied


@pytest.mark.parametrize("permission", ["issue_refund", "change_attentioncase"])
def test_one_right_alone_is_not_enough(case: AttentionCase, permission: str) -> None:
    client = staff(permission)
    assert not offers(client, case)
    assert client.post(page(case), {"reason": "The goods are here."}).status_code == 403


def test_cases_about_other_things_offer_nothing(case: AttentionCase) -> None:
    open_case(Payment.objects.get(), kind="long_on_its_way", detail="slow")
    other, client = AttentionCase.objects.get(kind="long_on_its_way"), owner()
    assert not offers(client, other)
    assert told(client.get(page(other))) == ["This case has no money that waits to be applied."]
