"""The tax that prices contain. Amounts in minor units."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from apps.common.money import smallest_step


def contained_tax(total: int, rate: Decimal, currency: str) -> int:
    """How much of a total that includes tax is tax, to the currency's smallest step, half up. `rate` 0.19 is 19 %."""
    step = smallest_step(currency)
    steps = Decimal(total) * rate / (1 + rate) / step
    return int(steps.quantize(Decimal(1), rounding=ROUND_HALF_UP)) * step
