"""The pages from which the books are taken away. Each export is kept in the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.audit.services import record
from apps.backoffice.exports import month_end
from apps.backoffice.exports.files import csv_lines, xlsx_file
from apps.backoffice.exports.tables import TABLES, Row
from apps.backoffice.models import Books
from apps.backoffice.selectors.periods import Span
from apps.common.money import Money

RIGHT = "backoffice.export_books"
FORMATS = (("csv", "CSV"), ("xlsx", "XLSX (Excel, LibreOffice)"))
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class ExportForm(forms.Form):
    """A table, a period whose both days are included, and a format."""

    table = forms.ChoiceField(
        choices=[(table.name, table.title) for table in TABLES.values()], widget=UnfoldAdminSelectWidget
    )
    first = forms.DateField(label="First day", widget=UnfoldAdminDateWidget(attrs={"type": "date"}))
    last = forms.DateField(label="Last day", widget=UnfoldAdminDateWidget(attrs={"type": "date"}))
    format = forms.ChoiceField(choices=FORMATS, widget=UnfoldAdminSelectWidget)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "first" in cleaned and "last" in cleaned and cleaned["last"] < cleaned["first"]:
            self.add_error("last", "Before the first day.")
        return cleaned

    def span(self) -> Span:
        return Span(_midnight(self.cleaned_data["first"]), _midnight(self.cleaned_data["last"] + timedelta(days=1)))


class MonthForm(forms.Form):
    """A month as browsers send it: 2026-11."""

    month = forms.RegexField(
        r"^(20\d\d|2100)-(0[1-9]|1[0-2])$",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "month"}),
        error_messages={"invalid": "A month such as 2026-11."},
    )

    def span(self) -> Span:
        year, month = self.cleaned_data["month"].split("-")
        return month_end.month_of(int(year), int(month))


class FormatForm(forms.Form):
    format = forms.ChoiceField(choices=FORMATS, widget=UnfoldAdminSelectWidget)


def exports(site: AdminSite, request: HttpRequest) -> HttpResponseBase:
    """Choose what to take away, and take it."""
    _check(request)
    today = timezone.localdate()
    first = {"first": today.replace(day=1).isoformat(), "last": today.isoformat(), "format": "csv"}
    form = ExportForm(request.POST if request.method == "POST" else None, initial=first)
    if request.method == "POST" and form.is_valid():
        given, span = form.cleaned_data, form.span()
        table = TABLES[given["table"]]
        name = f"{table.name}-{given['first']}-to-{given['last']}"
        return send(request, name, given["format"], table.title, table.columns, table.rows(span))
    context = {
        "title": "Exports",
        "form": form,
        "tables": TABLES.values(),
        "timezone": timezone.get_current_timezone_name(),
    }
    return TemplateResponse(request, "backoffice/exports.html", {**site.each_context(request), **context})


def month_report(site: AdminSite, request: HttpRequest) -> HttpResponseBase:
    """A month by currency; the last whole one unless another is asked for."""
    _check(request)
    last_month = (timezone.localdate().replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    form = MonthForm({"month": request.GET.get("month", last_month)})
    choice = FormatForm(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {"title": "Month's end", "form": form, "choice": choice}
    if form.is_valid():
        found = month_end.report(form.span())
        month = form.cleaned_data["month"]
        if request.method == "POST" and choice.is_valid():
            name, kind = f"month-end-{month}", choice.cleaned_data["format"]
            return send(request, name, kind, "Month's end", month_end.COLUMNS, month_end.rows_of(found))
        context |= {"month": month, "tables": _shown(found), "any": found.months or found.booked}
    return TemplateResponse(request, "backoffice/month_end.html", {**site.each_context(request), **context})


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm(RIGHT):
        raise PermissionDenied


def send(
    request: HttpRequest, name: str, kind: str, title: str, columns: Iterable[str], rows: Iterable[Row]
) -> HttpResponseBase:
    """Rows as a file to download, kept in the audit trail. A CSV file goes out line by line."""
    record(request.user, "exported", Books(pk=0), detail=f"{name}.{kind}")
    answer: HttpResponseBase
    if kind == "xlsx":
        answer = FileResponse(
            xlsx_file(title.replace("'", ""), columns, rows),
            as_attachment=True,
            filename=f"{name}.xlsx",
            content_type=XLSX,
        )
    else:
        answer = StreamingHttpResponse(csv_lines(columns, rows), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def _shown(found: month_end.Report) -> list[dict[str, Any]]:
    """The report's rows by part and currency, as the page has them."""
    tables: dict[tuple[str, str], list[list[str]]] = {}
    for part, currency, *cells in month_end.rows_of(found):
        shown = [str(cell).removesuffix(f" {currency}") if isinstance(cell, Money) else cell for cell in cells]
        tables.setdefault((str(part), str(currency)), []).append(["" if cell is None else str(cell) for cell in shown])
    return [
        {"title": f"{'The shop' if part == 'shop' else part}, {currency}", "stripe": part == "Stripe", "rows": rows}
        for (part, currency), rows in tables.items()
    ]


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
