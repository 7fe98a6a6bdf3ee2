"""Invoices and credit notes go with their order; each series remembers how many of its numbers are gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db.models import Count, F

from apps.audit.keeping import entries_about
from apps.invoices.models import Document, DocumentCounter
from apps.orders.purging import YOUNG, Ids, Rows, Share


def _stays(ids: Ids, before: datetime) -> Mapping[str, Iterable[int]]:
    return {YOUNG: Document.objects.filter(order__in=ids, issued_at__gte=before).values_list("order", flat=True)}


def _count(ids: Ids) -> None:
    """In the order of the series, so that two purges never wait for each other in a circle."""
    gone = Document.objects.filter(order__in=ids).values_list("series", "year").annotate(n=Count("pk"))
    for series, year, count in gone.order_by("series", "year"):
        DocumentCounter.objects.filter(series=series, year=year).update(purged=F("purged") + count)


def _rows(ids: Ids, before: datetime) -> Rows:
    documents = Document.objects.filter(order__in=ids)
    label = Document._meta.label_lower
    yield "audit entries", entries_about((label, pk) for pk in documents.values_list("pk", flat=True))
    yield "invoices and credit notes", documents


SHARE = Share("invoices", stays=_stays, rows=_rows, settle=_count)
