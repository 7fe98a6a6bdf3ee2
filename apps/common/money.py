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

ZERO_DECIMAL = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
THREE_DECIMAL = frozenset("BHD JOD KWD OMR TND".split())
WHOLE_UNITS_IN_HUNDREDTHS = frozenset({"ISK", "UGX"})
TWO_DECIMAL = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD "
    "KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS "
    "WST XCD YER ZAR ZMW".split()
)
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | WHOLE_UNITS_IN_HUNDREDTHS | TWO_DECIMAL

MAX_AMOUNT = 99_999_999
"""The largest amount of one payment in minor units: eight digits."""


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


def to_minor(text: str, currency: str) -> int:
    """A decimal string in major units as Stripe's integer. Raises InvalidAmount."""
    if not re.fullmatch(r"-?\d{1,12}(\.\d{1,3})?", text, re.ASCII):
        raise InvalidAmount(f"{text!r} is not an amount such as 12.50.")
    scaled = Decimal(text).scaleb(minor_digits(currency))
    amount = int(scaled)
    if amount != scaled or amount % smallest_step(currency):
        raise InvalidAmount(f"{text} has more decimals than {currency} allows.")
    return amount
