"""What a buyer is told about a declined payment.

Source: https://docs.stripe.com/declines/codes
"""

from __future__ import annotations

SENSITIVE = frozenset(
    {
        "lost_card",
        "stolen_card",
        "fraudulent",
        "pickup_card",
        "merchant_blacklist",
        "restricted_card",
        "security_violation",
    }
)
"""Reasons that a buyer, who may be a thief, is never told."""

SENTENCES = {
    "insufficient_funds": "The card has insufficient funds.",
    "expired_card": "The card has expired.",
    "incorrect_number": "The card number is wrong.",
    "incorrect_cvc": "The card's security code is wrong.",
    "processing_error": "The card could not be processed. Try again in a moment.",
    "authentication_required": "The bank asks for a confirmation that did not come.",
    "payment_intent_authentication_failure": "The bank's confirmation failed. Try again, or use another card.",
    "card_velocity_exceeded": "The card is over its limit.",
    "card_not_supported": "The card does not support this kind of purchase.",
    "currency_not_supported": "The card does not support this currency.",
}
DECLINED = "The card was declined. Try another one, or ask your bank."


def sentence_for(code: str) -> str:
    """A sentence fit for the buyer. Lost, stolen and fraud read like any other decline."""
    return SENTENCES.get(code, DECLINED)


def public_code(code: str) -> str:
    """The decline's code, unless it is one that the buyer is not told."""
    return "card_declined" if code in SENSITIVE else code
