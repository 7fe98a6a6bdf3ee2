"""Amounts survive the way to a person and back, in every currency."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.money import (
    CURRENCIES,
    MAX_AMOUNT,
    THREE_DECIMAL,
    TWO_DECIMAL,
    WHOLE_UNITS_IN_HUNDREDTHS,
    ZERO_DECIMAL,
    InvalidAmount,
    Money,
    decimals,
    minor_digits,
    smallest_step,
    to_major,
    to_minor,
)

currencies = st.sampled_from(sorted(CURRENCIES))


@st.composite
def legal_money(draw: st.DrawFn) -> Money:
    currency = draw(currencies)
    step = smallest_step(currency)
    return Money(draw(st.integers(-MAX_AMOUNT // step, MAX_AMOUNT // step)) * step, currency)


@given(legal_money())
def test_every_legal_amount_comes_back_as_it_was(money: Money) -> None:
    assert to_minor(to_major(money.amount, money.currency), money.currency) == money.amount


@given(legal_money())
def test_text_has_exactly_the_currencys_decimals(money: Money) -> None:
    _, _, fraction = to_major(money.amount, money.currency).partition(".")
    assert len(fraction) == decimals(money.currency)


@given(st.text(max_size=20), currencies)
def test_any_text_is_an_amount_or_is_refused(text: str, currency: str) -> None:
    try:
        amount = to_minor(text, currency)
    except InvalidAmount:
        return
    assert amount % smallest_step(currency) == 0


@given(st.integers(1, MAX_AMOUNT), currencies)
def test_amount_that_the_currency_cannot_have_is_refused(amount: int, currency: str) -> None:
    digits = minor_digits(currency)
    if amount % smallest_step(currency) == 0 or digits == 0:
        return
    whole, part = divmod(amount, 10**digits)
    with pytest.raises(InvalidAmount):
        to_minor(f"{whole}.{part:0{digits}d}", currency)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (9999, "USD", "99.99"),
        (5, "EUR", "0.05"),
        (0, "GBP", "0.00"),
        (-250, "USD", "-2.50"),
        (500, "JPY", "500"),
        (18600, "KWD", "18.600"),
        (500, "ISK", "5"),
        (700, "UGX", "7"),
        (99_999_999, "USD", "999999.99"),
    ],
)
def test_known_amounts(amount: int, currency: str, text: str) -> None:
    assert to_major(amount, currency) == text
    assert to_minor(text, currency) == amount
    assert str(Money(amount, currency)) == f"{text} {currency}"


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1.005", "USD"),
        ("1.5", "JPY"),
        ("18.601", "KWD"),
        ("5.50", "ISK"),
        ("", "USD"),
        (".5", "USD"),
        ("1.", "USD"),
        ("+1", "USD"),
        ("1e3", "USD"),
        ("NaN", "USD"),
        ("Infinity", "USD"),
        ("1,50", "USD"),
        (" 1.50", "USD"),
        ("1.50\n", "USD"),
        ("\u0661\u0662", "USD"),
        ("1234567890123", "USD"),
        ("1.00", "XYZ"),
        ("1.00", "usd"),
    ],
)
def test_refused_amounts(text: str, currency: str) -> None:
    with pytest.raises(InvalidAmount):
        to_minor(text, currency)


def test_no_currency_is_in_two_groups() -> None:
    groups = [ZERO_DECIMAL, THREE_DECIMAL, WHOLE_UNITS_IN_HUNDREDTHS, TWO_DECIMAL]
    assert sum(map(len, groups)) == len(CURRENCIES)
    assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)
