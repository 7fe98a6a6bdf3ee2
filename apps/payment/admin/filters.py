"""Filters whose choices are known beforehand. Django's own would look through the whole table for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.catalog.models import Price
from apps.payment.models import Refund
from apps.payment.webhooks.handlers import HANDLERS

Choices = Iterable[tuple[str, str]]

BRANDS = (
    "visa",
    "mastercard",
    "amex",
    "discover",
    "diners",
    "jcb",
    "unionpay",
    "cartes_bancaires",
    "eftpos_au",
    "interac",
    "link",
)
"""Cards as Stripe calls them."""


def by_choice(field: str, choices: Callable[[], Choices], title: str = "") -> type[admin.SimpleListFilter]:
    """A filter on one column."""

    class Filter(admin.SimpleListFilter):
        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return list(choices())

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            value = self.value()
            return queryset if value is None else queryset.filter(**{field: value})

    Filter.title = title or field.replace("_", " ")
    Filter.parameter_name = field
    return Filter


def _currencies() -> Choices:
    """What the shop sells in."""
    found = Price.objects.order_by("currency").values_list("currency", flat=True).distinct()
    return [(currency, currency) for currency in found]


Brand = by_choice("brand", lambda: [(brand, brand.replace("_", " ")) for brand in BRANDS])
Currency = by_choice("currency", _currencies)
EventType = by_choice("type", lambda: [(name, name) for name in HANDLERS])
Reason = by_choice("reason", lambda: Refund.Reason.choices)
Reserved = by_choice("intent_status", lambda: [("requires_capture", "reserved, not taken yet")], title="card amount")
