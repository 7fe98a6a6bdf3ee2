"""An order's pages: its story, its e-mails and documents, a new link to pay it, and its end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from apps.backoffice.selectors.search import orders_called
from apps.backoffice.selectors.timeline import mails_of, timeline, totals_of
from apps.common.errors import DomainError
from apps.invoices.models import Document
from apps.notifications.models import Mail
from apps.notifications.services import send_again
from apps.orders.admin import OrderAdmin
from apps.orders.models import Order
from apps.payment.admin.forms import NoteForm
from apps.payment.admin.pages import address_of, opens_page, posted, staff_of
from apps.payment.models import Payment
from apps.payment.services.checkout import retry_checkout
from apps.payment.services.giving_back import sentence_of
from apps.payment.services.ordering import Buyer, cancel_order

MAILS, DOCUMENTS = "notifications.view_mail", "invoices.view_document"

admin.site.unregister(Order)


@admin.register(Order)
class OrderPages(OrderAdmin):
    """An order with its story, found by whatever a buyer or a bank calls it by."""

    actions_detail = ("timeline", "papers", "refund", *OrderAdmin.actions_detail, "pay_link", "cancel")  # type: ignore[assignment]
    search_help_text = (
        "Number, e-mail address, card's last four digits, or Stripe's id of session, intent, charge or refund"
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """By the one thing that the text can be, so that an index answers."""
        return orders_called(queryset, search_term), False

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The pages that the order's state gives a use to."""
        found = super().get_actions_detail(request, object_id)
        order = self.get_object(request, object_id) if found else None
        useless = {f"orders_order_{name}" for name in _useless(order)}
        return [step for step in found if step.action_name not in useless]

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponseBase:
        """What happened to an order stands in its timeline."""
        return redirect("admin:orders_order_timeline", object_id)

    def has_cancel_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("orders.change_order"))

    def has_refund_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perms(("payment.issue_refund", "payment.view_payment")))

    def has_papers_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(MAILS) or request.user.has_perm(DOCUMENTS))

    @opens_page(title="Timeline", path="timeline", permission="view")
    def timeline(self, request: HttpRequest, object_id: str) -> TemplateResponse:
        order = self._order(request, object_id)
        shown = {"totals": totals_of(order), "moments": timeline(order, staff_of(request))}
        return self._draw(request, order, "timeline.html", title="Timeline", **shown)

    @opens_page(title="E-mails and invoices", path="papers", permission="papers")
    def papers(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """What the buyer was sent, to be sent once more, and the documents."""
        order = self._order(request, object_id)
        may_send = request.user.has_perm("notifications.change_mail")
        mails = mails_of(order) if request.user.has_perm(MAILS) else Mail.objects.none()
        if request.method == "POST":
            if not may_send:
                raise PermissionDenied
            self._send_again(request, order, mails)
            return redirect(request.path)
        documents = Document.objects.filter(order=order) if request.user.has_perm(DOCUMENTS) else ()
        shown = {"mails": mails.order_by("pk"), "documents": documents, "may_send": may_send}
        return self._draw(request, order, "papers.html", title=f"E-mails and invoices of {order.number}", **shown)

    def _send_again(self, request: HttpRequest, order: Order, mails: QuerySet[Mail]) -> None:
        chosen = request.POST.get("mail", "")
        mail = mails.filter(pk=int(chosen)).first() if re.fullmatch(r"\d{1,18}", chosen, re.ASCII) else None
        if mail is None:
            messages.error(request, "This e-mail is not one of this order's. Nothing was sent.")
        elif send_again(Mail.objects.filter(pk=mail.pk)):
            self.log_change(request, order, f"Sent again: {mail.get_kind_display()} to {mail.recipient}.")
            messages.success(request, f"{mail.get_kind_display()} is on its way to {mail.recipient} again.")
        else:
            messages.warning(request, "It waits to be sent already, or its reader is forgotten. Nothing was sent anew.")

    @opens_page(title="Refund", path="refund", permission="refund")
    def refund(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Money goes back on the page of the payment that paid for the order."""
        order = self._order(request, object_id)
        paid = Payment.objects.filter(order=order, applied=True).first()
        if paid is None:
            messages.warning(request, "Nothing was paid for this order, so nothing can go back.")
            return redirect(address_of(order))
        return redirect("admin:payment_payment_refund", paid.pk)

    @opens_page(title="New payment link", path="pay-link", permission="cancel")
    def pay_link(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """A page at Stripe for an order that is not paid, to be handed to its buyer."""
        order = self._order(request, object_id)
        link, refused = "", ""
        if request.method == "POST":
            try:
                link = retry_checkout(order=order, buyer=Buyer()).checkout_url
            except DomainError as refusal:
                refused = f"{sentence_of(refusal)} No link was made."
            else:
                self.log_change(request, order, "Made a new payment link.")
        shown = {"link": link, "refused": refused, "total": totals_of(order)["total"]}
        return self._draw(request, order, "pay_link.html", title=f"New payment link for {order.number}", **shown)

    @opens_page(title="Cancel", path="cancel", permission="cancel", danger=True)
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        order = self._order(request, object_id)
        form = NoteForm(posted(request))
        if request.method == "POST" and form.is_valid():
            try:
                cancel_order(order=order)
            except DomainError as refusal:
                form.add_error(None, sentence_of(refusal))
            else:
                self.log_change(request, order, f"Cancelled: {form.cleaned_data['note']}")
                messages.success(request, f"{order.number} is cancelled.")
                return redirect(address_of(order))
        return self._draw(request, order, "cancel.html", title=f"Cancel order {order.number}", form=form)

    def _draw(self, request: HttpRequest, order: Order, template: str, *, title: str, **shown: Any) -> TemplateResponse:
        context = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "original": order}
        return TemplateResponse(request, f"backoffice/{template}", {**context, **shown})

    def _order(self, request: HttpRequest, object_id: str) -> Order:
        order = self.get_object(request, object_id)
        if not isinstance(order, Order):
            raise Http404
        return order


def _useless(order: Order | None) -> Iterable[str]:
    """Pages that this order has no use for."""
    if order is None or order.status != Order.Status.PENDING:
        yield "cancel"
    if order is None or order.is_paid or order.payment_status == Order.PaymentStatus.PROCESSING:
        yield "pay_link"
    if order is None or not order.is_paid:
        yield "refund"
