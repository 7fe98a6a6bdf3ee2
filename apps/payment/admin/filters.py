"""Filters whose choices are known beforehand, and a search that knows where to look.

Django's own would look through whole tables of payments.
"""

from __future__ import annotations

import re
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


def found_by(rows: QuerySet[Any], term: str, places: Iterable[tuple[str, str]]) -> QuerySet[Any]:
    """The rows that a search means; what the term looks like says in which column, the first pattern that fits."""
    term = term.strip()
    if not term:
        return rows
    lookup = next(
        lookup for pattern, lookup in places if re.fullmatch(pattern, term, re.ASCII | re.IGNORECASE | re.DOTALL)
    )
    return rows.filter(**{lookup: term.upper() if lookup.endswith("number__startswith") else term})


def _currencies() -> Choices:
    """What the shop sells in."""
    found = Price.objects.order_by("currency").values_list("currency", flat=True).distinct()
    return [(currency, currency) for currency in found]


Brand = by_choice("brand", lambda: [(brand, brand.replace("_", " ")) for brand in BRANDS])
Currency = by_choice("currency", _currencies)
EventType = by_choice("type", lambda: [(name, name) for name in HANDLERS])
Reason = by_choice("reason", lambda: Refund.Reason.choices)
Reserved = by_choice("intent_status", lambda: [("requires_capture", "reserved, not taken yet")], title="card amount")
