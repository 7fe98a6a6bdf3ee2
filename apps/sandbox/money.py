"""Stripe's rules for amounts, in minor units."""

from __future__ import annotations

from apps.sandbox.errors import ApiError, invalid

MAX_AMOUNT = 99_999_999
ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
WHOLE_UNITS = frozenset(("isk", "ugx"))  # sent with two decimals that must be 00
TWO_DECIMAL = frozenset(
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop"
    " crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes"
    " kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd"
    " pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd"
    " tzs uah ugx usd uyu uzs wst xcd xcg yer zar zmw".split()
)
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | TWO_DECIMAL
MINIMUM = {
    "usd": 50, "eur": 50, "gbp": 30, "aud": 50, "cad": 50, "nzd": 50, "chf": 50, "sgd": 50, "brl": 50, "inr": 50,
    "hkd": 400, "jpy": 50, "dkk": 250, "nok": 300, "sek": 300, "pln": 200, "ron": 200, "bgn": 100, "czk": 1500,
    "huf": 17500, "mxn": 1000, "myr": 200, "thb": 1000, "aed": 200,
}  # fmt: skip


def currency(code: str, param: str = "currency") -> str:
    """The lower-case code. Raises ApiError when Stripe does not charge it."""
    if code.lower() not in CURRENCIES:
        raise invalid(f"Invalid currency: {code[:20]}. It is not one that Stripe supports.", param)
    return code.lower()


def check_charge(amount: int, code: str, *, param: str = "amount", what: str = "Amount") -> None:
    """Raise ApiError unless an amount can be charged in a currency."""
    check_precision(amount, code, param=param)
    smallest = MINIMUM.get(code, 1)
    if amount < smallest:
        raise ApiError(f"{what} must be at least {text(smallest, code)}.", code="amount_too_small", param=param)
    if amount > MAX_AMOUNT:
        raise ApiError(f"{what} must be no more than {text(MAX_AMOUNT, code)}.", code="amount_too_large", param=param)


def check_precision(amount: int, code: str, *, param: str) -> None:
    """Some currencies have fewer decimals than their amounts are sent with."""
    if code in WHOLE_UNITS and amount % 100:
        raise ApiError(
            f"Invalid amount: {code.upper()} amounts must be divisible by 100.",
            code="invalid_charge_amount_no_decimal_compatible",
            param=param,
        )
    if code in THREE_DECIMAL and amount % 10:
        raise invalid(f"Invalid amount: the last digit of {code.upper()} amounts must be 0.", param)


def decimals(code: str) -> int:
    return 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2


def text(amount: int, code: str) -> str:
    """An amount for people: `19.99 USD`."""
    places = decimals(code)
    sign, digits = "-" if amount < 0 else "", str(abs(amount)).zfill(places + 1)
    whole, cents = (digits[:-places], "." + digits[-places:]) if places else (digits, "")
    return f"{sign}{int(whole):,}{cents} {code.upper()}"


SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "cad": "CA$", "aud": "A$"}


def shown(amount: int, code: str) -> str:
    """An amount for the buyer's page: `$19.99`, or `19.99 CHF` where the symbol is not widely known."""
    number, _, name = text(amount, code).rpartition(" ")
    return f"{SYMBOLS[code]}{number}" if code in SYMBOLS else f"{number} {name}"
