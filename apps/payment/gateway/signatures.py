"""Whether bytes come from Stripe."""

from __future__ import annotations

import hashlib
import time

import stripe
from django.conf import settings

SIGNATURE_TOLERANCE = 300
"""Seconds that a webhook's timestamp may lie in the past or in the future."""


class BadSignature(Exception):
    """The bytes were not signed by Stripe with one of our secrets, or too long ago, or in the future."""


def secret_fingerprint(secret: str) -> str:
    """What a webhook's secret may be called where people read it: 12 hex digits that do not lead back to it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:12]


def verify_signature(payload: bytes, header: str) -> str:
    """The fingerprint of the secret of ours that signed these bytes within five minutes of now.

    Raises BadSignature when there is none. While Stripe rolls a secret it signs with both; the first in our list is
    named then. The library bounds the age alone; a timestamp ahead of the clock is refused here.
    """
    try:
        # Of several the library would take the first: what is bounded here has to be what was signed.
        (told,) = (value for name, _, value in (part.partition("=") for part in header.split(",")) if name == "t")
        timestamp = int(told)
    except ValueError:
        raise BadSignature("The header carries no timestamp, or several.") from None
    if timestamp > time.time() + SIGNATURE_TOLERANCE:
        raise BadSignature("The timestamp is in the future.")
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            stripe.WebhookSignature.verify_header(payload, header, secret, SIGNATURE_TOLERANCE)
        except (stripe.SignatureVerificationError, ValueError, TypeError):
            continue
        return secret_fingerprint(secret)
    raise BadSignature("No secret fits.")
