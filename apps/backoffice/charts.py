"""Charts as SVG, drawn here: no script, no network, and a table says the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from apps.backoffice.selectors.figures import Day
from apps.common.money import Money

WIDTH, HEIGHT, GAP = 600, 120, 2


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar in the chart's own units, with what it says to whoever points at it or listens."""

    x: float
    y: float
    width: float
    height: float
    label: str
    below: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of net revenue over days. `axis` is where nothing is."""

    currency: str
    bars: list[Bar]
    axis: float
    total: Money
    highest: Money
    days: list[Day]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def rows(self) -> list[tuple[date, str, int]]:
        """The days on which anything happened, newest first."""
        return [
            (day.day, str(Money(day.net, self.currency)), day.orders)
            for day in reversed(self.days)
            if day.gross or day.refunded
        ]


def chart_of(currency: str, days: list[Day]) -> Chart:
    """Each day's net revenue; a day on which more went back than came in hangs below the axis."""
    top = max(0, *(day.net for day in days))
    bottom = min(0, *(day.net for day in days))
    scale = HEIGHT / ((top - bottom) or 1)
    axis = round(top * scale, 2)
    step = WIDTH / len(days)
    bars = [
        Bar(
            x=round(number * step, 2),
            y=round(axis - max(0, day.net) * scale, 2),
            width=round(step - GAP, 2),
            height=round(abs(day.net) * scale, 2),
            label=f"{day.day:%d %b}: {Money(day.net, currency)}, {day.orders} orders",
            below=day.net < 0,
        )
        for number, day in enumerate(days)
        if day.net
    ]
    return Chart(currency, bars, axis, Money(sum(day.net for day in days), currency), Money(top, currency), days)
