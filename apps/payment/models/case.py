"""What a person has to look at."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.payment.models.payment import Payment


class AttentionCase(models.Model):
    """Something about money that a person has to look at."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="cases")
    kind = models.CharField(max_length=24)
    object_id = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="Which refund or dispute it is about."
    )
    detail = models.CharField(max_length=500)
    opened_at = models.DateTimeField(auto_now_add=True)
    taken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Who looks after it.",
    )
    taken_at = models.DateTimeField(null=True, blank=True)
    solved_at = models.DateTimeField(null=True, blank=True)
    solved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Empty when it solved itself.",
    )
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["solved_at", "-opened_at"]
        constraints = [
            models.UniqueConstraint(fields=["payment", "kind", "object_id"], name="case_once_per_payment_and_object")
        ]

    def __str__(self) -> str:
        return f"{self.kind}: payment {self.payment_id}"
