"""Filters whose choices are known beforehand, and a search that knows where to look.

Django's own would look through whole tables of payments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest
from unfold.contrib.filters.admin import TextFilter

from apps.catalog.filters import currencies
from apps.common.filters import by_choice
from apps.common.money import InvalidAmount, to_minor
from apps.payment.models import Refund
from apps.payment.webhooks.handlers import HANDLERS

METHODS = (
    *("card", "sepa_debit", "us_bank_account", "bacs_debit", "acss_debit", "au_becs_debit", "customer_balance"),
    *("link", "paypal", "klarna", "afterpay_clearpay", "affirm", "amazon_pay", "cashapp", "revolut_pay", "twint"),
    *("bancontact", "eps", "ideal", "p24", "blik", "multibanco", "alipay", "wechat_pay"),
)
"""Ways to pay as Stripe calls them."""

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


class Amount(TextFilter):  # type: ignore[misc]
    """An amount as people write it, `12.50`, or from one to another, `10-20`, in whatever currency it is."""

    title = "amount, such as 12.50 or 10-20"
    parameter_name = "amount"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = (self.value() or "").replace(" ", "")
        if not text:
            return queryset
        lowest, _, highest = text.partition("-")
        either = Q(pk__in=[])
        for currency, _ in currencies():
            try:
                span = (to_minor(lowest, currency), to_minor(highest or lowest, currency))
            except InvalidAmount:
                continue
            either |= Q(currency=currency, amount__range=span)
        return queryset.filter(either)


def found_by(rows: QuerySet[Any], term: str, places: Iterable[tuple[str, str]]) -> QuerySet[Any]:
    """The rows that a search means; what the term looks like says in which column, the first pattern that fits."""
    term = term.strip()
    if not term:
        return rows
    lookup = next(
        lookup for pattern, lookup in places if re.fullmatch(pattern, term, re.ASCII | re.IGNORECASE | re.DOTALL)
    )
    if lookup.endswith("email"):
        return _of_address(rows, lookup, term.lower())
    return rows.filter(**{lookup: term.upper() if lookup.endswith("number__startswith") else term})


def _of_address(rows: QuerySet[Any], column: str, term: str) -> QuerySet[Any]:
    """Of a whole address, which an index finds, or of all that begin so."""
    whole = re.search(r"@.+\.", term)
    found: QuerySet[Any] = rows.alias(address=Lower(column)).filter(
        **{"address" if whole else "address__startswith": term}
    )
    return found


Brand = by_choice("brand", lambda: [(brand, brand.replace("_", " ")) for brand in BRANDS])
EventType = by_choice("type", lambda: [(name, name) for name in HANDLERS])
Method = by_choice("method_type", lambda: [(name, name.replace("_", " ")) for name in METHODS], title="method")
Reason = by_choice("reason", lambda: Refund.Reason.choices)
Reserved = by_choice("intent_status", lambda: [("requires_capture", "reserved, not taken yet")], title="card amount")
