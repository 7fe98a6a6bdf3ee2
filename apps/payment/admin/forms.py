"""What staff types in: amounts as people write them, lines with quantities, reasons and notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from apps.common.money import InvalidAmount, check_amount, to_major, to_minor
from apps.orders.models import OrderItem
from apps.payment.models import Payment, Refund
from apps.payment.services.refunds import Line, RefundWish

ANOTHER_FORM = "This page is out of date. Open it again."


class AmountField(forms.CharField):
    """An amount such as `12.50` in one currency; cleans to minor units, and to 0 when it is left empty."""

    def __init__(self, *, currency: str, **kwargs: Any) -> None:
        self.currency = currency
        attributes = {"inputmode": "decimal", "autocomplete": "off"}
        super().__init__(max_length=16, widget=UnfoldAdminTextInputWidget(attrs=attributes), **kwargs)

    def clean(self, value: Any) -> int:
        text = super().clean(value)
        if not text:
            return 0
        try:
            amount = to_minor(text, self.currency)
            check_amount(amount, self.currency)
        except InvalidAmount as reason:
            raise forms.ValidationError(str(reason)) from None
        return amount


class PageForm(forms.Form):
    """A form that carries what marks its page, so that the page works once."""

    page = forms.RegexField(
        r"^[0-9a-f]{32}$", widget=forms.HiddenInput, error_messages={"invalid": ANOTHER_FORM, "required": ANOTHER_FORM}
    )


class ReasonForm(PageForm):
    reason = forms.ChoiceField(
        choices=Refund.Reason.choices,
        initial=Refund.Reason.REQUESTED_BY_CUSTOMER,
        widget=UnfoldAdminSelectWidget,
        help_text="Stripe blocks card and e-mail of what is called fraudulent.",
    )
    description = forms.CharField(
        max_length=500,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Kept with the refund and shown to the buyer.",
    )


class RefundManyForm(ReasonForm):
    """An amount for each payment; a payment whose amount is empty or 0 is left out."""

    def __init__(self, payments: Sequence[Payment], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.payments = payments
        for payment in payments:
            self.fields[self.name_of(payment)] = AmountField(currency=payment.currency, required=False)

    @staticmethod
    def name_of(payment: Payment) -> str:
        return f"amount-{payment.pk}"

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and not any(cleaned[self.name_of(payment)] for payment in self.payments):
            raise forms.ValidationError("No amount is given: nothing would go back.")
        return cleaned

    def wishes(self) -> list[tuple[Payment, RefundWish]]:
        """What is to go back of each payment."""
        given = self.cleaned_data
        return [
            (payment, RefundWish(amount=amount, reason=given["reason"], description=given["description"]))
            for payment in self.payments
            if (amount := given[self.name_of(payment)])
        ]


class LinesForm(forms.Form):
    """A quantity for each of an order's lines, and whether the goods return to stock."""

    def __init__(self, lines: Sequence[tuple[OrderItem, int]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = lines
        for item, left in lines:
            self.fields[f"quantity-{item.pk}"] = forms.IntegerField(
                required=False,
                min_value=0,
                max_value=item.quantity,
                label=f"Quantity of {item.name}",
                widget=UnfoldAdminIntegerFieldWidget(attrs={"min": 0, "max": left, "disabled": left == 0}),
            )
            self.fields[f"restock-{item.pk}"] = forms.BooleanField(
                required=False,
                label=f"{item.name} returns to stock",
                widget=UnfoldBooleanWidget(attrs={"disabled": left == 0 or item.variant.stock is None}),
            )

    def rows(self) -> list[dict[str, Any]]:
        """What a table of the lines shows."""
        return [
            {
                "item": item,
                "left": left,
                "price": to_major(item.unit_price, item.order.currency),
                "counted": item.variant.stock is not None,
                "quantity": self[f"quantity-{item.pk}"],
                "restock": self[f"restock-{item.pk}"],
            }
            for item, left in self.lines
        ]

    def chosen(self) -> list[Line]:
        """The lines with a quantity. For a valid form."""
        return [
            Line(item.pk, quantity, restock=self.cleaned_data[f"restock-{item.pk}"])
            for item, _ in self.lines
            if (quantity := self.cleaned_data.get(f"quantity-{item.pk}"))
        ]


class RefundForm(ReasonForm, LinesForm):
    """A refund of one payment: all that is left, an amount, or lines."""

    field_order = ("how", "amount")

    def __init__(self, payment: Payment, lines: Sequence[tuple[OrderItem, int]], *args: Any, **kwargs: Any) -> None:
        super().__init__(lines, *args, **kwargs)
        ways = [("all", "All that is left"), ("amount", "An amount")]
        if lines:
            ways.append(("lines", "Lines of the order"))
        self.fields["how"] = forms.ChoiceField(
            choices=ways, initial="all", label="What goes back", widget=UnfoldAdminRadioSelectWidget
        )
        self.fields["amount"] = AmountField(
            currency=payment.currency, required=False, label=f"Amount in {payment.currency}"
        )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("how") == "amount" and "amount" in cleaned and not cleaned["amount"]:
            self.add_error("amount", "More than nothing.")
        if cleaned.get("how") == "lines" and not self.errors and not self.chosen():
            raise forms.ValidationError("No line has a quantity: nothing would go back.")
        return cleaned

    def wish(self) -> RefundWish:
        given = self.cleaned_data
        return RefundWish(
            amount=given["amount"] if given["how"] == "amount" else None,
            lines=self.chosen() if given["how"] == "lines" else (),
            reason=given["reason"],
            description=given["description"],
        )


class ApproveForm(forms.Form):
    restock = forms.BooleanField(
        required=False, label="The goods of its lines return to stock", widget=UnfoldBooleanWidget
    )


class NoteForm(forms.Form):
    note = forms.CharField(max_length=500, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}))
