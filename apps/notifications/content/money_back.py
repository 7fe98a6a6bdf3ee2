"""E-mails to the buyer about money that goes back."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from apps.invoices.models import Document
from apps.invoices.selectors import document_for
from apps.notifications.content.subjects import About, Ids, attached, item_row, money, see_order
from apps.notifications.letter import Letter, Quote, Row
from apps.orders.models import Order
from apps.payment.models import Payment, Refund


def find(ids: Ids) -> About:
    refund = (
        Refund.objects.select_related("payment__order").prefetch_related("items__order_item").get(pk=ids["refund_id"])
    )
    return About(refund, refund.payment.order.language)


def requested(refund: Refund, ids: Ids) -> Letter:
    words = {"amount": money(refund.money), "number": _order(refund).number}
    return Letter(
        subject=_("Your refund request for order %(number)s") % words,
        title=_("We have your refund request"),
        paragraphs=[
            _("You asked for %(amount)s of order %(number)s back.") % words,
            _("We look at it and write to you when it is decided. There is nothing more for you to do."),
        ],
        rows=_lines(refund),
        quote=Quote(pgettext("mail", "What you wrote:"), refund.description) if refund.description else None,
        button=see_order(_order(refund)),
    )


def rejected(refund: Refund, ids: Ids) -> Letter:
    words = {"amount": money(refund.money), "number": _order(refund).number}
    return Letter(
        subject=_("Your refund request for order %(number)s was declined") % words,
        title=_("We declined your refund request"),
        paragraphs=[
            _("You asked for %(amount)s of order %(number)s back. We looked at it and decided against it.") % words
        ],
        rows=_lines(refund),
        quote=Quote(pgettext("mail", "Why:"), refund.decision_note) if refund.decision_note else None,
        button=see_order(_order(refund)),
    )


def succeeded(refund: Refund, ids: Ids) -> Letter:
    payment = refund.payment
    documents = _documents(refund, Document.Kind.CREDIT_NOTE)
    words = {"amount": money(refund.money), "number": _order(refund).number}
    return Letter(
        subject=_("Your refund for order %(number)s") % words,
        title=_("Your money is on its way back"),
        paragraphs=[_why(payment) % words, _where_to(payment), *_attached(documents)],
        rows=_lines(refund),
        total=Row(pgettext("mail", "Refunded"), words["amount"]),
        button=see_order(_order(refund)),
        documents=documents,
    )


def failed(refund: Refund, ids: Ids) -> Letter:
    words = {"amount": money(refund.money), "number": _order(refund).number}
    documents: list[Document | None] = []
    if ids.get("had_succeeded"):
        documents = _documents(refund, Document.Kind.CANCELLATION)
        what = _("The refund of %(amount)s for order %(number)s came back to us: your bank could not pay it out.")
    else:
        what = _("The refund of %(amount)s for order %(number)s could not be paid out.")
    return Letter(
        subject=_("Your refund for order %(number)s did not go through") % words,
        title=_("Your refund did not go through"),
        paragraphs=[
            what % words,
            _("The money is not lost. We look for another way to get it to you and will be in touch."),
            *_attached(documents),
        ],
        button=see_order(_order(refund)),
        documents=documents,
    )


def _order(refund: Refund) -> Order:
    return refund.payment.order


def _lines(refund: Refund) -> list[Row]:
    return [item_row(item.order_item, item.quantity, refund.currency) for item in refund.items.all()]


def _documents(refund: Refund, kind: Document.Kind) -> list[Document | None]:
    """Money that was never applied to the order was never on an invoice."""
    return [document_for(refund, kind)] if refund.payment.applied else []


def _attached(documents: list[Document | None]) -> list[str]:
    return [sentence for document in documents for sentence in attached(document)]


def _why(payment: Payment) -> str:
    """Money that was never applied to the order went back for a reason of its own."""
    if payment.problem == Payment.Problem.LATE:
        return _(
            "Your payment for order %(number)s came after the order had ended, so we could not take it. "
            "We sent the %(amount)s back to you. There is nothing for you to do."
        )
    if payment.problem == Payment.Problem.SURPLUS:
        return _(
            "Order %(number)s was paid already when another payment of yours arrived. "
            "We sent the second payment of %(amount)s back to you. There is nothing for you to do."
        )
    if payment.problem:
        return _(
            "Your payment for order %(number)s did not match the order, so we could not take it. "
            "We sent %(amount)s back to you."
        )
    return _("We sent %(amount)s of order %(number)s back to you.")


def _where_to(payment: Payment) -> str:
    time = _("It can take 5 to 10 days until you see it.")
    if payment.last4:
        way = _("It goes to the card or account ending in %(last4)s that you paid with.") % {"last4": payment.last4}
    else:
        way = _("It goes to where you paid from.")
    return f"{way} {time}"
