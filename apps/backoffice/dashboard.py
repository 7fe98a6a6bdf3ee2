"""The first page of the admin: what needs attention, and how the shop is doing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import get_language

from apps.accounts.models import User
from apps.backoffice.charts import chart_of
from apps.backoffice.selectors import figures
from apps.backoffice.selectors.attention import attention
from apps.backoffice.selectors.checks import checks
from apps.backoffice.selectors.periods import Period, Span, periods, spans
from apps.common.money import format_money

CHART_DAYS = 30
LOOK_BACK = timedelta(days=30)
"""How far declines are counted back."""

EVENTS_BACK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure as people read it, and how it compares with the period before."""

    text: str
    before: str = ""
    change: str = ""
    better: bool | None = None


def dashboard(user: User, now: datetime | None = None) -> dict[str, Any]:
    """What this person may see of it; a fixed number of statements."""
    now = now or timezone.now()
    found = checks() if user.has_perm("payment.view_checkrun") else []
    shown: dict[str, Any] = {"attention": attention(user, found), "checks": found}
    if user.has_perm("payment.view_payment") and user.has_perm("orders.view_order"):
        shown |= _figures(now)
    return shown


def _figures(now: datetime) -> dict[str, Any]:
    found = periods(now)
    named = spans(found)
    sold = figures.sales(named)
    placed = figures.checkouts(named)
    disputed = figures.disputes(named, sold)
    currencies = sorted({currency for each in sold.values() for currency in each}) or [settings.DEFAULT_CURRENCY]
    return {
        "periods": found,
        "sales": [
            {"currency": currency, "rows": [_sales_row(period, currency, sold) for period in found]}
            for currency in currencies
        ],
        "rates": [_rates_row(period, placed, disputed) for period in found],
        "charts": [chart_of(currency, days) for currency, days in figures.by_day(CHART_DAYS, now=now).items()],
        "chart_days": CHART_DAYS,
        "declines": _bars(figures.declines(Span(now - LOOK_BACK, now))),
        **_events(figures.deliveries(Span(now - EVENTS_BACK, now))),
    }


def _events(found: figures.Deliveries) -> dict[str, Any]:
    return {
        "deliveries": found,
        "delivery_share": "–" if found.share is None else f"{found.share:.1%}",
        "delivery_average": _duration(found.average),
        "delivery_slowest": _duration(found.slowest),
    }


def _duration(took: timedelta | None) -> str:
    if took is None:
        return "–"
    seconds = took.total_seconds()
    return (
        f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _sales_row(period: Period, currency: str, sold: dict[str, dict[str, figures.Sales]]) -> dict[str, Any]:
    nothing = figures.Sales(currency)
    here = sold[period.name].get(currency, nothing)
    then = sold[f"{period.name}_before"].get(currency, nothing)

    def money(now: int, before: int, *, less_is_better: bool = False) -> Cell:
        change, better = _change(now, before)
        language = get_language() or "en"
        return Cell(
            format_money(now, currency, language),
            format_money(before, currency, language),
            change,
            better if better is None else better != less_is_better,
        )

    orders, more_orders = _change(here.orders, then.orders)
    return {
        "period": period,
        "net": money(here.net, then.net),
        "gross": money(here.gross, then.gross),
        "refunded": money(here.refunded, then.refunded, less_is_better=True),
        "orders": Cell(str(here.orders), str(then.orders), orders, more_orders),
        "average": money(here.average, then.average),
    }


def _rates_row(
    period: Period, placed: dict[str, figures.Checkouts], disputed: dict[str, figures.Disputes]
) -> dict[str, Any]:
    here, then = placed[period.name], placed[f"{period.name}_before"]
    claims, claims_then = disputed[period.name], disputed[f"{period.name}_before"]
    return {
        "period": period,
        "conversion": _share(here.share, then.share, f"{here.paid} of {here.placed}", f"{then.paid} of {then.placed}"),
        "disputes": _share(
            claims.share,
            claims_then.share,
            f"{claims.opened} of {claims.payments}",
            f"{claims_then.opened} of {claims_then.payments}",
            less_is_better=True,
        ),
    }


def _share(
    now: float | None, before: float | None, counted: str, counted_before: str, *, less_is_better: bool = False
) -> Cell:
    """A share with the numbers behind it."""
    text = "–" if now is None else f"{now:.1%} ({counted})"
    then = "–" if before is None else f"{before:.1%} ({counted_before})"
    if now is None or before is None or now == before:
        return Cell(text, then)
    return Cell(text, then, f"{(now - before) * 100:+.1f} points", (now > before) != less_is_better)


def _change(now: int, before: int) -> tuple[str, bool | None]:
    """How much more or less it is, in percent of before; from nothing there is no percentage."""
    if now == before:
        return "", None
    if before <= 0:
        return "", now > before
    return f"{(now - before) / before:+.0%}", now > before


def _bars(counted: list[tuple[str, int]]) -> list[dict[str, Any]]:
    most = max((count for _, count in counted), default=1)
    return [
        {"code": code, "title": code.replace("_", " "), "count": count, "share": round(100 * count / most)}
        for code, count in counted
    ]
