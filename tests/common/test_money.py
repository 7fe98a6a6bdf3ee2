"""Amounts survive the way to a person and back, in every currency."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import hypothesis
import pytest
from babel.numbers import get_currency_symbol, get_decimal_symbol
from hypothesis import given
from hypothesis import strategies as st

from apps.common.money import (
    CURRENCIES,
    MAX_AMOUNT,
    SMALLEST_PAYMENTS,
    THREE_DECIMAL,
    TWO_DECIMAL,
    WHOLE_UNITS_IN_HUNDREDTHS,
    ZERO_DECIMAL,
    InvalidAmount,
    Money,
    check_amount,
    decimals,
    format_money,
    is_below_minimum,
    minor_digits,
    smallest_step,
    to_major,
    to_minor,
)
from apps.orders.models import OrderItem
from apps.payment.services import attempts
from apps.sandbox import money as stripe_rules

currencies = st.sampled_from(sorted(CURRENCIES))
LOCALES = ["en", "de", "fr", "ja", "ar", "hi", "hu", "is", "pt-br", "fa", "da"]


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


@st.composite
def amounts_as_text(draw: st.DrawFn, currency: str) -> str:
    """What a person may write as an amount of this currency, with all of its decimals or fewer."""
    step = smallest_step(currency)
    minor = draw(st.integers(0, MAX_AMOUNT // step)) * step
    text = to_major(minor, currency)
    return text.rstrip("0").rstrip(".") if "." in text and draw(st.booleans()) else text


def read_back(text: str, currency: str, locale: str) -> str:
    """The digits of a displayed amount, as somebody who knows the locale reads them."""
    tag = locale.replace("-", "_")
    bare = text.replace(get_currency_symbol(currency, locale=tag), "")
    digits = re.sub(rf"[^\d{re.escape(get_decimal_symbol(tag))}-]", "", bare)
    return digits.replace(get_decimal_symbol(tag), ".")


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
@hypothesis.settings(max_examples=20, deadline=None)  # a locale takes its time when it is first read
@given(data=st.data())
def test_an_amount_survives_the_whole_way_in_every_currency(currency: str, data: st.DataObject) -> None:
    text = data.draw(amounts_as_text(currency))
    minor = to_minor(text, currency)
    assert Decimal(text) == Decimal(to_major(minor, currency))

    line = attempts._line(OrderItem(name="Mug", sku="MUG-1", quantity=1, unit_price=minor), currency)
    asked = line["price_data"]["unit_amount"]
    assert (asked, line["price_data"]["currency"]) == (minor, currency.lower())
    stripe_rules.check_precision(asked, currency.lower(), param="amount")

    check_amount(asked, currency)  # what is charged can be given back
    locale = data.draw(st.sampled_from(LOCALES))
    shown = format_money(asked, currency, locale)
    assert to_minor(read_back(shown, currency, locale), currency) == minor


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
@hypothesis.settings(max_examples=20, deadline=None)  # a locale takes its time when it is first read
@given(data=st.data())
def test_what_a_currency_cannot_have_is_refused_on_the_whole_way(currency: str, data: st.DataObject) -> None:
    whole = data.draw(st.integers(0, 10_000))
    digit = data.draw(st.integers(1, 9))
    too_fine = f"{whole}.{'0' * (2 if currency in THREE_DECIMAL else decimals(currency))}{digit}"
    written = [float(whole), whole, Decimal(whole), f"{whole}e2", f"{whole}E+2", "NaN", "Infinity", "-Infinity", None]
    for text in (too_fine, *written):
        with pytest.raises(InvalidAmount):
            to_minor(text, currency)

    step = smallest_step(currency)
    odd: list[Any] = [float(whole), f"{whole}", float("nan"), Decimal(whole), True, -step, MAX_AMOUNT + step]
    odd += [whole * step + data.draw(st.integers(1, step - 1))] if step > 1 else []
    for amount in odd:
        with pytest.raises(InvalidAmount):
            check_amount(amount, currency)


def test_the_table_is_that_of_the_sandbox() -> None:
    assert {code.lower() for code in CURRENCIES} == stripe_rules.CURRENCIES
    assert {code.lower(): amount for code, amount in SMALLEST_PAYMENTS.items()} == stripe_rules.MINIMUM
    assert MAX_AMOUNT == stripe_rules.MAX_AMOUNT


@pytest.mark.parametrize("currency", sorted(SMALLEST_PAYMENTS))
def test_what_is_below_the_smallest_payment_is_told(currency: str) -> None:
    smallest = SMALLEST_PAYMENTS[currency]
    assert [is_below_minimum(amount, currency) for amount in (0, 1, smallest - 1, smallest)] == [
        False,
        True,
        True,
        False,
    ]


def test_nothing_is_told_where_nothing_is_documented() -> None:
    assert not is_below_minimum(1, "KWD")


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "text"),
    [
        (123450, "EUR", "de", "1.234,50\u00a0€"),
        (123450, "USD", "en", "$1,234.50"),
        (-123450, "USD", "en-us", "-$1,234.50"),
        (123450, "HUF", "hu", "1\u00a0234,50\u00a0Ft"),
        (123450, "HUF", "en", "HUF\u00a01,234.50"),
        (500, "ISK", "is", "5\u00a0kr."),
        (12300, "UGX", "en", "UGX\u00a0123"),
        (123450, "TWD", "en", "NT$1,234.50"),
        (1500, "CLP", "de", "1.500\u00a0CLP"),
        (18600, "KWD", "fr", "18,600\u00a0KWD"),
        (500, "JPY", "ja", "\uffe5500"),
        (12345, "RSD", "de", "123,45\u00a0RSD"),
        (500, "JPY", "xx", "¥500"),
        (500, "JPY", "", "¥500"),
    ],
)
def test_known_displays(amount: int, currency: str, locale: str, text: str) -> None:
    assert format_money(amount, currency, locale) == text
