"""What the shop hands out for the books of both sides: numbered, and final once it is issued."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q

from apps.common.money import Money
from apps.orders.models import Order
from apps.payment.models import Refund


class DocumentIsFinal(Exception):
    """An issued document was to be changed or deleted. Issue one that corrects it instead."""


class Document(models.Model):
    """An invoice, a credit note or the cancellation of a credit note, as it was issued.

    `total` and `tax`, the part of it that is tax, are in minor units and never negative: the kind says which way the
    money goes. `content` holds everything that is printed, so that it is printed the same at any later time. The
    database refuses a change as well.
    """

    class Kind(models.TextChoices):
        INVOICE = "invoice", "invoice"
        CREDIT_NOTE = "credit_note", "credit note"
        CANCELLATION = "cancellation", "cancellation of a credit note"

    SERIES = {Kind.INVOICE: "INV", Kind.CREDIT_NOTE: "CN", Kind.CANCELLATION: "CX"}

    kind = models.CharField(max_length=12, choices=Kind.choices)
    series = models.CharField(max_length=8)
    year = models.PositiveSmallIntegerField(help_text="Of its issue, in UTC.")
    seq = models.PositiveIntegerField(help_text="Its place in the series of the year, without gaps.")
    number = models.CharField(max_length=24, unique=True)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="documents")
    refund = models.ForeignKey(Refund, null=True, on_delete=models.PROTECT, related_name="documents")
    corrects = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="corrections")
    currency = models.CharField(max_length=3)
    total = models.PositiveBigIntegerField(help_text="In minor units.")
    tax = models.PositiveBigIntegerField(help_text="The part of the total that is tax, in minor units.")
    language = models.CharField(max_length=10)
    content = models.TextField(help_text="JSON: the facts in numbers, and the page as it is printed.")
    issued_at = models.DateTimeField()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["series", "year", "seq"], name="document_number_once"),
            models.UniqueConstraint(fields=["order"], condition=Q(kind="invoice"), name="document_one_invoice"),
            models.UniqueConstraint(fields=["refund", "kind"], name="document_one_per_refund_and_kind"),
            models.CheckConstraint(
                condition=Q(kind="invoice", refund__isnull=True, corrects__isnull=True)
                | Q(kind__in=["credit_note", "cancellation"], refund__isnull=False, corrects__isnull=False),
                name="document_corrects_something_unless_invoice",
            ),
            models.CheckConstraint(condition=Q(tax__lte=models.F("total")), name="document_tax_within_total"),
        ]
        indexes = [models.Index(fields=["issued_at"], name="document_by_issue")]

    def __str__(self) -> str:
        return self.number

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Raises DocumentIsFinal unless the row is new."""
        if not self._state.adding:
            raise DocumentIsFinal(self.number)
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Raises DocumentIsFinal."""
        raise DocumentIsFinal(self.number)

    @property
    def money(self) -> Money:
        return Money(self.total, self.currency)

    @property
    def facts(self) -> dict[str, Any]:
        """Seller, buyer, lines and sums in numbers, as they were."""
        return dict(json.loads(self.content)["facts"])

    @property
    def page(self) -> dict[str, Any]:
        """What is printed, word for word."""
        return dict(json.loads(self.content)["page"])

    @property
    def rate(self) -> Decimal:
        """The tax rate that its total contains: 0.19 is 19 %."""
        return Decimal(self.facts["tax_rate"])


class DocumentCounter(models.Model):
    """The last number given in one series and year."""

    series = models.CharField(max_length=8)
    year = models.PositiveSmallIntegerField()
    last = models.PositiveIntegerField(default=0)
    purged = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How many of them are gone, since their time was over."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["series", "year"], name="document_counter_once")]

    def __str__(self) -> str:
        return f"{self.series}-{self.year}: {self.last}"
