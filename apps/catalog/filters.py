"""Filters of the admin's lists by what the catalogue knows."""

from __future__ import annotations

from apps.catalog.models import Price
from apps.common.filters import by_choice


def currencies() -> list[tuple[str, str]]:
    """What the shop sells in."""
    found = Price.objects.order_by("currency").values_list("currency", flat=True).distinct()
    return [(currency, currency) for currency in found]


Currency = by_choice("currency", currencies)
