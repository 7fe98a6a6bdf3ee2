"""Tables of the API's own machinery: counted limits and idempotency keys."""

from __future__ import annotations

from django.db import models


class LimitCount(models.Model):
    """How often something happened within one window. The key names limit, client and window."""

    key = models.CharField(max_length=200, primary_key=True)
    n = models.PositiveIntegerField(default=1)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "limit count"

    def __str__(self) -> str:
        return self.key


class WriteProbe(models.Model):
    """One row, written now and then to see whether the database takes writes."""

    at = models.DateTimeField()

    class Meta:
        verbose_name = "write probe"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"


class IdempotencyKey(models.Model):
    """One answer that a client may ask for again under the key it chose.

    Status and the object's id are kept, never a body: the answer is rendered again from the object.
    """

    caller = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    lease_until = models.DateTimeField(null=True, help_text="While the first run is at work; empty when it is done.")
    status = models.PositiveSmallIntegerField(null=True)
    object_id = models.CharField(max_length=64, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_text = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="idempotency_key_once_per_caller")]

    def __str__(self) -> str:
        return f"{self.caller} {self.key}"
