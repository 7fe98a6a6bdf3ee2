"""Numbers without gaps: taken under a lock that lasts until the document's own transaction ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from django.utils import timezone

from apps.invoices.models import DocumentCounter


class Place(NamedTuple):
    """A document's place in its series, and the moment at which it was taken."""

    series: str
    year: int
    seq: int
    at: datetime

    @property
    def number(self) -> str:
        return f"{self.series}-{self.year}-{self.seq:05d}"


def take_place(series: str) -> Place:
    """The next place in a series of this year, in the caller's transaction: when that fails, nobody had it.

    Whoever wants the next one waits until then. The clock is read under the lock, so that times rise with the
    numbers, over the turn of a year as well.
    """
    year = timezone.now().astimezone(UTC).year
    while True:
        counter = _locked(series, year)
        now = timezone.now().astimezone(UTC)
        if now.year == year:
            break
        year = now.year
    counter.last += 1
    counter.save(update_fields=["last"])
    return Place(series, year, counter.last, now)


def _locked(series: str, year: int) -> DocumentCounter:
    rows = DocumentCounter.objects.select_for_update().filter(series=series, year=year)
    counter = rows.first()
    if counter is None:
        DocumentCounter.objects.bulk_create([DocumentCounter(series=series, year=year)], ignore_conflicts=True)
        counter = rows.get()
    return counter
