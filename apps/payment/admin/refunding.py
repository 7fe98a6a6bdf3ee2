"""The pages on which staff gives money back: of many payments at once, and of one in detail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.http.request import QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from apps.common.errors import DomainError
from apps.common.money import Money, decimals, to_major
from apps.orders.models import OrderItem
from apps.payment.admin.forms import RefundForm, RefundManyForm
from apps.payment.admin.pages import PagesAdmin, address_of, draw, staff_of
from apps.payment.models import Payment, Refund
from apps.payment.services.applying import WITHDRAWN
from apps.payment.services.assigning import lines_left
from apps.payment.services.giving_back import (
    MOST,
    Foresight,
    Offer,
    Outcome,
    foresee,
    give_back,
    new_page,
    offers_of,
    sentence_of,
)
from apps.payment.services.refunds import RefundWish

LIST = "admin:payment_payment_changelist"


def choose_amounts(
    model_admin: PagesAdmin, request: HttpRequest, payments: Sequence[Payment], form: RefundManyForm | None = None
) -> HttpResponseBase:
    """Show what can go back of each selected payment, all of it by default."""
    if len(payments) > MOST:
        messages.error(request, f"These are more than {MOST} payments. Select fewer.")
        return redirect(LIST)
    offers = offers_of(payments)
    if form is None:
        amounts = {
            RefundManyForm.name_of(offer.payment): to_major(offer.left, offer.payment.currency)
            for offer in offers
            if not offer.refusal
        }
        form = RefundManyForm(payments, initial={"page": new_page(), **amounts})
    totals: Counter[str] = Counter()
    for offer in offers:
        totals[offer.payment.currency] += 0 if offer.refusal else offer.left
    return draw(
        model_admin,
        request,
        "refund_many.html",
        title="Process Stripe refunds",
        form=form,
        rows=[_offer_row(offer, form) for offer in offers],
        totals=[
            {"currency": currency, "amount": to_major(amount, currency), "decimals": decimals(currency)}
            for currency, amount in sorted(totals.items())
        ],
        possible=any(not offer.refusal for offer in offers),
    )


def process_many(model_admin: PagesAdmin, request: HttpRequest) -> HttpResponseBase:
    """Give back what the page asks for, and tell what became of each payment."""
    payments = _named(request.POST)
    if not payments or len(payments) > MOST:
        messages.error(request, f"Select between 1 and {MOST} payments.")
        return redirect(LIST)
    form = RefundManyForm(payments, request.POST)
    if not form.is_valid():
        return choose_amounts(model_admin, request, payments, form)
    outcomes = give_back(form.wishes(), page=form.cleaned_data["page"], by=staff_of(request))
    _note(model_admin, request, outcomes)
    return draw(
        model_admin,
        request,
        "refund_results.html",
        title="Refunds",
        rows=[{"outcome": outcome, "sentence": _sentence(outcome)} for outcome in outcomes],
        counts=Counter(outcome.state for outcome in outcomes),
        totals=_totals(outcomes),
        refunds=reverse("admin:payment_refund_changelist"),
    )


def refund_one(model_admin: PagesAdmin, request: HttpRequest, payment: Payment) -> HttpResponseBase:
    """Choose what goes back, see what it will do, and do it."""
    lines = lines_left(payment)
    if request.method != "POST":
        form = RefundForm(payment, lines, initial={"page": new_page()})
        return _draw_one(model_admin, request, payment, form)
    form = RefundForm(payment, lines, request.POST)
    if not form.is_valid() or "change" in request.POST:
        return _draw_one(model_admin, request, payment, form)
    wish = form.wish()
    if "confirm" in request.POST:
        [outcome] = give_back([(payment, wish)], page=form.cleaned_data["page"], by=staff_of(request))
        _note(model_admin, request, [outcome])
        return _after_one(request, payment, outcome)
    try:
        return _draw_preview(model_admin, request, payment, form, wish)
    except DomainError as refusal:
        form.add_error(None, sentence_of(refusal))
        return _draw_one(model_admin, request, payment, form)


def _draw_one(model_admin: PagesAdmin, request: HttpRequest, payment: Payment, form: RefundForm) -> TemplateResponse:
    [offer] = offers_of([payment])
    return draw(
        model_admin,
        request,
        "refund_one.html",
        title=f"Refund of order {payment.order.number}",
        row=payment,
        form=form,
        money=_columns(offer),
        offer=offer,
    )


def _draw_preview(
    model_admin: PagesAdmin, request: HttpRequest, payment: Payment, form: RefundForm, wish: RefundWish
) -> TemplateResponse:
    foresight = foresee(payment, wish)
    names = {item.pk: item for item, _ in form.lines}
    # What was seen is what will be done: all that is left is an amount from here on.
    hidden = {"page": form.cleaned_data["page"], "reason": wish.reason, "description": wish.description}
    hidden |= (
        {"how": "lines"} if wish.lines else {"how": "amount", "amount": to_major(foresight.amount, payment.currency)}
    )
    for line in wish.lines:
        hidden[f"quantity-{line.order_item_id}"] = str(line.quantity)
        if line.restock:
            hidden[f"restock-{line.order_item_id}"] = "on"
    return draw(
        model_admin,
        request,
        "refund_preview.html",
        title=f"Refund of order {payment.order.number}",
        row=payment,
        payment=payment,
        wish=wish,
        reason=Refund.Reason(wish.reason).label,
        amount=Money(foresight.amount, payment.currency),
        left_after=Money(foresight.left_after, payment.currency),
        payment_status=Payment.Status(foresight.payment_status).label,
        order_status=foresight.order_status.replace("_", " "),
        lines=[(names[line.order_item_id], line.quantity, line.restock) for line in wish.lines],
        ending=_wholly_refunded(payment, foresight, wish),
        hidden=hidden,
    )


def _wholly_refunded(payment: Payment, foresight: Foresight, wish: RefundWish) -> list[OrderItem]:
    """The lines of which nothing is left to the buyer afterwards. What hangs on them ends."""
    items = list(payment.order.items.select_related("variant"))
    if foresight.order_status == "refunded":
        return items
    back = {line.order_item_id: line.quantity for line in wish.lines}
    return [item for item in items if item.pk in back and item.refunded_quantity + back[item.pk] >= item.quantity]


def _after_one(request: HttpRequest, payment: Payment, outcome: Outcome) -> HttpResponseBase:
    tell = {"succeeded": messages.success, "pending": messages.warning, "refused": messages.error}[outcome.state]
    if outcome.refund is None:
        tell(request, outcome.refusal)
        return redirect(address_of(payment))
    tell(request, f"{outcome.refund.money}: {_sentence(outcome)}")
    return redirect(address_of(outcome.refund))


def _named(posted: QueryDict) -> list[Payment]:
    """The payments that a page names, in its order."""
    ids = [int(text) for text in posted.getlist("payment") if text.isascii() and text.isdigit() and len(text) < 18]
    found = Payment.objects.select_related("order").in_bulk(ids[: MOST + 1])
    return [found[pk] for pk in dict.fromkeys(ids) if pk in found]


def _offer_row(offer: Offer, form: RefundManyForm) -> dict[str, Any]:
    field = form[form.name_of(offer.payment)]
    return {"payment": offer.payment, "refusal": offer.refusal, "field": field, **_columns(offer)}


def _columns(offer: Offer) -> dict[str, str]:
    """What a payment brought and what of it went back, in major units."""
    payment = offer.payment
    amounts = {
        "captured": payment.amount_captured,
        "back": payment.amount_refunded,
        "on_its_way": offer.committed - payment.amount_refunded,
        "lost": payment.amount_lost,
        "left": offer.left,
    }
    return {name: to_major(amount, payment.currency) if amount else "" for name, amount in amounts.items()}


def _sentence(outcome: Outcome) -> str:
    if outcome.refund and outcome.refund.failure_code == WITHDRAWN:
        return "It was withdrawn before Stripe was asked: the money was applied to its order."
    if outcome.state == "refused":
        code = outcome.refund.failure_code.replace("_", " ") if outcome.refund else ""
        return outcome.refusal or f"Stripe refused it: {code or 'no reason was given'}."
    again = " This page had asked for it before; nothing more went back." if outcome.again else ""
    if outcome.state == "succeeded":
        return f"The money is on its way to the buyer.{again}"
    if outcome.refund and outcome.refund.stripe_refund_id:
        return f"Stripe has it and tells the shop when it is done.{again}"
    return f"Stripe has not answered yet. The shop goes on by itself.{again}"


def _totals(outcomes: Iterable[Outcome]) -> list[tuple[str, str]]:
    """For each state, what it comes to in every currency. What was refused went nowhere."""
    sums: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        if outcome.refund is not None and outcome.state != "refused":
            sums[outcome.state, outcome.refund.currency] += outcome.refund.amount
    return [(state, str(Money(amount, currency))) for (state, currency), amount in sorted(sums.items())]


def _note(model_admin: PagesAdmin, request: HttpRequest, outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.refund is not None and not outcome.again:
            model_admin.note(
                request, outcome.payment, f"Refund {outcome.refund.pk} of {outcome.refund.money}: {outcome.state}."
            )
