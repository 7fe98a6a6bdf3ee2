"""What must always be true of documents. Queries that return no row, for `manage.py verify`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Count, F, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from apps.invoices.models import Document, DocumentCounter

NAME = "invoices"


def checks() -> Iterator[tuple[str, str, QuerySet[Any]]]:
    """Each invariant's name, its meaning and the rows that break it."""
    series = Document.objects.filter(series=OuterRef("series"), year=OuterRef("year")).order_by().values("series")
    counted = DocumentCounter.objects.annotate(
        issued=Coalesce(Subquery(series.annotate(n=Count("pk")).values("n")), 0),
        lowest=Coalesce(Subquery(series.annotate(n=Min("seq")).values("n")), 1),
        highest=Coalesce(Subquery(series.annotate(n=Max("seq")).values("n")), 0),
    )
    # No number is there twice (a constraint), so with all of them between 1 and the last one a gap shows in the count.
    whole = Q(last=F("issued") + F("purged"), lowest__gte=1, highest__lte=F("last"))
    yield NAME, "numbers have no gap", counted.exclude(whole)
    standing = Document.objects.filter(corrects=OuterRef("pk"), corrections=None).order_by().values("corrects")
    bills = Document.objects.filter(kind=Document.Kind.INVOICE).annotate(
        credited=Coalesce(Subquery(standing.annotate(n=Sum("total")).values("n")), 0),
        tax_credited=Coalesce(Subquery(standing.annotate(n=Sum("tax")).values("n")), 0),
    )
    beyond = Q(credited__gt=F("total")) | Q(tax_credited__gt=F("tax"))
    yield NAME, "standing credit notes stay within their invoice", bills.filter(beyond)
    differs = ~Q(total=F("order__total")) | ~Q(currency=F("order__currency"))
    yield NAME, "an invoice is over its order's total", bills.filter(differs)
    papers = Document.objects.exclude(kind=Document.Kind.INVOICE)
    yield NAME, "a credit note is over its refund's amount", papers.exclude(total=F("refund__amount"))
