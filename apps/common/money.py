"""Money: integers in minor units inside, decimal strings in major units outside, never a float.

Minor units here are those that Stripe takes. They differ from ISO 4217 where Stripe's own table does: ISK and UGX
have no decimals but are sent in hundredths, so an amount must be a multiple of 100; the three-decimal currencies
are sent in thousandths and the last digit must be 0.
Source: https://docs.stripe.com/currencies
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from babel.core import Locale, UnknownLocaleError
from babel.numbers import parse_pattern

ZERO_DECIMAL = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
THREE_DECIMAL = frozenset("BHD JOD KWD OMR TND".split())
WHOLE_UNITS_IN_HUNDREDTHS = frozenset({"ISK", "UGX"})
TWO_DECIMAL = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD "
    "KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS "
    "WST XCD XCG YER ZAR ZMW".split()
)
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | WHOLE_UNITS_IN_HUNDREDTHS | TWO_DECIMAL

MAX_AMOUNT = 99_999_999
"""The largest amount of one payment in minor units: eight digits."""

SMALLEST_PAYMENTS = {
    "AED": 200, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250, "EUR": 50, "GBP": 30,
    "HKD": 400, "HUF": 17500, "INR": 50, "JPY": 50, "MXN": 1000, "MYR": 200, "NOK": 300, "NZD": 50, "PLN": 200,
    "RON": 200, "SEK": 300, "SGD": 50, "THB": 1000, "USD": 50,
}  # fmt: skip
"""The smallest payments in minor units, where Stripe documents them. Advice alone: Stripe counts in the currency that
the account settles in, and its `amount_too_small` decides."""


class InvalidAmount(ValueError):
    """The text is no amount that this currency can have."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the currency's minor unit and its ISO 4217 code in upper case."""

    amount: int
    currency: str

    def __str__(self) -> str:
        return f"{to_major(self.amount, self.currency)} {self.currency}"


def minor_digits(currency: str) -> int:
    """How many digits of Stripe's integer stand behind the decimal point."""
    if currency in ZERO_DECIMAL:
        return 0
    if currency in THREE_DECIMAL:
        return 3
    if currency in CURRENCIES:
        return 2
    raise InvalidAmount(f"{currency!r} is not a currency that Stripe supports.")


def decimals(currency: str) -> int:
    """How many decimals a person sees: none where only whole units exist."""
    return 0 if currency in WHOLE_UNITS_IN_HUNDREDTHS else minor_digits(currency)


def smallest_step(currency: str) -> int:
    """Amounts in this currency are multiples of this many minor units."""
    if currency in WHOLE_UNITS_IN_HUNDREDTHS:
        return 100
    return 10 if currency in THREE_DECIMAL else 1


def to_major(amount: int, currency: str) -> str:
    """`9999, USD` as `99.99`; `500, JPY` as `500`; `500, ISK` as `5`."""
    value = Decimal(amount).scaleb(-minor_digits(currency))
    return f"{value:.{decimals(currency)}f}"


def to_minor(text: object, currency: str) -> int:
    """A decimal string in major units as Stripe's integer. Raises InvalidAmount, also for whatever is no string."""
    if not isinstance(text, str) or not re.fullmatch(r"-?\d{1,12}(\.\d{1,3})?", text, re.ASCII):
        raise InvalidAmount(f"{text!r} is not an amount such as 12.50.")
    scaled = Decimal(text).scaleb(minor_digits(currency))
    amount = int(scaled)
    if amount != scaled or amount % smallest_step(currency):
        raise InvalidAmount(f"{text} has more decimals than {currency} allows.")
    return amount


def check_amount(amount: int, currency: str) -> None:
    """Raises InvalidAmount unless this is an amount in minor units that Stripe takes, to charge or to give back.

    Nothing at all is one: an order may cost nothing. Whether it is too small is Stripe's to say.
    """
    if type(amount) is not int:
        raise InvalidAmount(f"{amount!r} is not a whole number of minor units.")
    step = smallest_step(currency)
    if not 0 <= amount <= MAX_AMOUNT:
        raise InvalidAmount(f"Not between {to_major(0, currency)} and {Money(MAX_AMOUNT // step * step, currency)}.")
    if amount % step:
        raise InvalidAmount(f"{amount} has more decimals than {currency} allows.")


def is_below_minimum(amount: int, currency: str) -> bool:
    """Whether Stripe will probably refuse a payment of this amount as too small. A free order is no payment."""
    return 0 < amount < SMALLEST_PAYMENTS.get(currency, 0)


def format_money(amount: int, currency: str, locale: str) -> str:
    """An amount as people of a locale (`de`, `pt-br`) write it; as in English for a locale that nobody knows.

    With the decimals that Stripe takes, also where CLDR shows fewer (AFN, ALL, LAK, RSD and others).
    """
    try:
        known = Locale.parse(locale.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        known = Locale("en")
    pattern = parse_pattern(known.currency_formats["standard"].pattern)
    pattern.frac_prec = (decimals(currency), decimals(currency))
    value = Decimal(amount).scaleb(-minor_digits(currency))
    text: str = pattern.apply(value, known, currency=currency, currency_digits=False)
    # CLDR asks for a space between a code's letter and a digit; Babel leaves it out where the pattern has none.
    return re.sub(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])", "\u00a0", text)
