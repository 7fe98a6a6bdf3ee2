"""Staff gives money back in the admin: many payments at once, one in detail, and what buyers asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.catalog.models import ProductVariant
from apps.orders.models import Order
from apps.payment import gateway
from apps.payment.models import Payment, PaymentLog, Refund
from apps.payment.services.giving_back import offers_of
from apps.payment.services.refunds import HEAD_START
from tests.support.shop import Shop, Stripe, in_parallel, make_variant, work
from tests.support.staff import hidden, hidden_fields, history, owner, staff, text_of, told

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants")]

PAYMENTS = "/admin/payment/payment/"
PROCESS = f"{PAYMENTS}process-refunds/"
REFUNDS = "/admin/payment/refund/"


@pytest.fixture
def mug(db: None) -> ProductVariant:
    return make_variant("MUG", price=1000, stock=20)


@pytest.fixture
def buy(mug: ProductVariant, stripe_sandbox: Stripe) -> Callable[..., Payment]:
    """One order of mugs, paid."""

    def bought(
        quantity: int = 1, method: str = "pm_card_visa", *, variant: Any = mug, currency: str = "USD"
    ) -> Payment:
        buyer = Shop()
        body = {"variant_id": variant.pk, "quantity": quantity, "currency": currency}
        buyer.cart_token = buyer.post("/api/cart/add/", body).json()["token"]
        buyer.buy(stripe_sandbox, method)
        return Payment.objects.select_related("order").latest("pk")

    return bought


def select(client: Client, *payments: Payment) -> Any:
    """What comes of choosing the action in the list."""
    return client.post(PAYMENTS, {"action": "process_refunds", "_selected_action": [row.pk for row in payments]})


def confirm(client: Client, page: str, amounts: dict[Payment, str], **fields: str) -> Any:
    posted: dict[str, Any] = {"page": page, "reason": "requested_by_customer", "description": "", **fields}
    posted["payment"] = [payment.pk for payment in amounts]
    posted |= {f"amount-{payment.pk}": amount for payment, amount in amounts.items()}
    return client.post(PROCESS, posted)


def results(answer: Any) -> list[tuple[str, str, str]]:
    """Order, state and sentence of each row of the page of results."""
    found = []
    for row in re.findall(r"<tr>(.*?)</tr>", answer.content.decode(), flags=re.DOTALL):
        cells = [" ".join(re.sub("<[^>]+>", " ", cell).split()) for cell in re.findall("<td.*?</td>", row, re.DOTALL)]
        if len(cells) == 5:
            found.append((cells[0], cells[3], cells[4]))
    return found


def rows_of_refunds() -> list[tuple[int, int, str, str]]:
    return list(Refund.objects.order_by("pk").values_list("payment_id", "amount", "status", "source"))


# Many at once


def test_page_lists_what_each_payment_has_left(buy: Any, stripe_sandbox: Stripe) -> None:
    first, second = buy(3), buy(1, "pm_card_createDispute")
    yen = buy(2, variant=make_variant("TEA", price=500, currency="JPY"), currency="JPY")
    client = owner()
    stripe_sandbox.sandbox.control("refund", payment_intent=first.stripe_payment_intent_id, amount=450)
    stripe_sandbox.digest()

    page = select(client, first, second, yen)
    assert page.status_code == 200
    text = text_of(page)
    assert f"{first.order.number} {first.pk} partially refunded 30.00 4.50 25.50" in text
    assert f"{second.order.number} {second.pk} succeeded 10.00 – 10.00 A dispute stands against this payment." in text
    assert f"{yen.order.number} {yen.pk} succeeded 1000 – 1000" in text
    assert "Total in JPY 1000 JPY" in text
    assert "Total in USD 25.50 USD" in text
    body = page.content.decode()
    assert f'name="amount-{first.pk}" value="25.50"' in body
    assert f'name="amount-{second.pk}"' not in body
    assert Refund.objects.count() == 1, "nothing is done before it is confirmed"


def test_each_row_has_its_result_and_the_history_says_who(buy: Any, stripe_sandbox: Stripe) -> None:
    whole, part, slow = buy(3), buy(2), buy(1, "pm_card_pendingRefund")
    gone, out = buy(), buy()
    client = staff("issue_refund")
    page = hidden(select(client, whole, part, slow, gone, out), "page")
    stripe_sandbox.sandbox.control("refund", payment_intent=gone.stripe_payment_intent_id)

    answer = confirm(
        client, page, {whole: "30.00", part: "20.01", slow: "10.00", gone: "10.00", out: ""}, reason="duplicate"
    )
    assert results(answer) == [
        (whole.order.number, "succeeded", "The money is on its way to the buyer."),
        (part.order.number, "refused", "This is more than is left of the payment. Left: 20.00 USD."),
        (slow.order.number, "pending", "Stripe has it and tells the shop when it is done."),
        (gone.order.number, "refused", "This is more than is left of the payment."),
    ]
    text = text_of(answer)
    assert "1 succeeded, 1 pending, 2 refused." in text
    assert "Total pending 10.00 USD Total succeeded 30.00 USD" in text
    assert rows_of_refunds() == [
        (whole.pk, 3000, "succeeded", "staff"),
        (slow.pk, 1000, "pending", "staff"),
        (gone.pk, 1000, "failed", "staff"),
        (gone.pk, 1000, "succeeded", "stripe"),
    ]
    made = Refund.objects.get(payment=whole)
    assert (made.requested_by.email, made.reason) == ("staff@example.com", "duplicate")  # type: ignore[union-attr]
    assert history() == [
        ("staff@example.com", "payment", f"Refund {made.pk} of 30.00 USD: succeeded."),
        ("staff@example.com", "payment", f"Refund {made.pk + 1} of 10.00 USD: pending."),
        ("staff@example.com", "payment", f"Refund {made.pk + 2} of 10.00 USD: refused."),
    ]
    kinds = PaymentLog.objects.filter(payment=whole, kind__startswith="refund").values_list("kind", flat=True)
    assert list(kinds) == ["refund_pending", "refund_succeeded"]
    stripe_sandbox.digest()


def test_the_same_page_sent_again_refunds_once(buy: Any, stripe_sandbox: Stripe) -> None:
    first, second = buy(3), buy(2)
    client = owner()
    page = hidden(select(client, first, second), "page")
    amounts = {first: "5.00", second: "20.00"}
    confirm(client, page, amounts)
    again = confirm(client, page, amounts)
    sentence = "The money is on its way to the buyer. This page had asked for it before; nothing more went back."
    assert [row[1:] for row in results(again)] == [("succeeded", sentence)] * 2
    changed = confirm(client, page, {first: "6.00"})
    assert "5.00 USD" in text_of(changed)
    assert [row["amount"] for row in stripe_sandbox.sandbox.objects("refund")] == [2000, 500]
    assert len(history()) == 2

    other = hidden(select(client, first), "page")
    assert other != page
    assert results(confirm(client, other, {first: "5.00"}))[0][1] == "succeeded", "another page is another refund"
    assert sum(row["amount"] for row in stripe_sandbox.sandbox.objects("refund")) == 3000


@pytest.mark.race
def test_the_same_page_sent_by_many_threads_refunds_once(buy: Any, stripe_sandbox: Stripe) -> None:
    payments = [buy(3), buy(2)]
    client = owner()
    page = hidden(select(client, *payments), "page")
    cookies = client.cookies.output(header="", sep=";")

    def press() -> list[str]:
        one = Client(headers={"Cookie": cookies})
        return [row[1] for row in results(confirm(one, page, {payments[0]: "5.00", payments[1]: "20.00"}))]

    answers = in_parallel([press] * 6, threads=6)
    assert all(set(answer) <= {"succeeded", "pending"} and len(answer) == 2 for answer in answers), answers
    work()
    assert [(row[1], row[2]) for row in rows_of_refunds()] == [(500, "succeeded"), (2000, "succeeded")]
    assert len(stripe_sandbox.sandbox.objects("refund")) == 2
    assert len(history()) == 2


@pytest.mark.race
def test_control_pages_of_their_own_sent_by_many_threads_refund_as_often(buy: Any, stripe_sandbox: Stripe) -> None:
    """What the page's mark prevents: the same presses with marks of their own each give money back."""
    payment = buy(3)
    client = owner()
    cookies = client.cookies.output(header="", sep=";")

    def press(number: int) -> Any:
        return confirm(Client(headers={"Cookie": cookies}), f"{number:032x}", {payment: "5.00"}).status_code

    assert in_parallel([lambda n=n: press(n) for n in range(3)], threads=3) == [200] * 3
    work()
    assert [row[1] for row in rows_of_refunds()] == [500, 500, 500]


def test_one_that_breaks_does_not_stop_the_rest(
    buy: Any, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that the shop cannot read: a fault that nobody thought of."""
    payments = [buy(), buy(), buy()]
    client = owner()
    page = hidden(select(client, *payments), "page")
    ask = gateway.create_refund

    def fails_once(params: Any, **key: str) -> Any:
        if params["payment_intent"] == payments[0].stripe_payment_intent_id:
            raise KeyError("status")
        return ask(params, **key)

    monkeypatch.setattr(gateway, "create_refund", fails_once)
    found = [row[1:] for row in results(confirm(client, page, dict.fromkeys(payments, "10.00")))]
    assert found == [
        ("pending", "Stripe has not answered yet. The shop goes on by itself."),
        ("succeeded", "The money is on its way to the buyer."),
        ("succeeded", "The money is on its way to the buyer."),
    ]
    monkeypatch.undo()
    Refund.objects.update(next_try_at=None)
    work()
    assert [row[2] for row in rows_of_refunds()] == ["succeeded"] * 3


def test_stripe_away_leaves_all_pending_and_work_goes_on(
    buy: Any, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.payment.gateway.calls.time.sleep", lambda seconds: None)
    payments = [buy(), buy(), buy()]
    client = owner()
    page = hidden(select(client, *payments), "page")
    stripe_sandbox.sandbox.faults("reset", path="/v1/refunds", times=3)
    answer = confirm(client, page, dict.fromkeys(payments, "10.00"))
    sentence = "Stripe has not answered yet. The shop goes on by itself."
    assert [row[1:] for row in results(answer)] == [("pending", sentence)] * 3
    assert list(Refund.objects.order_by("pk").values_list("tries", flat=True)) == [1, 0, 0], "it was asked no further"
    Refund.objects.update(next_try_at=None)
    work()
    assert [row[2] for row in rows_of_refunds()] == ["succeeded"] * 3


def test_time_that_is_over_leaves_the_rest_to_work(
    buy: Any, stripe_sandbox: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.payment.services.giving_back.SECONDS_FOR_STRIPE", 0.0)
    payments = [buy(), buy()]
    client = owner()
    page = hidden(select(client, *payments), "page")
    assert [row[1] for row in results(confirm(client, page, dict.fromkeys(payments, "10.00")))] == ["pending"] * 2
    assert stripe_sandbox.sandbox.objects("refund") == []
    with time_machine.travel(timezone.now() + HEAD_START):
        work()
    assert [row[2] for row in rows_of_refunds()] == ["succeeded"] * 2


@pytest.mark.parametrize("amount", ["x", "-1", "1e2", "1.001", "10,00", "99999999999"])
def test_what_is_no_amount_stops_the_page(buy: Any, amount: str) -> None:
    first, second = buy(), buy()
    client = owner()
    page = hidden(select(client, first, second), "page")
    answer = confirm(client, page, {first: amount, second: "10.00"})
    assert answer.status_code == 200
    assert hidden(answer, "page") == page
    assert 'role="alert"' in answer.content.decode()
    assert Refund.objects.count() == 0


def test_page_without_amounts_or_mark_does_nothing(buy: Any) -> None:
    payment = buy()
    client = owner()
    page = hidden(select(client, payment), "page")
    assert "nothing would go back" in text_of(confirm(client, page, {payment: ""}))
    assert "nothing would go back" in text_of(confirm(client, page, {payment: "0.00"}))
    for mark in ("", "x", "A" * 32, "0" * 33):
        assert "This page is out of date." in text_of(confirm(client, mark, {payment: "10.00"}))
    assert "reason" in text_of(confirm(client, page, {payment: "10.00"}, reason="because")).lower()
    assert Refund.objects.count() == 0


def test_bounds_of_a_page(buy: Any) -> None:
    client = owner()
    assert client.get(PROCESS).status_code == 302
    for ids in ([], ["x"], ["9" * 30], ["²"], ["0"]):
        answer = client.post(PROCESS, {"payment": ids, "page": "0" * 32, "reason": "other"})
        assert (answer.status_code, answer["Location"]) == (302, PAYMENTS)
        assert told(answer)[-1] == "Select between 1 and 200 payments."


def test_more_than_a_page_takes_are_refused_at_once(buy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    payments = [buy(), buy(), buy()]
    for place in ("admin.refunding", "admin.payments"):
        monkeypatch.setattr(f"apps.payment.{place}.MOST", 2)
    answer = select(owner(), *payments)
    assert (answer.status_code, told(answer)) == (302, ["These are more than 2 payments. Select fewer."])
    answer = confirm(staff("issue_refund"), "0" * 32, dict.fromkeys(payments, "1.00"))
    assert (answer.status_code, told(answer)) == (302, ["Select between 1 and 2 payments."])
    assert Refund.objects.count() == 0


def test_what_can_go_back_takes_two_statements_whatever_the_number(buy: Any, django_assert_num_queries: Any) -> None:
    payments = [buy() for _ in range(4)]
    for some in (payments[:1], payments):
        with django_assert_num_queries(2):
            assert [offer.left for offer in offers_of(some)] == [1000] * len(some)


def test_staff_without_the_permission_neither_sees_nor_forges(buy: Any, stripe_sandbox: Stripe) -> None:
    payment = buy()
    client = staff("decide_refund", "answer_dispute")
    assert "Process Stripe refunds" not in text_of(client.get(PAYMENTS))
    assert "Process Stripe refunds" in text_of(owner().get(PAYMENTS))
    assert select(client, payment).status_code == 403
    assert confirm(client, "0" * 32, {payment: "10.00"}).status_code == 403
    assert client.get(PROCESS).status_code == 403
    page = f"{PAYMENTS}{payment.pk}/refund/"
    assert f"{page}" not in client.get(f"{PAYMENTS}{payment.pk}/change/").content.decode()
    assert client.get(page).status_code == 403
    assert client.post(page, {"how": "all", "confirm": "1"}).status_code == 403
    assert Client().get(page).status_code == 302, "to the sign-in"
    assert Refund.objects.count() == 0
    assert stripe_sandbox.sandbox.objects("refund") == []


def test_the_permission_alone_opens_nothing_that_one_may_not_see(buy: Any) -> None:
    payment = buy()
    client = staff("issue_refund")
    User.objects.get(email="staff@example.com").user_permissions.remove(Permission.objects.get(codename="view_payment"))
    assert confirm(client, "0" * 32, {payment: "10.00"}).status_code == 403
    assert client.get(f"{PAYMENTS}{payment.pk}/refund/").status_code == 403
    assert Refund.objects.count() == 0


# One in detail


@pytest.fixture
def basket(mug: ProductVariant, stripe_sandbox: Stripe) -> Payment:
    """Three mugs at 10.00 and one e-book at 2.50 whose stock is not counted: 32.50."""
    buyer = Shop()
    buyer.add(mug, 3)
    buyer.add(make_variant("BOOK", price=250, stock=None, kind="digital"))
    buyer.buy(stripe_sandbox)
    return Payment.objects.get()


def refund_page(payment: Payment) -> str:
    return f"{PAYMENTS}{payment.pk}/refund/"


def preview(client: Client, payment: Payment, **fields: Any) -> Any:
    page = hidden(client.get(refund_page(payment)), "page")
    return client.post(refund_page(payment), {"page": page, "reason": "requested_by_customer", **fields})


def test_all_that_is_left_is_seen_before_it_is_done(basket: Payment, stripe_sandbox: Stripe) -> None:
    client = owner()
    seen = preview(client, basket, how="all", description="sorry")
    text = text_of(seen)
    assert "Goes back 32.50 USD Left afterwards 0.00 USD Reason requested by customer" in text
    assert f"The payment is refunded. Order {basket.order.number} is refunded." in text
    assert "Every line counts as refunded. Nothing returns to stock." in text
    assert "The buyer reads: sorry" in text
    assert Refund.objects.count() == 0

    done = client.post(refund_page(basket), {**hidden_fields(seen), "confirm": "1"})
    refund = Refund.objects.get()
    assert (done.status_code, done["Location"]) == (302, f"{REFUNDS}{refund.pk}/change/")
    assert told(done) == ["32.50 USD: The money is on its way to the buyer."]
    assert (refund.status, refund.amount, refund.source, refund.description) == ("succeeded", 3250, "staff", "sorry")
    again = client.post(refund_page(basket), {**hidden_fields(seen), "confirm": "1"})
    assert again["Location"] == done["Location"]
    assert len(stripe_sandbox.sandbox.objects("refund")) == 1
    assert history() == [("owner@example.com", "payment", f"Refund {refund.pk} of 32.50 USD: succeeded.")]


def test_lines_go_back_as_previewed(basket: Payment, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    client = staff("issue_refund")
    mugs, book = basket.order.items.all()
    fields = {f"quantity-{mugs.pk}": "2", f"restock-{mugs.pk}": "on", f"quantity-{book.pk}": "1"}
    seen = preview(client, basket, how="lines", **fields)
    text = text_of(seen)
    assert "Goes back 22.50 USD Left afterwards 10.00 USD" in text
    assert "2 × Product MUG counts as refunded and returns to stock." in text
    assert "1 × Product BOOK counts as refunded." in text
    client.post(refund_page(basket), {**hidden_fields(seen), "confirm": "1"})
    stripe_sandbox.digest()
    mug.refresh_from_db()
    assert mug.stock == 19
    assert [item.refunded_quantity for item in basket.order.items.all()] == [2, 1]
    assert Order.objects.get().payment_status == "partially_refunded"


def test_an_amount_can_be_changed_after_the_preview(basket: Payment) -> None:
    client = owner()
    seen = preview(client, basket, how="amount", amount="12.30", reason="other")
    assert "No line counts as refunded until lines are assigned to it." in text_of(seen)
    back = client.post(refund_page(basket), {**hidden_fields(seen), "change": "1"})
    assert 'value="12.30"' in back.content.decode()
    assert hidden(back, "page") == hidden(seen, "page")
    assert Refund.objects.count() == 0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"how": "amount", "amount": "32.51"}, "This is more than is left of the payment. Left: 32.50 USD."),
        ({"how": "amount", "amount": ""}, "More than nothing."),
        ({"how": "amount", "amount": "1.005"}, "1.005 has more decimals than USD allows."),
        ({"how": "lines"}, "No line has a quantity: nothing would go back."),
        ({"how": "lines", "mugs": "4"}, "Ensure this value is less than or equal to 3."),
        ({"how": "lines", "mugs": "-1"}, "Ensure this value is greater than or equal to 0."),
        ({"how": "none"}, "Select a valid choice. none is not one of the available choices."),
    ],
)
def test_what_cannot_go_back_is_said_before(basket: Payment, fields: dict[str, str], sentence: str) -> None:
    mugs = basket.order.items.first()
    assert mugs is not None
    if "mugs" in fields:
        fields = {"how": "lines", f"quantity-{mugs.pk}": fields["mugs"]}
    client = owner()
    assert sentence in text_of(preview(client, basket, **fields))
    confirmed = preview(client, basket, **fields, confirm="1")
    assert sentence in (told(confirmed) or text_of(confirmed))
    assert Refund.objects.count() == 0


def test_what_was_seen_is_done_or_refused(basket: Payment, stripe_sandbox: Stripe) -> None:
    """Somebody else gave a part back between the preview and the press."""
    client = owner()
    seen = preview(client, basket, how="all")
    stripe_sandbox.sandbox.control("refund", payment_intent=basket.stripe_payment_intent_id, amount=100)
    stripe_sandbox.digest()
    done = client.post(refund_page(basket), {**hidden_fields(seen), "confirm": "1"})
    assert told(done) == ["This is more than is left of the payment. Left: 31.50 USD."]
    assert [row[1:] for row in rows_of_refunds()] == [(100, "succeeded", "stripe")]


def test_unpaid_payment_has_no_refund_page_to_offer(shop: Shop, mug: ProductVariant, stripe_sandbox: Stripe) -> None:
    shop.add(mug)
    shop.checkout()
    payment = Payment.objects.get()
    client = owner()
    assert refund_page(payment) not in client.get(f"{PAYMENTS}{payment.pk}/change/").content.decode()
    assert "This payment was not paid, so there is nothing to give back." in text_of(client.get(refund_page(payment)))
    for missing in ("999999", "x", "9" * 30):
        assert client.get(f"{PAYMENTS}{missing}/refund/").status_code == 404


# What buyers asked for


@pytest.fixture
def request_of_buyer(basket: Payment) -> Refund:
    buyer, mugs = Shop(), basket.order.items.first()
    assert mugs is not None
    asked = buyer.post(
        "/api/payment/refunds/",
        {
            "payment_id": basket.pk,
            "items": [{"order_item_id": mugs.pk, "quantity": 2, "restock": True}],
            "description": "chipped",
        },
        **{"X-Order-Token": basket.order.token},
    )
    assert asked.status_code == 202, asked.content
    return Refund.objects.get()


def decide(refund: Refund, how: str) -> str:
    return f"{REFUNDS}{refund.pk}/{how}/"


@pytest.mark.parametrize(("fields", "stock"), [({}, 17), ({"restock": "on"}, 19)])
def test_request_is_approved_with_or_without_its_goods(
    request_of_buyer: Refund, mug: ProductVariant, fields: dict[str, str], stock: int
) -> None:
    client = staff("decide_refund")
    refund = request_of_buyer
    shown = client.get(f"{REFUNDS}{refund.pk}/change/").content.decode()
    assert decide(refund, "approve") in shown
    assert decide(refund, "reject") in shown
    text = text_of(client.get(decide(refund, "approve")))
    assert "20.00 USD" in text
    assert "The buyer writes: chipped 2 × Product MUG" in text
    answer = client.post(decide(refund, "approve"), fields)
    assert told(answer) == ["20.00 USD, approved. The refund's status is now: succeeded."]
    refund.refresh_from_db()
    assert (refund.status, refund.decided_by.email) == ("succeeded", "staff@example.com")  # type: ignore[union-attr]
    mug.refresh_from_db()
    assert mug.stock == stock
    assert history() == [("staff@example.com", "refund", "Approved: 20.00 USD.")]

    again = client.post(decide(refund, "approve"), fields)
    assert told(again)[-1] == "This refund is not waiting for a decision: it is succeeded."
    assert told(client.get(decide(refund, "reject")))[-1].endswith("it is succeeded.")
    assert decide(refund, "approve") not in client.get(f"{REFUNDS}{refund.pk}/change/").content.decode()
    assert len(history()) == 1


def test_request_is_rejected_with_a_note(request_of_buyer: Refund, stripe_sandbox: Stripe) -> None:
    client, refund = staff("decide_refund"), request_of_buyer
    without = client.post(decide(refund, "reject"), {"note": " "})
    assert "This field is required." in text_of(without)
    assert Refund.objects.get().status == "requested"
    answer = client.post(decide(refund, "reject"), {"note": "worn"})
    assert told(answer) == ["The request for 20.00 USD is rejected."]
    refund.refresh_from_db()
    assert (refund.status, refund.decision_note) == ("rejected", "worn")
    assert stripe_sandbox.sandbox.objects("refund") == []
    assert history() == [("staff@example.com", "refund", "Rejected: worn")]


def test_request_that_cannot_be_carried_out_any_more_says_why(
    request_of_buyer: Refund, basket: Payment, stripe_sandbox: Stripe
) -> None:
    stripe_sandbox.sandbox.control("refund", payment_intent=basket.stripe_payment_intent_id, amount=2000)
    stripe_sandbox.digest()
    answer = owner().post(decide(request_of_buyer, "approve"))
    assert told(answer) == ["This is more than is left of the payment. Left: 12.50 USD."]
    request_of_buyer.refresh_from_db()
    assert request_of_buyer.status == "requested"
    assert history() == []


def test_deciding_needs_its_own_permission(request_of_buyer: Refund) -> None:
    client = staff("issue_refund", "change_refund")
    shown = client.get(f"{REFUNDS}{request_of_buyer.pk}/change/").content.decode()
    for how in ("approve", "reject"):
        assert decide(request_of_buyer, how) not in shown
        assert client.get(decide(request_of_buyer, how)).status_code == 403
        assert client.post(decide(request_of_buyer, how), {"note": "x"}).status_code == 403
    assert Refund.objects.get().status == "requested"


# Lines of a refund by amount


def test_lines_are_assigned_to_a_refund_of_the_dashboard(
    basket: Payment, mug: ProductVariant, stripe_sandbox: Stripe
) -> None:
    stripe_sandbox.sandbox.control("refund", payment_intent=basket.stripe_payment_intent_id, amount=2000)
    stripe_sandbox.digest()
    refund, client = Refund.objects.get(), staff("issue_refund")
    page = decide(refund, "assign")
    assert page in client.get(f"{REFUNDS}{refund.pk}/change/").content.decode()
    assert "Product MUG MUG 10.00 3 3" in text_of(client.get(page))
    mugs = basket.order.items.first()
    assert mugs is not None

    over = client.post(page, {f"quantity-{mugs.pk}": "3"})
    assert "These lines are worth more than the refund." in text_of(over)
    assert "Name at least one line." in text_of(client.post(page, {}))
    done = client.post(page, {f"quantity-{mugs.pk}": "2", f"restock-{mugs.pk}": "on"})
    assert told(done) == ["The lines are assigned."]
    mug.refresh_from_db()
    assert mug.stock == 19
    mugs.refresh_from_db()
    assert mugs.refunded_quantity == 2
    assert history() == [("staff@example.com", "refund", "Assigned to lines, 2 units in all.")]

    again = client.post(page, {f"quantity-{mugs.pk}": "1"})
    assert told(again)[-1] == "Lines can be assigned to a refund by amount that is done or on its way, once."
    assert page not in client.get(f"{REFUNDS}{refund.pk}/change/").content.decode()


def test_assigning_needs_the_permission(basket: Payment, stripe_sandbox: Stripe) -> None:
    stripe_sandbox.sandbox.control("refund", payment_intent=basket.stripe_payment_intent_id, amount=2000)
    stripe_sandbox.digest()
    page, client = decide(Refund.objects.get(), "assign"), staff("decide_refund")
    assert page not in client.get(f"{REFUNDS}{Refund.objects.get().pk}/change/").content.decode()
    assert client.post(page, {}).status_code == 403
