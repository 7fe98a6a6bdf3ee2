"""Orders for staff: found by number, e-mail or what Stripe calls them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from unfold.admin import TabularInline
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.catalog.filters import Currency
from apps.common.admin import MajorUnits, ReadOnlyAdmin, ReadOnlyInline
from apps.common.errors import Conflict
from apps.common.money import Money, to_major
from apps.orders.models import Order, OrderItem, OrderTransition
from apps.orders.services.fulfilment import can_deliver, can_ship, deliver_order, ship_order

TIMES = ("created_at", "paid_at", "expires_at")
ADDRESS_PARTS = ("name", "line1", "line2", "postal_code", "city", "state", "country")


class OrderItemInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    model = OrderItem
    fields = ("sku", "name", "quantity", "price", "line", "refunded_quantity")
    readonly_fields = fields

    @admin.display(description="unit price")
    def price(self, item: OrderItem) -> str:
        return to_major(item.unit_price, item.order.currency)

    @admin.display(description="line total")
    def line(self, item: OrderItem) -> str:
        return to_major(item.line_total, item.order.currency)


class OrderTransitionInline(ReadOnlyInline, TabularInline):  # type: ignore[misc]
    model = OrderTransition
    fields = ("seq", "at", "to_status", "to_payment_status", "reason")
    readonly_fields = fields


class ShipForm(BaseDialogForm):  # type: ignore[misc]
    tracking_number = forms.CharField(
        max_length=100,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="The buyer finds it in the e-mail. Leave it empty where there is none.",
    )


def in_its_dialog(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """What a dialog shows is no page by itself: whoever opens its address gets the order's page."""

    @wraps(page)
    def shown(order_admin: OrderAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
        asked_alone = request.method == "GET" and "HX-Request" not in request.headers
        if asked_alone and order_admin.has_fulfil_permission(request):
            return redirect("admin:orders_order_change", object_id)
        return page(order_admin, request, object_id=object_id)

    return shown


@admin.register(Order)
class OrderAdmin(MajorUnits, ReadOnlyAdmin):
    """States are moved by payments and by the shop's services, never typed in."""

    list_display = ("number", "status", "payment_status", "amount", "email", "created_at", "paid_at")
    list_filter = ("status", "payment_status", "ended", "disputed", Currency, "created_at")
    search_fields = (
        "number__startswith",
        "email__istartswith",
        "payments__stripe_session_id__exact",
        "payments__stripe_payment_intent_id__exact",
    )
    date_hierarchy = "created_at"
    inlines = (OrderItemInline, OrderTransitionInline)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "number",
                    "status",
                    "payment_status",
                    "disputed",
                    "ended",
                    "sub_total",
                    "grand_total",
                    "currency",
                )
            },
        ),
        ("Buyer", {"fields": ("email", "user", "language", "ships_to", "tracking_number", "erased_at")}),
        ("Inside", {"fields": (*TIMES, "transitions", "cart", "cart_version", "cart_settled_at")}),
    )
    readonly_fields = ("ships_to",)
    money_fields = {"sub_total": "subtotal", "grand_total": "total"}
    actions_detail = ("ship", "deliver")

    @admin.display(description="total")
    def amount(self, order: Order) -> str:
        return str(Money(order.total, order.currency))

    @admin.display(description="shipping address")
    def ships_to(self, order: Order) -> str:
        """The address as a person reads it, a part a line."""
        told = order.shipping_address or {}
        return format_html_join(mark_safe("<br>"), "{}", ((told[part],) for part in ADDRESS_PARTS if told.get(part)))

    @in_its_dialog
    @action(  # type: ignore[untyped-decorator]
        description="Ship",
        permissions=["fulfil"],
        dialog={
            "title": "Ship this order",
            "description": "Everything in it leaves the house, and the buyer is told.",
            "form_class": ShipForm,
            "form_submit_text": "Ship",
        },
    )
    def ship(self, request: HttpRequest, form: ShipForm, object_id: str) -> HttpResponse:
        tracking = form.cleaned_data["tracking_number"]
        return self._fulfil(request, object_id, partial(ship_order, tracking_number=tracking), "was shipped")

    @in_its_dialog
    @action(  # type: ignore[untyped-decorator]
        description="Mark as delivered",
        permissions=["fulfil"],
        dialog={
            "title": "Mark this order as delivered",
            "description": "The goods arrived, or what is digital was handed over.",
            "form_class": None,
            "form_submit_text": "Mark as delivered",
        },
    )
    def deliver(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._fulfil(request, object_id, deliver_order, "was delivered")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The steps that the order is ready for."""
        found: list[Any] = super().get_actions_detail(request, object_id)
        order = self.get_object(request, object_id) if found else None
        ready = {
            "orders_order_ship": order is not None and can_ship(order),
            "orders_order_deliver": order is not None and can_deliver(order),
        }
        return [step for step in found if ready.get(step.action_name, True)]

    def has_fulfil_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("orders.fulfil_order"))

    def _fulfil(self, request: HttpRequest, object_id: str, step: Callable[[int], Order], done: str) -> HttpResponse:
        """Take the step, tell how it went, and have the dialog give way to the order's page."""
        order = self.get_object(request, object_id)
        if order is None:
            raise Http404
        try:
            messages.success(request, f"{step(order.pk)} {done}.")
        except Conflict as refusal:
            messages.error(request, refusal.message)
        return HttpResponse(headers={"HX-Redirect": reverse("admin:orders_order_change", args=[order.pk])})
