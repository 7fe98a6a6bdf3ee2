"""The tax rate as the environment gives it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured

from proshop import env


@pytest.mark.parametrize(
    ("text", "rate"),
    [("", "0"), ("0", "0"), ("0.19", "0.19"), (".077", "0.077"), (" 0.2 ", "0.2"), ("0.08875", "0.08875")],
)
def test_rate_is_a_share(monkeypatch: pytest.MonkeyPatch, text: str, rate: str) -> None:
    monkeypatch.setenv("INVOICE_TAX_RATE", text)
    assert env.rate("INVOICE_TAX_RATE") == Decimal(rate)


@pytest.mark.parametrize("text", ["19", "1", "19%", "0,19", "-0.19", "NaN", "0.123456", "٠.١", "1e-1"])
def test_anything_else_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("INVOICE_TAX_RATE", text)
    with pytest.raises(ImproperlyConfigured, match="INVOICE_TAX_RATE"):
        env.rate("INVOICE_TAX_RATE")
