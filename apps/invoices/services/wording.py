"""What a document says, in its reader's language: labels, dates, amounts and addresses as they are printed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from babel.core import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import parse_pattern
from django.conf import settings
from django.utils.translation import get_language, pgettext

from apps.common.money import format_money
from apps.orders.models import Order


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a document. `unit_price` and `amount` are in minor units."""

    sku: str
    name: str
    quantity: int
    unit_price: int
    amount: int


def language() -> str:
    return get_language() or settings.LANGUAGE_CODE


def amount(minor: int, currency: str) -> str:
    return format_money(minor, currency, language())


def date(at: datetime) -> str:
    return str(format_date(at.astimezone(UTC).date(), "long", _locale()))


def percent(rate: Decimal) -> str:
    """`0.19` as `19%`, with as many decimals as it has, three at most."""
    pattern = parse_pattern(_locale().percent_formats[None].pattern)
    pattern.frac_prec = (0, 3)
    return str(pattern.apply(rate, _locale()))


def line_cells(line: Line, currency: str) -> list[str]:
    """The cells of a line: what, how many, at which price, how much."""
    name = f"{line.name} ({line.sku})" if line.sku else line.name
    return [name, str(line.quantity), amount(line.unit_price, currency), amount(line.amount, currency)]


def line_heads() -> list[str]:
    return [
        pgettext("invoice", "Item"),
        pgettext("invoice", "Quantity"),
        pgettext("invoice", "Unit price"),
        pgettext("invoice", "Amount"),
    ]


def seller_lines() -> list[str]:
    """Name, address and tax id from the settings; `\\n` in SELLER_ADDRESS begins a line."""
    lines = [settings.SELLER_NAME, *settings.SELLER_ADDRESS.replace("\\n", "\n").splitlines()]
    if settings.SELLER_TAX_ID:
        label = pgettext("invoice", "Tax ID")
        lines.append(f"{label} {settings.SELLER_TAX_ID}")
    return [line.strip() for line in lines if line.strip()]


def buyer_lines(order: Order) -> list[str]:
    """Where the goods went, else the buyer's name, and the e-mail address."""
    address = order.shipping_address or {}
    lines = [address.get("name") or (order.user.name if order.user else "")]
    if address:
        lines += [address.get("line1", ""), address.get("line2", ""), *_place(address)]
    lines.append(order.email)
    return [line.strip() for line in lines if line and line.strip()]


def _place(address: dict[str, str]) -> list[str]:
    """City, state and postal code in the country's order, and the country's name."""
    city, state, code = (address.get(name, "") or "" for name in ("city", "state", "postal_code"))
    country = address.get("country", "") or ""
    if country in ("US", "CA", "AU"):
        lines = [f"{city}, {state} {code}" if city else f"{state} {code}"]
    elif country in ("GB", "IE"):
        lines = [city, state, code]
    else:
        lines = [f"{code} {city}", state]
    return [*lines, str(_locale().territories.get(country, country))]


def _locale() -> Locale:
    try:
        return Locale.parse(language().replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")
