"""Which of the webhook's secrets are in use."""

from __future__ import annotations

from django.db import models


class StripeWebhookSecret(models.Model):
    """A secret that has verified an event, known by its fingerprint alone.

    While one is being rolled, this tells when the old one has stopped verifying and can be taken out.
    """

    fingerprint = models.CharField(max_length=12, unique=True, help_text="The first 12 hex digits of its SHA-256.")
    first_seen_at = models.DateTimeField()
    last_verified_at = models.DateTimeField(help_text="To the minute: it is written once a minute at most.")

    class Meta:
        ordering = ["-last_verified_at"]

    def __str__(self) -> str:
        return self.fingerprint
