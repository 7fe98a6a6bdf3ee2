"""Documents for staff, to find and to download. Reading them needs a permission of its own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action

from apps.catalog.filters import Currency
from apps.common.admin import MajorUnits, ReadOnlyAdmin
from apps.common.filters import by_choice
from apps.invoices.models import Document
from apps.invoices.views import pdf_response


def years() -> list[tuple[str, str]]:
    """From the first document's year to this one."""
    first = Document.objects.order_by("pk").values_list("year", flat=True).first()
    now = timezone.localdate().year
    return [(str(year), str(year)) for year in range(now, (first or now) - 1, -1)]


@admin.register(Document)
class DocumentAdmin(MajorUnits, ReadOnlyAdmin):
    """Issued is issued: a document is corrected by another one."""

    list_display = ("number", "kind", "order", "gross", "contained_tax", "currency", "issued_at")
    list_filter = ("kind", by_choice("year", years), Currency, "issued_at")
    search_fields = ("number__startswith", "order__number__startswith")
    list_select_related = ("order",)
    date_hierarchy = "issued_at"
    exclude = ("total", "tax", "content")
    money_fields = {"gross": "total", "contained_tax": "tax"}
    actions_detail = ("download",)

    @action(description="Download", permissions=["download"])  # type: ignore[untyped-decorator]
    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        document = self.get_object(request, object_id)
        if document is None:
            raise Http404
        return pdf_response(document)

    def has_download_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_view_permission(request))
