"""Test cards and bank accounts, as Stripe documents them at https://docs.stripe.com/testing.

The outcome belongs to the number; the same card is also reached by its PaymentMethod id and token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Authentication = Literal["none", "optional", "required", "unless_set_up", "on_session"]


@dataclass(frozen=True)
class Decline:
    """Why a card is refused. `network` is what the issuer said, shown in the charge's outcome."""

    code: str
    message: str
    decline_code: str | None = None
    advice: str = "try_again_later"
    blocked: bool = False


@dataclass(frozen=True)
class Card:
    """One test card: how it looks and what happens when it is charged.

    `authentication`: "unless_set_up" cards want it on every payment but those off session after a set-up that passed;
    "on_session" cards want it on payments with the buyer present only.
    """

    number: str
    brand: str
    label: str
    ids: tuple[str, ...] = ()
    funding: str = "credit"
    decline: Decline | None = None
    attach_decline: bool = True  # False: the card can be saved, and fails only when charged
    authentication: Authentication = "none"
    cvc_check: str = "pass"
    after: str = ""  # what follows a success: dispute, inquiry, refund behaviour (refunds.py and disputes.py read it)
    country: str = "US"

    @property
    def last4(self) -> str:
        return self.number[-4:]


DECLINED = "Your card was declined."
GENERIC = Decline("card_declined", DECLINED, "generic_decline")
NO_FUNDS = Decline("card_declined", "Your card has insufficient funds.", "insufficient_funds")
LOST = Decline("card_declined", DECLINED, "lost_card", "do_not_try_again")
STOLEN = Decline("card_declined", DECLINED, "stolen_card", "do_not_try_again")
VELOCITY = Decline(
    "card_declined",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    "card_velocity_exceeded",
)
EXPIRED = Decline("expired_card", "Your card has expired.", None, "confirm_card_data")
BAD_CVC = Decline("incorrect_cvc", "Your card's security code is incorrect.", None, "confirm_card_data")
PROCESSING = Decline("processing_error", "An error occurred while processing your card. Try again in a little bit.")
BLOCKED = Decline("card_declined", DECLINED, "fraudulent", "do_not_try_again", blocked=True)
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)
AUTHENTICATION_FAILED = Decline(
    "payment_intent_authentication_failure",
    "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
)
SETUP_AUTHENTICATION_FAILED = replace(AUTHENTICATION_FAILED, code="setup_intent_authentication_failure")

_CARDS = (
    Card("4242424242424242", "visa", "Succeeds", ("pm_card_visa", "tok_visa")),
    Card("4000056655665556", "visa", "Visa debit", ("pm_card_visa_debit", "tok_visa_debit"), "debit"),
    Card("5555555555554444", "mastercard", "Mastercard", ("pm_card_mastercard", "tok_mastercard")),
    Card("2223003122003222", "mastercard", "Mastercard (2-series)"),
    Card(
        "5200828282828210",
        "mastercard",
        "Mastercard debit",
        ("pm_card_mastercard_debit", "tok_mastercard_debit"),
        "debit",
    ),
    Card(
        "5105105105105100",
        "mastercard",
        "Mastercard prepaid",
        ("pm_card_mastercard_prepaid", "tok_mastercard_prepaid"),
        "prepaid",
    ),
    Card("378282246310005", "amex", "American Express", ("pm_card_amex", "tok_amex")),
    Card("371449635398431", "amex", "American Express"),
    Card("6011111111111117", "discover", "Discover", ("pm_card_discover", "tok_discover")),
    Card("3056930009020004", "diners", "Diners Club", ("pm_card_diners", "tok_diners")),
    Card("3566002020360505", "jcb", "JCB", ("pm_card_jcb", "tok_jcb"), country="JP"),
    Card("6200000000000005", "unionpay", "UnionPay", ("pm_card_unionpay", "tok_unionpay"), country="CN"),
    Card(
        "4000000000000002",
        "visa",
        "Declined",
        ("pm_card_visa_chargeDeclined", "pm_card_chargeDeclined", "tok_visa_chargeDeclined", "tok_chargeDeclined"),
        decline=GENERIC,
    ),
    Card(
        "4000000000009995",
        "visa",
        "Insufficient funds",
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            "pm_card_chargeDeclinedInsufficientFunds",
            "tok_visa_chargeDeclinedInsufficientFunds",
        ),
        decline=NO_FUNDS,
    ),
    Card(
        "4000000000009987",
        "visa",
        "Lost card",
        ("pm_card_visa_chargeDeclinedLostCard", "tok_visa_chargeDeclinedLostCard"),
        decline=LOST,
    ),
    Card(
        "4000000000009979",
        "visa",
        "Stolen card",
        ("pm_card_visa_chargeDeclinedStolenCard", "tok_visa_chargeDeclinedStolenCard"),
        decline=STOLEN,
    ),
    Card(
        "4000000000006975",
        "visa",
        "Velocity limit exceeded",
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "tok_visa_chargeDeclinedVelocityLimitExceeded"),
        decline=VELOCITY,
    ),
    Card(
        "4000000000000069",
        "visa",
        "Expired card",
        ("pm_card_chargeDeclinedExpiredCard", "tok_chargeDeclinedExpiredCard"),
        decline=EXPIRED,
    ),
    Card(
        "4000000000000127",
        "visa",
        "Incorrect security code",
        ("pm_card_chargeDeclinedIncorrectCvc", "tok_chargeDeclinedIncorrectCvc"),
        decline=BAD_CVC,
        cvc_check="fail",
    ),
    Card(
        "4000000000000119",
        "visa",
        "Processing error",
        ("pm_card_chargeDeclinedProcessingError", "tok_chargeDeclinedProcessingError"),
        decline=PROCESSING,
    ),
    Card(
        "4000000000000341",
        "visa",
        "Can be saved, then declines",
        ("pm_card_chargeCustomerFail", "tok_chargeCustomerFail"),
        decline=GENERIC,
        attach_decline=False,
    ),
    Card("4100000000000019", "visa", "Blocked as fraud", ("pm_card_radarBlock", "tok_radarBlock"), decline=BLOCKED),
    Card(
        "4000002500003155",
        "visa",
        "3-D Secure unless set up before",
        ("pm_card_authenticationRequiredOnSetup", "tok_authenticationRequiredOnSetup"),
        authentication="unless_set_up",
    ),
    Card(
        "4000002760003184",
        "visa",
        "3-D Secure always",
        ("pm_card_authenticationRequired", "tok_authenticationRequired"),
        authentication="required",
    ),
    Card(
        "4000003800000446",
        "visa",
        "3-D Secure, already set up for off-session use",
        ("pm_card_authenticationRequiredSetupForOffSession", "tok_authenticationRequiredSetupForOffSession"),
        authentication="on_session",
    ),
    Card(
        "4000000000003220",
        "visa",
        "3-D Secure required",
        ("pm_card_threeDSecure2Required", "tok_threeDSecure2Required"),
        authentication="required",
    ),
    Card(
        "4000000000003055",
        "visa",
        "3-D Secure supported, not required",
        ("pm_card_threeDSecureOptional", "tok_threeDSecureOptional"),
        authentication="optional",
    ),
    Card(
        "4000008400001629",
        "visa",
        "3-D Secure, then declined",
        ("pm_card_threeDSecureRequiredChargeDeclined", "tok_threeDSecureRequiredChargeDeclined"),
        decline=GENERIC,
        authentication="required",
    ),
    Card(
        "4000000000000259",
        "visa",
        "Succeeds, then disputed as fraudulent",
        ("pm_card_createDispute", "tok_createDispute"),
        after="dispute_fraudulent",
    ),
    Card(
        "4000000000002685",
        "visa",
        "Succeeds, then disputed as not received",
        ("pm_card_createDisputeProductNotReceived", "tok_createDisputeProductNotReceived"),
        after="dispute_product_not_received",
    ),
    Card(
        "4000000000001976",
        "visa",
        "Succeeds, then an inquiry",
        ("pm_card_createDisputeInquiry", "tok_createDisputeInquiry"),
        after="inquiry",
    ),
    Card(
        "4000000000007726",
        "visa",
        "Its refund is pending first",
        ("pm_card_pendingRefund", "tok_pendingRefund"),
        after="refund_pending",
    ),
    Card(
        "4000000000005126",
        "visa",
        "Its refund fails later",
        ("pm_card_refundFail", "tok_refundFail"),
        after="refund_fail",
    ),
)

BY_NUMBER = {card.number: card for card in _CARDS}
BY_ID = {card_id: card for card in _CARDS for card_id in card.ids}

BRAND_PREFIXES = (
    ("4", "visa"),
    ("5", "mastercard"),
    ("2", "mastercard"),
    ("34", "amex"),
    ("37", "amex"),
    ("6", "discover"),
)


@dataclass(frozen=True)
class BankAccount:
    """One SEPA test account. `slow` settles only when time is advanced or after ten times the usual delay."""

    iban: str
    label: str
    settles: bool
    slow: bool = False


_ACCOUNTS = (
    BankAccount("AT611904300234573201", "Settles", settles=True),
    BankAccount("AT321904300235473204", "Settles late", settles=True, slow=True),
    BankAccount("AT861904300235473202", "Fails later", settles=False),
    # Not in Stripe's public list; the official CLI uses it for checkout.session.async_payment_failed.
    BankAccount("IT60X0542811101000000123456", "Fails later", settles=False),
)
BY_IBAN = {account.iban: account for account in _ACCOUNTS}


def luhn_valid(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban_valid(iban: str) -> bool:
    """The check digits of ISO 13616."""
    if not (15 <= len(iban) <= 34 and iban.isascii() and iban.isalnum() and iban[:2].isalpha()):
        return False
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1
